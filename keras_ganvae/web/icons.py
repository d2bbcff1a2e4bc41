"""The site's icons: four samples on a plain background."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

APPLE, MASKABLE = "apple-180.png", "maskable-512.png"
SIDES = {"icon-192.png": 192, "icon-512.png": 512, MASKABLE: 512, APPLE: 180}  # pixels
COUNT, COLUMNS = 4, 2
SEED = 0
BACKGROUND = "#131416"
# The part of an icon's side that the square of samples takes. A launcher may crop a maskable
# icon to a circle of 80 % of its side (W3C, Web Application Manifest, "Icon masks and safe
# zone"); the square inside that circle has a side of 0.8 / sqrt(2) = 0.566.
SQUARE = 0.86
MASKABLE_SQUARE = 0.56
GAP = 0.04  # between two samples, as a part of the square's side
CORNER_RADIUS = 0.12  # as a part of a sample's side
SUPERSAMPLING = 4  # drawn this many times larger, then reduced: smooth corners


def write(folder: str | Path, samples: np.ndarray) -> None:
    """Write the icons `SIDES` as PNG into a new folder.

    Args:
        folder: it must not exist.
        samples: uint8 (COUNT, H, W, C), C is 1 or 3.
    """
    folder = Path(folder)
    folder.mkdir()
    for name, side in SIDES.items():
        square = MASKABLE_SQUARE if name == MASKABLE else SQUARE
        icon(samples, side, square).save(folder / name, format="PNG", optimize=True)


def icon(samples: np.ndarray, side: int, square: float) -> Image.Image:
    """An RGB image with a 2 by 2 grid of samples in the middle.

    Args:
        samples: uint8 (COUNT, H, W, C), C is 1 or 3.
        side: width and height in pixels.
        square: the part of the side that the grid takes, in (0, 1].
    """
    large_side = SUPERSAMPLING * side
    picture = Image.new("RGB", (large_side, large_side), BACKGROUND)
    grid_side = square * large_side
    cell = round(grid_side * (1 - GAP) / COLUMNS)
    start, step = round((large_side - grid_side) / 2), round(grid_side - cell)
    for i, sample in enumerate(samples):
        tile = _tile(sample, cell)
        x = start + i % COLUMNS * step + (cell - tile.width) // 2
        y = start + i // COLUMNS * step + (cell - tile.height) // 2
        picture.paste(tile, (x, y), _rounded_mask(tile.size))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _tile(sample, side):
    """A sample enlarged to fit a square of `side` pixels, its aspect ratio kept."""
    sample = np.repeat(sample, 3, axis=2) if sample.shape[2] == 1 else sample
    factor = side / max(sample.shape[:2])
    width, height = (
        max(1, round(length * factor)) for length in (sample.shape[1], sample.shape[0])
    )
    return Image.fromarray(sample).resize((width, height), Image.Resampling.BICUBIC)


def _rounded_mask(size):
    mask = Image.new("L", size, 0)
    box = (0, 0, size[0] - 1, size[1] - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, CORNER_RADIUS * min(size), fill=255)
    return mask
