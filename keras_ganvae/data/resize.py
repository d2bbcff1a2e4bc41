"""Resize images to squares.

Images are scaled with a Lanczos filter, which averages over source pixels when it shrinks,
so that fine patterns do not alias.
"""

import numpy as np
from PIL import Image


def to_square(image: Image.Image, size: int) -> Image.Image:
    """Crop an "L" or "RGB" image to its central square and scale that to `size` pixels."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    if side == size:
        return image.crop(box)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)


def array_to_square(image: np.ndarray, size: int) -> np.ndarray:
    """Crop and scale uint8 (H, W, C), C 1 or 3, to uint8 (size, size, C)."""
    channels = image.shape[-1]
    picture = Image.fromarray(image[..., 0] if channels == 1 else image)
    return np.asarray(to_square(picture, size)).reshape(size, size, channels)


def arrays_to_square(images: np.ndarray, size: int) -> np.ndarray:
    """Crop and scale uint8 (N, H, W, C), C 1 or 3, to uint8 (N, size, size, C)."""
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([array_to_square(image, size) for image in images])
