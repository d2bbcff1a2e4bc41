"""Decoded images in a file, so that they take no memory and later runs need not decode.

A file holds one page of JSON, the pixels of the three splits (uint8), and their labels
(little-endian int64) if there are any. The arguments of `load` determine its name. The JSON
holds the state of the data that it was made from and the fingerprint of its content: a
file that is outdated, incomplete or damaged is not used, and replaced.
"""

import hashlib
import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np

from keras_ganvae.data.lazy_images import LazyImages, Shape
from keras_ganvae.data.resources import available_disk, readable_size
from keras_ganvae.data.splits import Split, fingerprint
from keras_ganvae.errors import InputError
from keras_ganvae.files import UNFINISHED, cache_folder, replacing

_HEADER = 4096  # bytes: one page, so that the pixels begin at a page boundary
_VERSION = 1  # of the layout, and of the way that images are decoded
_LABEL = np.dtype("<i8")
_ABANDONED = 3600  # seconds without a write, after which an unfinished file has no writer
_MAX_READ = 1 << 30  # bytes per call; Linux reads at most 2 GB

# A split's name, the row of the first image, images (n, H, W, C), labels (n,) or None.
Piece = tuple[str, int, np.ndarray, np.ndarray | None]

_log = logging.getLogger("keras_ganvae")


def file_for(name: str, spec: str, **settings: int | None) -> Path:
    """The cache file of a data set loaded with these settings."""
    key = json.dumps([_VERSION, spec, settings], sort_keys=True)
    file = f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.images"
    return cache_folder("images", file)


@dataclass(frozen=True)
class Layout:
    """What a file holds.

    Attributes:
        counts: the number of images of each split, in the order of the file.
        shape: (H, W, C).
        labelled: whether there are labels.
    """

    counts: Mapping[str, int]
    shape: Shape
    labelled: bool

    @property
    def image_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def images(self) -> int:
        return sum(self.counts.values())

    @property
    def total_bytes(self) -> int:
        label = _LABEL.itemsize if self.labelled else 0
        return _HEADER + self.images * (self.image_bytes + label)

    def pixels_offset(self, split: str, row: int = 0) -> int:
        """Where the pixels of a split's image `row` begin, in bytes."""
        return _HEADER + (self._images_before(split) + row) * self.image_bytes

    def labels_offset(self, split: str, row: int = 0) -> int:
        """Where the label of a split's image `row` is, in bytes."""
        labels = _HEADER + self.images * self.image_bytes
        return labels + (self._images_before(split) + row) * _LABEL.itemsize

    def _images_before(self, split: str) -> int:
        names = list(self.counts)
        return sum(self.counts[name] for name in names[: names.index(split)])


class DiskImages(LazyImages):
    """The images of one split, read from a cache file when they are indexed.

    They are read with `pread` rather than a memory map, whose pages count as memory of
    this process.

    Raises:
        InputError: the file was truncated while it was in use.
    """

    def __init__(self, file: "_OpenFile", offset: int, count: int, shape: Shape):
        super().__init__(count, shape)
        self._file = file
        self._offset = offset

    def fetch(self, rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        if not len(rows):
            return images
        each = images[0].nbytes
        flat = images.reshape(len(rows), each)
        # One read for each sequence of consecutive rows.
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for first, end in zip((0, *breaks), (*breaks, len(rows)), strict=True):
            self._file.read_into(
                flat[first:end].reshape(-1), self._offset + int(rows[first]) * each
            )
        return images


class _OpenFile:
    """A file open for reading, closed when it is garbage-collected.

    Args:
        path: the file, which may be renamed or replaced while it is open.
        name: its path for error messages.
    """

    def __init__(self, path: Path, name: Path):
        self.name = name
        self.descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, self.descriptor)

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes from `offset` on. Several threads may read at the same time."""
        if hasattr(os, "pread"):
            return os.pread(self.descriptor, size, offset)
        with self._lock:  # Windows: the threads share one position in the file
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, size)

    def read_into(self, out: np.ndarray, offset: int) -> None:
        """Fill the flat uint8 array `out` with the bytes from `offset` on."""
        done = 0
        while done < len(out):
            size = min(len(out) - done, _MAX_READ)
            data = self.read(size, offset + done)
            if not data:
                raise InputError(f"{self.name} was truncated while it was in use; start again.")
            out[done : done + len(data)] = np.frombuffer(data, np.uint8)
            done += len(data)


def read(path: Path, state: str) -> tuple[dict[str, Split], str] | None:
    """The splits of a cache file and their fingerprint, or None if it can't be used.

    The whole file is read once to verify its fingerprint.

    Args:
        path: a path from `file_for`.
        state: the current state of the data (`Source.state`).
    """
    if not path.is_file():
        return None
    try:
        file = _OpenFile(path, path)
        header = json.loads(file.read(_HEADER, 0).rstrip(b"\0"))
        layout = Layout(header["counts"], tuple(header["shape"]), header["labelled"])
        if header["state"] != state:
            _log.info("cache: the data has changed since %s was written", path)
            return None
        if os.fstat(file.descriptor).st_size == layout.total_bytes:
            splits = _splits(file, layout)
            if fingerprint(splits) == header["fingerprint"]:
                return splits, header["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.debug("%s: %s", path, error)
    _log.warning("cache: %s is damaged and not used", path)
    return None


def _splits(file: _OpenFile, layout: Layout) -> dict[str, Split]:
    splits = {}
    for name, count in layout.counts.items():
        images = DiskImages(file, layout.pixels_offset(name), count, layout.shape)
        labels = None
        if layout.labelled:
            stored = np.empty(count, _LABEL)
            file.read_into(stored.view(np.uint8), layout.labels_offset(name))
            labels = stored.astype(np.int64)
        splits[name] = Split(images, labels)
    return splits


def write(
    path: Path, state: str, layout: Layout, pieces: Iterable[Piece]
) -> tuple[dict[str, Split], str]:
    """Write a cache file.

    Args:
        path: a path from `file_for`.
        state: the state of the data (`Source.state`).
        layout: what the file will hold.
        pieces: all images, in any order.

    Returns:
        The splits, read from the file, and their fingerprint.

    Raises:
        InputError: the disk is full or not writable. No partial file is left.
    """
    _check_space(path, layout)
    _log.info("cache: writing %s to %s", readable_size(layout.total_bytes), path)
    try:
        with replacing(path) as temporary:
            _remove_abandoned(path.parent)
            _write_pieces(temporary, layout, pieces)
            splits = _splits(_OpenFile(temporary, path), layout)
            digest = fingerprint(splits)
            _write_header(temporary, state, layout, digest)
    except OSError as error:
        raise _not_writable(path, layout, error.strerror) from error
    return splits, digest


def _check_space(path: Path, layout: Layout) -> None:
    """Fail before minutes of decoding rather than after."""
    available = available_disk(path.parent)
    if 0 < available < layout.total_bytes:  # 0: not writable; the write will say why
        raise _not_writable(path, layout, f"only {readable_size(available)} are available")


def _not_writable(path: Path, layout: Layout, reason: str | None) -> InputError:
    return InputError(
        f"The images can't be written to {path} ({readable_size(layout.total_bytes)}): {reason}; "
        "make space, set XDG_CACHE_HOME to a folder on another disk, or change `cache`."
    )


def _write_pieces(path: Path, layout: Layout, pieces: Iterable[Piece]) -> None:
    with path.open("r+b", buffering=0) as file:
        for split, row, images, labels in pieces:
            _write_at(file, layout.pixels_offset(split, row), images)
            if labels is not None:
                _write_at(file, layout.labels_offset(split, row), labels.astype(_LABEL))


def _write_header(path: Path, state: str, layout: Layout, digest: str) -> None:
    """Write the first page. It comes last, because it makes the file valid."""
    header = {"state": state, "fingerprint": digest, **vars(layout)}
    page = json.dumps(header).encode().ljust(_HEADER, b"\0")
    with path.open("r+b", buffering=0) as file:
        _write_at(file, 0, np.frombuffer(page, np.uint8))


def _write_at(file: FileIO, offset: int, array: np.ndarray) -> None:
    rest = np.ascontiguousarray(array).data.cast("B")
    file.seek(offset)
    while rest:
        rest = rest[file.write(rest) :]


def _remove_abandoned(folder: Path) -> None:
    """Remove the unfinished files of killed processes."""
    for path in folder.glob(f"{UNFINISHED}*"):
        if time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)
