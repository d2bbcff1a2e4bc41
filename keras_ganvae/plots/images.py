"""Pixels to pictures: uint8, grids, captions, PNG.

Images are (N, H, W, C) and pictures (H, W, C), C 1 or 3.
"""

import math
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from keras_ganvae.files import readable, replacing

GAP = 2  # pixels between the images of a grid
GAP_GREY = 96  # visible next to black and next to white
CAPTION_SIZE = 13  # font size in pixels
MIN_SIDE = 560  # `enlarge` brings the shorter side to about this many pixels
MAX_FACTOR = 8
BLOCK = 2**20  # pixels converted at a time: intermediate results take several times their memory


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Round float images in [0, 1] to uint8.

    Raises:
        ValueError: a pixel is outside [0, 1] or not finite: the output range of some
            network is wrong.
    """
    images = np.asarray(images, np.float32)
    result = np.empty(images.shape, np.uint8)
    floats, levels = images.reshape(-1), result.reshape(-1)
    for start in range(0, images.size, BLOCK):
        block = floats[start : start + BLOCK]
        # Rounding in a rescaled tanh may exceed 1 by an ulp or two.
        if not (block >= -1e-6).all() or not (block <= 1 + 1e-6).all():
            raise ValueError(f"pixels must be in [0, 1], not {images.min()} to {images.max()}")
        levels[start : start + BLOCK] = np.rint(block * 255).clip(0, 255)
    return result


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Tile uint8 images into one picture.

    Args:
        images: (N, H, W, C).
        columns: images per row; None makes the grid about square.
    """
    count, height, width, depth = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, depth)
    picture = np.full(shape, GAP_GREY, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + GAP), i % columns * (width + GAP)
        picture[y : y + height, x : x + width] = image
    return picture


def enlarge(picture: np.ndarray) -> np.ndarray:
    """Repeat pixels, up to `MAX_FACTOR` times, until the shorter side is near `MIN_SIDE`."""
    factor = min(MAX_FACTOR, max(1, round(MIN_SIDE / min(picture.shape[:2]))))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """A uint8 picture with a strip of text below it, wrapped to its width."""
    font = ImageFont.load_default(size=CAPTION_SIZE)
    characters = max(10, int(picture.shape[1] / (0.55 * CAPTION_SIZE)))
    lines = textwrap.wrap(text, characters)
    line_height = round(1.4 * CAPTION_SIZE)
    strip = Image.new("L", (picture.shape[1], line_height * len(lines) + 8), 0)
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw.text((4, 4 + i * line_height), line, fill=200, font=font)
    caption = np.asarray(strip)[..., None].repeat(picture.shape[-1], axis=-1)
    return np.concatenate([picture, caption])


def to_pil(picture: np.ndarray) -> Image.Image:
    """A uint8 picture as a Pillow image, grey or RGB."""
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)


def save_png(path: str | Path, picture: np.ndarray, description: str = "") -> None:
    """Write a uint8 picture as PNG, atomically.

    Args:
        path: the file.
        picture: uint8 (H, W, C).
        description: content of the text chunk "Description".
    """
    text = PngInfo()
    if description:
        text.add_text("Description", description)
    with replacing(path) as beside:
        to_pil(picture).save(beside, format="PNG", pnginfo=text)


def load_png(path: str | Path) -> np.ndarray:
    """Read a PNG that `save_png` wrote: uint8 (H, W, C)."""
    with Image.open(readable(path)) as image:
        picture = np.asarray(image)
    return picture[..., None] if picture.ndim == 2 else picture
