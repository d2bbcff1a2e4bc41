"""The site's icons: four samples on a plain ground."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

APPLE, MASKABLE = "apple-180.png", "maskable-512.png"
SIDES = {"icon-192.png": 192, "icon-512.png": 512, MASKABLE: 512, APPLE: 180}  # pixels
COUNT, COLUMNS = 4, 2
SEED = 0
BACKGROUND = "#131416"
# Of the side, for the square of samples. A launcher may cut a maskable icon to a circle of
# 80 % of its side (W3C, Web Application Manifest, "Icon masks and safe zone"); 0.8 / sqrt(2)
# is the square inside.
SHARE = 0.86
MASKABLE_SHARE = 0.56
GAP = 0.04  # of the square, between two samples
ROUNDING = 0.12  # of a sample's side: the radius of its corners
DRAWN = 4  # times larger than wanted, then reduced: smooth corners


def write(folder, samples):
    """Write the icons `SIDES` as PNG.

    Args:
        samples: uint8 (COUNT, H, W, C), C 1 or 3.
    """
    folder = Path(folder)
    folder.mkdir()
    for name, side in SIDES.items():
        share = MASKABLE_SHARE if name == MASKABLE else SHARE
        icon(samples, side, share).save(folder / name, format="PNG", optimize=True)


def icon(samples, side, share) -> Image.Image:
    """A square RGB picture of `side` pixels; the samples take the middle, `share` of it."""
    big = DRAWN * side
    picture = Image.new("RGB", (big, big), BACKGROUND)
    square = share * big
    cell = round(square * (1 - GAP) / COLUMNS)
    start, step = round((big - square) / 2), round(square - cell)
    for i, sample in enumerate(samples):
        tile = _tile(sample, cell)
        x = start + i % COLUMNS * step + (cell - tile.width) // 2
        y = start + i // COLUMNS * step + (cell - tile.height) // 2
        picture.paste(tile, (x, y), _rounded(tile.size))
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _tile(sample, side):
    """A sample enlarged until it fits a square of `side` pixels, its shape kept."""
    sample = np.repeat(sample, 3, axis=2) if sample.shape[2] == 1 else sample
    factor = side / max(sample.shape[:2])
    size = [max(1, round(length * factor)) for length in (sample.shape[1], sample.shape[0])]
    return Image.fromarray(sample).resize(size, Image.Resampling.BICUBIC)


def _rounded(size):
    mask = Image.new("L", size, 0)
    box = (0, 0, size[0] - 1, size[1] - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, ROUNDING * min(size), fill=255)
    return mask
