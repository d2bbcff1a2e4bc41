"""Pixels to pictures: uint8, grids, PNG, GIF. Images are (N, H, W, C), C 1 or 3."""

import math
import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from keras_ganvae.errors import InputError
from keras_ganvae.files import check_parent, replacing, replacing_folder

GAP = 2  # pixels between the images of a grid
MIDDLE_GREY = 96  # the gap's value: seen against black ink and white paper alike
CAPTION_SIZE = 13  # pixels
SAMPLE_FORMATS = ".png (one grid), .npz (an array), or a folder ending in / (one PNG each)"
SIDE = 560  # a grid of small images is enlarged to about this many pixels


def to_uint8(images):
    """float images in [0, 1] -> uint8, rounded.

    Raises:
        ValueError: a pixel is outside [0, 1] or not finite, so some network's range is wrong.
    """
    images = np.asarray(images, np.float32)
    # Float rounding in a rescaled tanh may pass 1 by an ulp or two.
    if not (images >= -1e-6).all() or not (images <= 1 + 1e-6).all():
        raise ValueError(f"pixels must be in [0, 1], not {images.min()} to {images.max()}")
    return np.rint(images * 255).clip(0, 255).astype(np.uint8)


def grid(images, columns=None):
    """Tile uint8 images (N, H, W, C) into one picture (rows H, columns W, C).

    Args:
        columns: images in a row; None makes the grid about square.
    """
    count, height, width, depth = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, depth)
    picture = np.full(shape, MIDDLE_GREY, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + GAP), i % columns * (width + GAP)
        picture[y : y + height, x : x + width] = image
    return picture


def enlarge(picture):
    """Repeat pixels until the shorter side is near `SIDE`, so that 28x28 digits can be seen."""
    factor = max(1, round(SIDE / min(picture.shape[:2])))
    return picture.repeat(min(factor, 8), axis=0).repeat(min(factor, 8), axis=1)


def captioned(picture, text):
    """A uint8 picture (H, W, C) with a strip of text below it, wrapped to its width."""
    font = ImageFont.load_default(size=CAPTION_SIZE)
    letters = max(10, int(picture.shape[1] / (0.55 * CAPTION_SIZE)))
    lines = textwrap.wrap(text, letters)
    line_height = round(1.4 * CAPTION_SIZE)
    strip = Image.new("L", (picture.shape[1], line_height * len(lines) + 8), 0)
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw.text((4, 4 + i * line_height), line, fill=200, font=font)
    strip = np.asarray(strip)[..., None].repeat(picture.shape[-1], axis=-1)
    return np.concatenate([picture, strip])


def save_png(path, picture, description=""):
    """Write a uint8 picture (H, W, C) as PNG, atomically, its description in a text chunk."""
    text = PngInfo()
    if description:
        text.add_text("Description", description)
    with replacing(path) as beside:
        _image(picture).save(beside, format="PNG", pnginfo=text)


def save_gif(path, pictures, seconds=6.0):
    """Write uint8 pictures (H, W, C) as an endless GIF that lasts about `seconds`."""
    frames = [_image(picture) for picture in pictures]
    # Browsers slow down frames shorter than 20 ms.
    each = max(20, int(1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [each + 1500]  # rest on the last one
    with replacing(path) as beside:
        frames[0].save(
            beside,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
        )


def epoch_pictures(folder):
    """The files samples-00001.png, ... of a folder of figures, in order."""
    return sorted(Path(folder).glob(f"samples-{'[0-9]' * 5}.png"))


def frames(folder, most=60):
    """The pictures of the epochs, evenly thinned to `most`: a GIF of more is larger and no
    smoother."""
    files = epoch_pictures(folder)
    chosen = np.unique(np.linspace(0, len(files) - 1, min(len(files), most)).round().astype(int))
    return [load_png(files[i]) for i in chosen]


def load_png(path):
    """A PNG written by `save_png` as a uint8 picture (H, W, C)."""
    with Image.open(path) as image:
        picture = np.asarray(image)
    return picture[..., None] if picture.ndim == 2 else picture


def check_ending(out, ending):
    """InputError unless the file's name ends so, and is not a folder."""
    if Path(out).suffix.lower() != ending or Path(out).is_dir():
        raise InputError(f"--out {out} must be a {ending} file")
    check_parent(out)


def sample_writer(out):
    """The writer for the ending of `out`, found before any work is done."""
    check_parent(out)
    if str(out).endswith("/"):
        if Path(out).is_file():
            raise InputError(f"--out {out} is a file")
        if Path(out).is_dir() and any(Path(out).iterdir()):
            raise InputError(f"--out {out} is not empty; choose another folder")
        return _write_folder
    writers = {".png": _write_grid, ".npz": _write_array}
    if Path(out).suffix.lower() not in writers or Path(out).is_dir():
        raise InputError(f"--out {out} must be {SAMPLE_FORMATS}")
    return writers[Path(out).suffix.lower()]


def _write_grid(out, pixels, description):
    picture = captioned(enlarge(grid(pixels)), description)
    save_png(out, picture, description)


def _write_array(out, pixels, description):
    with replacing(out) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, samples=pixels, description=description)


def _write_folder(out, pixels, description):
    digits = len(str(len(pixels) - 1))
    with replacing_folder(out) as folder:
        for i, image in enumerate(pixels):
            save_png(folder / f"{i:0{digits}d}.png", image, description)


def _image(picture):
    return Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
