"""One image file: its size, whether it is grey, and its pixels, read with Pillow."""

import contextlib
import struct
import warnings
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from keras_ganvae.data.lazy_images import Shape
from keras_ganvae.data.resize import to_square
from keras_ganvae.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

# Listed, so that a file with a wrong suffix does not reach Pillow's rarer decoders.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap width and height

Header = tuple[tuple[int, int], bool]  # (width, height), whether the image is grey


def read_header(path: str, *, oriented: bool) -> Header:
    """The size of an image, and whether it is grey by its mode or palette.

    Args:
        path: an image file.
        oriented: whether to swap width and height where the orientation in EXIF does.
            Finding it decodes a PNG file that is not square.

    Raises:
        InputError: the file is damaged, too large, or not an image.
    """
    with _opened(path) as image:
        width, height = image.size
        if oriented and width != height and image.getexif().get(_ORIENTATION, 1) >= 5:
            width, height = height, width
        return (width, height), image.mode in _GREY_MODES or _has_grey_palette(image)


def _has_grey_palette(image: Image.Image) -> bool:
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def decode(path: str, shape: Shape) -> np.ndarray:
    """One upright image as uint8 (H, W, C).

    An image of another size is cropped to its central square and scaled; H must equal W
    then. Transparent pixels become white, 16-bit grey keeps its upper 8 bits.

    Raises:
        InputError: the file is damaged, too large, or not an image.
    """
    height, width, channels = shape
    with _opened(path) as image:
        if image.size != (width, height):
            # Decodes a JPEG at a fraction of its size: much faster for photographs.
            image.draft(None, (2 * width, 2 * height))
        image = _flattened(_upright(image), "L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = to_square(image, height)
        return np.asarray(image).reshape(shape)


def _upright(image: Image.Image) -> Image.Image:
    image.load()  # some formats set their mode and metadata only now
    if image.getexif().get(_ORIENTATION, 1) == 1:
        return image  # exif_transpose would copy it
    return ImageOps.exif_transpose(image)


def _flattened(image: Image.Image, mode: str) -> Image.Image:
    """An image of any mode as "L" or "RGB", on white."""
    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255 rather than scale them.
        image = Image.fromarray(np.clip(np.asarray(image) // 256, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


@contextlib.contextmanager
def oversized_images_are_errors() -> Iterator[None]:
    """Refuse every image above Pillow's limit; it only warns up to twice the limit.

    Put it around a whole pass rather than each file: threads share the warning filters.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """The opened image; every error inside becomes an `InputError` that names the file."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"The image {path} is too large to be opened safely; scale it down or remove it."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise unreadable(path) from error


def unreadable(path: str) -> InputError:
    return InputError(
        f"The image {path} cannot be read; it is damaged or not an image: replace or remove it."
    )
