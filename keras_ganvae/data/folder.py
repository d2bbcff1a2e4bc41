"""`folder:DIR`: PNG, JPEG, BMP, GIF (first frame) and WebP files of any size and mode.

Images are found in all sub-folders and taken in the order of their relative paths; hidden
files and files of other kinds are ignored. If every image lies in a sub-folder, the
sub-folders are the labels. If DIR has `train/` and at least one of `test/` and
`validation/` (or `val/`), these are the splits, and the level below gives the labels.

The result is grey (C = 1) if every file is grey by its mode (or palette), else colour
(C = 3). Transparent parts become white. 16-bit grey keeps its upper 8 bits. Photographs
are turned as their EXIF orientation says.
"""

import contextlib
import logging
import os
import struct
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data.names import file_name
from keras_ganvae.data.resize import to_square
from keras_ganvae.data.source import Part, Source
from keras_ganvae.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

# Named, so that a file with a borrowed suffix does not reach Pillow's rarer readers.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap width and height

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class _File:
    """An image file, and its folders below the folder of its split."""

    path: Path
    below: tuple[str, ...]


def open_source(folder: str, image_size: int | None) -> Source:
    """Finds the images in `folder` and reads their headers; `image_size` N makes them N by N.

    Raises:
        InputError: no such folder, no images in it, an image that cannot be read (it is
            named), or images of several sizes and no `image_size`.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise InputError(f"There is no folder {root}; give an existing one as folder:DIR.")
    splits = _splits(root, _find(root))
    files = [file for split in splits.values() for file in split]
    if not files:
        raise InputError(f"There are no images in {root}; folder: reads {', '.join(SUFFIXES)}.")
    shape = _shape(root, files, image_size)
    classes = None
    if all(file.below for file in files):
        classes = tuple(sorted({file.below[0] for file in files}))
    return Source(
        name=file_name("folder", root.name),
        spec=f"folder:{root}",
        classes=classes,
        parts={split: _part(split_files, shape, classes) for split, split_files in splits.items()},
        shuffled=False,
    )


def _find(root: Path) -> list[Path]:
    """The images' paths relative to `root`, sorted."""

    def refuse(error):
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from error

    found = []
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(folder, name).relative_to(root)
            for name in names
            if not name.startswith(".") and name.lower().endswith(SUFFIXES)
        ]
    return sorted(found, key=Path.as_posix)


def _splits(root: Path, found: list[Path]) -> dict[str, list[_File]]:
    """The images of each split; all of them are "train" if there are no split folders."""
    outer = {path.parts[0] for path in found if len(path.parts) > 1}
    if "train" not in outer or len(outer & _SPLIT_FOLDERS.keys()) < 2:
        return {"train": [_File(root / path, path.parts[:-1]) for path in found]}
    if {"validation", "val"} <= outer:
        raise InputError(f"{root} has both validation/ and val/; keep one of them.")
    splits: dict[str, list[_File]] = {}
    left_out = 0
    for path in found:
        if len(path.parts) > 1 and path.parts[0] in _SPLIT_FOLDERS:
            split = splits.setdefault(_SPLIT_FOLDERS[path.parts[0]], [])
            split.append(_File(root / path, path.parts[1:-1]))
        else:
            left_out += 1
    if left_out:
        used = ", ".join(f"{name}/" for name in sorted(outer & _SPLIT_FOLDERS.keys()))
        _log.warning("%d images in %s lie outside %s and are not used.", left_out, root, used)
    return splits


def _shape(root: Path, files: list[_File], image_size) -> tuple[int, int, int]:
    """(H, W, C) of the images to come, from the headers of all files."""
    looks = [_look(file.path) for file in files]
    channels = 1 if all(grey for _, grey in looks) else 3
    if image_size is not None:
        return image_size, image_size, channels
    (width, height), _ = looks[0]
    for file, (size, _) in zip(files, looks, strict=True):
        if size != (width, height):
            raise InputError(
                f"The images in {root} differ in size ({files[0].path.name} is {width}x{height}, "
                f"{file.path.name} is {size[0]}x{size[1]}); give --image-size N to make them "
                "all N by N."
            )
    return height, width, channels


def _look(path: Path) -> tuple[tuple[int, int], bool]:
    """((width, height), is it grey), without decoding more than must be."""
    with _opened(path) as image:
        width, height = image.size
        if image.getexif().get(_ORIENTATION, 1) >= 5:
            width, height = height, width
        return (width, height), image.mode in _GREY_MODES or _has_grey_palette(image)


def _has_grey_palette(image) -> bool:
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _part(files: list[_File], shape, classes) -> Part:
    def read(indices):
        images = np.empty((len(indices), *shape), np.uint8)
        for row, index in enumerate(indices):
            images[row] = _pixels(files[index].path, shape)
        if classes is None:
            return images, None
        return images, np.array([classes.index(files[i].below[0]) for i in indices], np.int64)

    return Part(len(files), read)


def _pixels(path: Path, shape) -> np.ndarray:
    """One image as uint8 (H, W, C), cropped and scaled if its size is another."""
    from PIL import ImageOps

    height, width, channels = shape
    with _opened(path) as image:
        # A JPEG can be decoded at a fraction of its size: much faster for photographs.
        image.draft(None, (2 * width, 2 * height))
        image = _flat(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = to_square(image, height)
        return np.asarray(image).reshape(shape)


def _flat(image, mode: str):
    """Any mode to "L" or "RGB"."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255 rather than scale them.
        image = Image.fromarray(np.clip(np.asarray(image) // 256, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


@contextlib.contextmanager
def _opened(path: Path):
    """The image, open; whatever goes wrong with it becomes an error that names the file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow only warns of an image that is too large, up to twice the size it refuses.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"The image {path} is too large to be opened safely; scale it down or remove it."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise InputError(
            f"The image {path} cannot be read; it is damaged or not an image: replace or remove it."
        ) from error
