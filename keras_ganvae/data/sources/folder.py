"""`folder:DIR`: PNG, JPEG, BMP, GIF (first frame) and WebP files of any size and mode.

Images are found in all sub-folders and sorted by relative path. Hidden files and other kinds
of files are ignored. If every image is in a sub-folder, the names of the sub-folders are the
labels. If DIR has `train/` and at least one of `test/` and `validation/` (or `val/`), these
are the splits, and the level below gives the labels.

The images are grey (C = 1) if every file is grey by its mode or palette, else colour (C = 3).
Transparent pixels become white. 16-bit grey keeps its upper 8 bits. Photographs are rotated
as their EXIF orientation says.
"""

import errno
import functools
import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL

from keras_ganvae.data.lazy_images import LazyImages, Shape
from keras_ganvae.data.sources.base import (
    Part,
    Source,
    chunk_rows,
    chunks,
    file_name,
    resolved,
)
from keras_ganvae.data.sources.image_file import (
    SUFFIXES,
    Header,
    decode,
    oversized_images_are_errors,
    read_header,
    unreadable,
)
from keras_ganvae.errors import InputError

# More threads would wait for each other: Python code between reading and decoding holds the
# GIL, and for small images that is much of the time.
THREADS = min(4, max(2, os.cpu_count() or 1))

_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
_HEADERS_PER_TASK = 256

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class _Files:
    """The image files of one split, in order.

    Attributes:
        root: the folder.
        paths: relative to `root`, with "/". Strings, because there may be a million.
        depth: the number of folders in each path that name the split.
    """

    root: str
    paths: list[str]
    depth: int = 0

    def path(self, index: int) -> str:
        return os.path.join(self.root, self.paths[index])

    def label(self, index: int) -> str | None:
        """The first folder below the split's, or None for a file directly in that."""
        folders = self.paths[index].split("/")[self.depth : -1]
        return folders[0] if folders else None

    def labels(self) -> set[str | None]:
        return {self.label(index) for index in range(len(self.paths))}


def open_source(folder: str, image_size: int | None) -> Source:
    """Find the images in `folder`.

    The source's `shape()` reads the headers of all files, once.

    Args:
        folder: its path.
        image_size: N crops and scales the images to N by N.

    Raises:
        InputError: there is no such folder, or no image in it. From `shape` and the parts:
            an image cannot be read, or the images differ in size and `image_size` is None.
    """
    root = resolved(folder)
    if not root.is_dir():
        raise InputError(f"There is no folder {root}; give an existing one as folder:DIR.")
    splits = _splits(root, _find(root))
    if not any(files.paths for files in splits.values()):
        raise InputError(f"There are no images in {root}; folder: reads {', '.join(SUFFIXES)}.")
    labels = set[str | None]().union(*(files.labels() for files in splits.values()))
    classes = None if None in labels else tuple(sorted(filter(None, labels)))
    shape = functools.cache(lambda: _shape(root, splits.values(), image_size))
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
    """The images' paths relative to `root`, with "/", sorted.

    Raises:
        InputError: a folder can't be read, or the name of an image belongs to a pipe, a device,
            or a link to nothing: opening those may block for ever.
    """
    found: list[str] = []
    # A list of folders to visit, as `os.walk` of Python 3.11 recurses. A link to a folder is
    # not followed: it may lead back.
    pending = [""]
    while pending:
        prefix = pending.pop()
        folder = os.path.join(root, prefix)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(f"{prefix}{entry.name}/")
                    elif entry.name.lower().endswith(SUFFIXES) and not entry.is_dir():
                        if not entry.is_file():
                            raise InputError(
                                f"The image {entry.path} cannot be read: it is not a regular"
                                " file; remove it."
                            )
                        found.append(prefix + entry.name)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(f"The folders in {root} are nested too deeply.") from error
            name = error.filename or folder
            raise InputError(f"{name} cannot be read: {error.strerror}.") from error
    return sorted(found)


def _splits(root: Path, found: list[str]) -> dict[str, _Files]:
    """The images of each split; all are "train" if there are no split folders."""
    folders = {path.partition("/")[0] for path in found if "/" in path}
    if "train" not in folders or len(folders & _SPLIT_FOLDERS.keys()) < 2:
        return {"train": _Files(str(root), found)}
    if {"validation", "val"} <= folders:
        raise InputError(f"{root} has both validation/ and val/; keep one of them.")
    splits: dict[str, _Files] = {}
    unused = 0
    for path in found:
        folder, slash, _ = path.partition("/")
        if slash and folder in _SPLIT_FOLDERS:
            files = splits.setdefault(_SPLIT_FOLDERS[folder], _Files(str(root), [], depth=1))
            files.paths.append(path)
        else:
            unused += 1
    if unused:
        used = ", ".join(f"{name}/" for name in sorted(folders & _SPLIT_FOLDERS.keys()))
        _log.warning("%d images in %s are outside %s and not used.", unused, root, used)
    return splits


def _state(splits: Iterable[_Files]) -> str:
    """A checksum of all files' names, sizes and times, and of Pillow's version.

    Releases of Pillow may decode JPEG differently, by one grey level.
    """
    digest = hashlib.sha256(f"Pillow {PIL.__version__}\n".encode())
    for files in splits:
        for index, path in enumerate(files.paths):
            try:
                info = os.stat(files.path(index))
            except OSError as error:
                raise unreadable(files.path(index)) from error
            line = f"{path}\0{info.st_size}\0{info.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _shape(root: Path, splits: Collection[_Files], image_size: int | None) -> Shape:
    """(H, W, C) of the decoded images, from the headers of all files."""
    headers = _headers(splits, oriented=image_size is None)
    channels = 1 if all(grey for _, grey in headers) else 3
    if image_size is not None:
        return image_size, image_size, channels
    sizes: dict[tuple[int, int], str] = {}
    for (size, _), path in headers.items():
        sizes.setdefault(size, os.path.basename(path))
    (width, height), *others = sizes
    if others:
        raise InputError(
            f"The images in {root} differ in size ({sizes[width, height]} is {width}x{height}, "
            f"{sizes[others[0]]} is {others[0][0]}x{others[0][1]}); give `image_size=N` to make "
            "them all N by N."
        )
    return height, width, channels


def _headers(splits: Iterable[_Files], *, oriented: bool) -> dict[Header, str]:
    """The distinct headers of all files, each with the first file that has it."""

    def read(paths: list[str]) -> dict[Header, str]:
        found: dict[Header, str] = {}
        for path in paths:
            found.setdefault(read_header(path, oriented=oriented), path)
        return found

    headers: dict[Header, str] = {}
    with oversized_images_are_errors():
        for found in _in_threads(read, _groups(splits)):
            for header, path in found.items():
                headers.setdefault(header, path)
    return headers


def _groups(splits: Iterable[_Files]) -> Iterator[list[str]]:
    for files in splits:
        for start in range(0, len(files.paths), _HEADERS_PER_TASK):
            stop = min(start + _HEADERS_PER_TASK, len(files.paths))
            yield [files.path(index) for index in range(start, stop)]


def _in_threads(function: Callable, items: Iterable) -> Iterator:
    """Map a function over items in threads, a few items ahead, and yield results in order.

    An exception of the function is raised when its turn comes; no further items start.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        pending: deque[Future] = deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > 2 * THREADS:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _part(files: _Files, shape: Callable[[], Shape], classes: Sequence[str] | None) -> Part:
    numbers: dict[str | None, int] = {name: i for i, name in enumerate(classes or ())}

    def labels(indices):
        if classes is None:
            return None
        return np.array([numbers[files.label(index)] for index in indices], np.int64)

    def read(indices):
        decoded = _in_threads(
            lambda chunk: (_decoded(files, chunk, shape()), labels(chunk)),
            chunks(indices, shape()),
        )
        with oversized_images_are_errors():
            yield from decoded

    def view(indices):
        return _FolderImages(files, indices, shape()), labels(indices)

    return Part(len(files.paths), read, view)


class _FolderImages(LazyImages):
    """Images of a folder, decoded each time they are indexed.

    Raises:
        InputError: a file was damaged, changed in size, or removed.
    """

    def __init__(self, files: _Files, indices: np.ndarray, shape: Shape):
        super().__init__(len(indices), shape)
        self._files = files
        self._indices = indices
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decode")

    def fetch(self, rows: np.ndarray) -> np.ndarray:
        shape = self.shape[1:]
        # At least a few images per task, because tasks have a cost of their own.
        size = min(chunk_rows(shape), max(16, -(-len(rows) // THREADS)))
        images = np.empty((len(rows), *shape), np.uint8)

        def decode_from(start):
            indices = self._indices[rows[start : start + size]]
            images[start : start + size] = _decoded(self._files, indices, shape)

        for _ in self._pool.map(decode_from, range(0, len(rows), size)):
            pass  # raises the exception of a thread
        return images


def _decoded(files: _Files, indices: np.ndarray, shape: Shape) -> np.ndarray:
    images = np.empty((len(indices), *shape), np.uint8)
    for row, index in enumerate(indices):
        images[row] = decode(files.path(index), shape)
    return images
