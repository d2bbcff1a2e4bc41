"""Images of any size to squares of one size."""

import numpy as np


def to_square(image, size: int):
    """A Pillow image ("L" or "RGB") cropped to its central square and scaled to `size`.

    Scaling is by Lanczos, which averages over the source pixels when it shrinks, so that
    fine patterns do not alias.
    """
    from PIL import Image

    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if side == size:
        return image.crop(box)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def array_to_square(image: np.ndarray, size: int) -> np.ndarray:
    """The same for an array: uint8 (H, W, C), C 1 or 3, to uint8 (size, size, C)."""
    from PIL import Image

    channels = image.shape[-1]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(to_square(picture, size)).reshape(size, size, channels)


def arrays_to_square(images: np.ndarray, size: int) -> np.ndarray:
    """The same for many: uint8 (N, H, W, C) to uint8 (N, size, size, C)."""
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([array_to_square(image, size) for image in images])
