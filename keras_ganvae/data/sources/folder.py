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
import functools
import hashlib
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data import ahead
from keras_ganvae.data.lazy import LazyImages
from keras_ganvae.data.names import file_name
from keras_ganvae.data.resize import to_square
from keras_ganvae.data.sources.headers import plain_header
from keras_ganvae.data.sources.source import Part, Source, pieces, rows_in
from keras_ganvae.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

# Named, so that a file with a borrowed suffix does not reach Pillow's rarer readers.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_GREY_MODES = ("1", "L", "LA", "I", "I;16", "I;16B", "I;16L", "I;16N")
_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_LOOKS = 256  # files whose headers are read in one go
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap width and height

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class _Files:
    """The image files of one split, in order.

    Plain strings, since a folder may hold a million of them: `paths` are relative to
    `root`, with "/"; `depth` of their folders lead to the split rather than to a label.
    """

    root: str
    paths: list[str]
    depth: int = 0

    def path(self, index: int) -> str:
        return os.path.join(self.root, self.paths[index])

    def label(self, index: int) -> str | None:
        """The first folder below the split's, or None for a file that lies in none."""
        folders = self.paths[index].split("/")[self.depth : -1]
        return folders[0] if folders else None

    def labels(self) -> set[str | None]:
        return {self.label(index) for index in range(len(self.paths))}


def open_source(folder: str, image_size: int | None) -> Source:
    """Finds the images in `folder`; `image_size` N makes them N by N.

    The source's `shape()` reads the headers of all files, once.

    Raises:
        InputError: no such folder, or no images in it; and from `shape` and the parts: an
            image that cannot be read (it is named), or images of several sizes and no
            `image_size`.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        raise InputError(f"There is no folder {root}; give an existing one as folder:DIR.")
    splits = _splits(root, _find(root))
    if not any(files.paths for files in splits.values()):
        raise InputError(f"There are no images in {root}; folder: reads {', '.join(SUFFIXES)}.")
    labels = set().union(*(files.labels() for files in splits.values()))
    classes = None if None in labels else tuple(sorted(labels))
    shape = functools.cache(lambda: _shape(root, list(splits.values()), image_size))
    return Source(
        name=file_name("folder", root.name),
        spec=f"folder:{root}",
        classes=classes,
        parts={split: _part(files, shape, classes) for split, files in splits.items()},
        shuffled=False,
        shape=shape,
        state=lambda: _state(splits.values()),
    )


def _find(root: Path) -> list[str]:
    """The images' paths relative to `root`, with "/", sorted."""

    def refuse(error):
        raise InputError(f"{error.filename} cannot be read: {error.strerror}.") from error

    found = []
    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        found += [
            prefix + name
            for name in names
            if not name.startswith(".") and name.lower().endswith(SUFFIXES)
        ]
    return sorted(found)


def _splits(root: Path, found: list[str]) -> dict[str, _Files]:
    """The images of each split; all of them are "train" if there are no split folders."""
    outer = {path.partition("/")[0] for path in found if "/" in path}
    if "train" not in outer or len(outer & _SPLIT_FOLDERS.keys()) < 2:
        return {"train": _Files(str(root), found)}
    if {"validation", "val"} <= outer:
        raise InputError(f"{root} has both validation/ and val/; keep one of them.")
    splits: dict[str, _Files] = {}
    left_out = 0
    for path in found:
        folder, slash, _ = path.partition("/")
        if slash and folder in _SPLIT_FOLDERS:
            files = splits.setdefault(_SPLIT_FOLDERS[folder], _Files(str(root), [], depth=1))
            files.paths.append(path)
        else:
            left_out += 1
    if left_out:
        used = ", ".join(f"{name}/" for name in sorted(outer & _SPLIT_FOLDERS.keys()))
        _log.warning("%d images in %s lie outside %s and are not used.", left_out, root, used)
    return splits


def _state(splits) -> str:
    """A digest of all files' names, sizes and times, and of Pillow's version.

    Releases of Pillow may decode JPEG differently, by a level of grey.
    """
    import PIL

    digest = hashlib.sha256(f"Pillow {PIL.__version__}\n".encode())
    for files in splits:
        for index, path in enumerate(files.paths):
            try:
                info = os.stat(files.path(index))
            except OSError as error:
                raise _unreadable(files.path(index)) from error
            line = f"{path}\0{info.st_size}\0{info.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _shape(root: Path, splits: list[_Files], image_size) -> tuple[int, int, int]:
    """(H, W, C) of the images to come, from the headers of all files."""
    looks = _all_looks(splits)
    channels = 1 if all(grey for _, grey in looks) else 3
    if image_size is not None:
        return image_size, image_size, channels
    sizes: dict[tuple[int, int], str] = {}
    for (size, _), path in looks.items():
        sizes.setdefault(size, os.path.basename(path))
    (width, height), *others = sizes
    if others:
        raise InputError(
            f"The images in {root} differ in size ({sizes[width, height]} is {width}x{height}, "
            f"{sizes[others[0]]} is {others[0][0]}x{others[0][1]}); give --image-size N to make "
            "them all N by N."
        )
    return height, width, channels


def _all_looks(splits: list[_Files]) -> dict:
    """What `_look` finds in all the files, in the order of the first file of each kind."""

    def look(paths):
        found = {}
        for path in paths:
            found.setdefault(_look(path), path)
        return found

    looks = {}
    with _bombs_are_errors():
        for found in ahead.in_order(look, _in_groups(splits)):
            for kind, path in found.items():
                looks.setdefault(kind, path)
    return looks


def _in_groups(splits: list[_Files]) -> Iterator[list[str]]:
    for files in splits:
        for start in range(0, len(files.paths), _LOOKS):
            stop = min(start + _LOOKS, len(files.paths))
            yield [files.path(index) for index in range(start, stop)]


def _look(path: str) -> tuple[tuple[int, int], bool]:
    """((width, height), is it grey), without decoding more than must be."""
    return plain_header(path) or _long_look(path)


def _long_look(path: str) -> tuple[tuple[int, int], bool]:
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


def _part(files: _Files, shape, classes) -> Part:
    numbers = {name: number for number, name in enumerate(classes or ())}

    def labels(indices):
        if classes is None:
            return None
        return np.array([numbers[files.label(index)] for index in indices], np.int64)

    def read(indices):
        size = shape()
        chunks = ahead.in_order(
            lambda piece: (_decoded(files, piece, size), labels(piece)),
            pieces(indices, rows_in(size)),
        )
        with _bombs_are_errors():
            yield from chunks

    def view(indices):
        return _FolderImages(files, indices, shape()), labels(indices)

    return Part(len(files.paths), read, view)


class _FolderImages(LazyImages):
    """Images of a folder, decoded each time they are asked for.

    Raises:
        InputError: a file has been damaged, changed in size or removed; it is named.
    """

    def __init__(self, files: _Files, indices: np.ndarray, shape):
        super().__init__(len(indices), shape)
        self._files = files
        self._indices = indices
        self._pool = ThreadPoolExecutor(ahead.THREADS, thread_name_prefix="decode")

    def _fetch(self, rows):
        shape = self.shape[1:]
        # At least a few images for each thread: handing over work costs time too.
        piece = min(rows_in(shape), max(16, -(-len(rows) // ahead.THREADS)))
        images = np.empty((len(rows), *shape), np.uint8)

        def decode(start):
            wanted = self._indices[rows[start : start + piece]]
            images[start : start + piece] = _decoded(self._files, wanted, shape)

        for _ in self._pool.map(decode, range(0, len(rows), piece)):
            pass  # `map` hands on what a thread raises only when its result is taken
        return images


def _decoded(files: _Files, indices, shape) -> np.ndarray:
    images = np.empty((len(indices), *shape), np.uint8)
    for row, index in enumerate(indices):
        images[row] = _pixels(files.path(index), shape)
    return images


def _pixels(path: str, shape) -> np.ndarray:
    """One image as uint8 (H, W, C), cropped and scaled if its size is another."""
    height, width, channels = shape
    with _opened(path) as image:
        if image.size != (width, height):
            # A JPEG can be decoded at a fraction of its size: much faster for photographs.
            image.draft(None, (2 * width, 2 * height))
        image = _flat(_upright(image), "L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = to_square(image, height)
        return np.asarray(image).reshape(shape)


def _upright(image):
    from PIL import ImageOps

    image.load()  # some formats know all about themselves only then
    if image.getexif().get(_ORIENTATION, 1) == 1:
        return image  # not the copy that exif_transpose would make
    return ImageOps.exif_transpose(image)


def _flat(image, mode: str):
    """Any mode to "L" or "RGB"."""
    from PIL import Image

    if image.mode.startswith("I"):
        # Pillow would clip 16 bits at 255 rather than scale them.
        image = Image.fromarray(np.clip(np.asarray(image) // 256, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


@contextlib.contextmanager
def _bombs_are_errors():
    """Pillow only warns of an image that is too large, up to twice the size it refuses.

    Around whole passes rather than each file: Python's list of warning filters is shared
    by all threads.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextlib.contextmanager
def _opened(path: str):
    """The image, open; whatever goes wrong with it becomes an error that names the file."""
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"The image {path} is too large to be opened safely; scale it down or remove it."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error) as error:
        raise _unreadable(path) from error


def _unreadable(path: str) -> InputError:
    return InputError(
        f"The image {path} cannot be read; it is damaged or not an image: replace or remove it."
    )
