"""Decoded images in a file, so that they need no memory and the next run no decoding.

A file holds a page of JSON, the pixels of the three splits one after the other (uint8), and
then their labels (little-endian int64), if there are any. Its name is made from all that is
asked of `load`, and its first page says from what state of the data it was made and what
its fingerprint is: a file that was made from other images, is not whole or was altered is
not used, and replaced.
"""

import hashlib
import json
import logging
import os
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data.lazy import LazyImages
from keras_ganvae.data.room import free_disk, size
from keras_ganvae.data.split import Split, fingerprint
from keras_ganvae.errors import InputError
from keras_ganvae.files import UNFINISHED, replacing

_HEADER = 4096  # bytes: a page, so that the pixels begin at one
_VERSION = 1  # of the layout, and of the way that images are decoded
_LABEL = np.dtype("<i8")
_ABANDONED = 3600  # seconds after its last byte a half-written file has no writer any more
_MOST_READ = 1 << 30  # bytes asked of one call; Linux gives at most 2 GB

_log = logging.getLogger("keras_ganvae")


def folder() -> Path:
    """Where the files are: below XDG_CACHE_HOME, or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~", ".cache").expanduser()
    return Path(cache) / "keras-ganvae" / "images"


def file_for(name: str, spec: str, **settings) -> Path:
    """The file of a data set that is loaded with these settings."""
    key = json.dumps([_VERSION, spec, settings], sort_keys=True)
    return folder() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.images"


@dataclass(frozen=True)
class Layout:
    """What a file holds: `counts` of images by split, `shape` (H, W, C), labels or none."""

    counts: Mapping[str, int]
    shape: tuple[int, int, int]
    labelled: bool

    @property
    def image_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def images(self) -> int:
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        """Bytes of the whole file."""
        label = _LABEL.itemsize if self.labelled else 0
        return _HEADER + self.images * (self.image_bytes + label)

    def first(self, split: str) -> int:
        """Number of a split's first image in the file."""
        names = list(self.counts)
        return sum(self.counts[name] for name in names[: names.index(split)])

    def pixels_at(self, split: str, row: int = 0) -> int:
        return _HEADER + (self.first(split) + row) * self.image_bytes

    def labels_at(self, split: str) -> int:
        return _HEADER + self.images * self.image_bytes + self.first(split) * _LABEL.itemsize


class StoredImages(LazyImages):
    """The images of one split, read from the file when they are asked for.

    Read with `pread`, not mapped: a mapping's pages count as this process's memory.

    Raises:
        InputError: the file was cut while it was in use.
    """

    def __init__(self, descriptor: "_Descriptor", start: int, count: int, shape):
        super().__init__(count, shape)
        self._descriptor = descriptor
        self._start = start

    def _fetch(self, rows):
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        if not len(rows):
            return images
        each = images[0].nbytes
        flat = images.reshape(len(rows), each)
        # Neighbours in the file are read at once.
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for first, last in zip((0, *breaks), (*breaks, len(rows)), strict=True):
            place = self._start + int(rows[first]) * each
            self._descriptor.read_into(flat[first:last].reshape(-1), place)
        return images


class _Descriptor:
    """A file open for reading, closed when nothing refers to it any more.

    It is called `name` in errors; its path may change while it is open.
    """

    def __init__(self, path: Path, name: Path):
        self.name = name
        self.number = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.number)

    def read_into(self, out: np.ndarray, place: int):
        """Fills the flat uint8 array `out` with the bytes from `place` on."""
        done = 0
        while done < len(out):
            part = os.pread(self.number, min(len(out) - done, _MOST_READ), place + done)
            if not part:
                raise InputError(f"{self.name} was cut while it was in use; start again.")
            out[done : done + len(part)] = np.frombuffer(part, np.uint8)
            done += len(part)


def read(path: Path, state: str) -> tuple[dict[str, Split], str] | None:
    """The splits in a file and their fingerprint, or None if the file is not to be used.

    All of it is read through once: only an unaltered file has the fingerprint that it tells.

    Args:
        path: from `file_for`.
        state: the file must have been made from this state of the data.
    """
    if not path.is_file():
        return None
    try:
        descriptor = _Descriptor(path, path)
        header = json.loads(os.pread(descriptor.number, _HEADER, 0).rstrip(b"\0"))
        layout = Layout(header["counts"], tuple(header["shape"]), header["labelled"])
        if header["state"] != state:
            _log.info("cache: the data has changed since %s was written", path)
            return None
        if os.fstat(descriptor.number).st_size == layout.total:
            splits = _splits(descriptor, layout)
            if fingerprint(splits) == header["fingerprint"]:
                return splits, header["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.debug("%s: %s", path, error)
    _log.warning("cache: %s is damaged and not used", path)
    return None


def _splits(descriptor: _Descriptor, layout: Layout) -> dict[str, Split]:
    splits = {}
    for name, count in layout.counts.items():
        images = StoredImages(descriptor, layout.pixels_at(name), count, layout.shape)
        labels = None
        if layout.labelled:
            labels = np.empty(count, _LABEL)
            descriptor.read_into(labels.view(np.uint8), layout.labels_at(name))
            labels = labels.astype(np.int64)
        splits[name] = Split(images, labels)
    return splits


def write(path: Path, state: str, layout: Layout, stream) -> tuple[dict[str, Split], str]:
    """Writes a file from a stream of (split, first row, images, labels or None).

    Returns:
        The splits, read from the file, and their fingerprint.

    Raises:
        InputError: there is no room for it, or it can't be written; nothing is left behind.
    """
    _log.info("cache: writing %s to %s", size(layout.total), path)
    _refuse_too_large(path, layout)
    try:
        with replacing(path) as beside:
            _remove_abandoned(path.parent)
            _fill(beside, layout, stream)
            splits = _splits(_Descriptor(beside, path), layout)
            digest = fingerprint(splits)
            _sign(beside, state, layout, digest)
    except OSError as error:
        raise _no_room(path, layout, error.strerror) from error
    return splits, digest


def _refuse_too_large(path: Path, layout: Layout):
    """Before minutes of decoding: the error that the full disk would be in the end."""
    free = free_disk(path.parent)
    if 0 < free < layout.total:  # where nothing can be written, writing will say why
        raise _no_room(path, layout, f"only {size(free)} are free there")


def _no_room(path: Path, layout: Layout, reason) -> InputError:
    return InputError(
        f"The images can't be written to {path} ({size(layout.total)}): {reason}; make room, "
        "set XDG_CACHE_HOME to a folder on another disk, or give another --cache."
    )


def _fill(path: Path, layout: Layout, stream):
    with path.open("r+b", buffering=0) as file:
        for split, row, images, labels in stream:
            _put(file, layout.pixels_at(split, row), images)
            if labels is not None:
                place = layout.labels_at(split) + row * _LABEL.itemsize
                _put(file, place, labels.astype(_LABEL))


def _sign(path: Path, state: str, layout: Layout, digest: str):
    """Writes the first page, last: with it the file is whole."""
    header = {"state": state, "fingerprint": digest, **vars(layout)}
    page = json.dumps(header).encode().ljust(_HEADER, b"\0")
    with path.open("r+b", buffering=0) as file:
        _put(file, 0, np.frombuffer(page, np.uint8))


def _put(file, place: int, array: np.ndarray):
    rest = memoryview(np.ascontiguousarray(array)).cast("B")
    file.seek(place)
    while rest:
        rest = rest[file.write(rest) :]


def _remove_abandoned(folder: Path):
    """What a process that was killed left half-written."""
    for path in folder.glob(f"{UNFINISHED}*"):
        if time.time() - path.stat().st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)
