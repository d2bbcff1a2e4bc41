"""What every kind of data set provides: its parts, and how to read the images of a part."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.data.lazy_images import LazyImages, Shape
from keras_ganvae.errors import InputError, first_line

CHUNK = 4 << 20  # bytes of images read at a time

Chunk = tuple[np.ndarray, np.ndarray | None]  # images (n, H, W, C) and labels (n,)


@dataclass(frozen=True)
class Part:
    """One split as the data set itself defines it, not read yet.

    `read(indices)` takes sorted, distinct int64 indices below `size` and yields their images
    in that order, in chunks: uint8 (n, H, W, C), and int64 labels (n,) or None.

    `view(indices)`, for data sets with random access, returns images that are decoded when
    they are indexed, and all their labels or None.
    """

    size: int
    read: Callable[[np.ndarray], Iterator[Chunk]]
    view: Callable[[np.ndarray], tuple[LazyImages, np.ndarray | None]] | None = None


@dataclass(frozen=True)
class Source:
    """An opened data set, of which only the description has been read.

    Attributes:
        name: short name, fit for a file name.
        spec: the spec that loads the data set again, from any working directory.
        classes: names of the labels 0, 1, ..., or None if there are no labels.
        parts: "train", and possibly "validation" and "test".
        shuffled: whether the first images of a part are a fair sample of it (those of files
            sorted by class are not).
        shape: returns (H, W, C) of the images that `Part.read` yields.
        state: returns a string that changes when the files change. None for a source that
            holds all its images in memory, so that a cache on disk would save nothing.
    """

    name: str
    spec: str
    classes: tuple[str, ...] | None
    parts: Mapping[str, Part]
    shuffled: bool
    shape: Callable[[], Shape]
    state: Callable[[], str] | None = None


def chunk_rows(shape: tuple[int, ...]) -> int:
    """Images of shape (H, W, C) in one chunk."""
    height, width, channels = shape
    return max(1, CHUNK // (height * width * channels))


def chunks(indices: np.ndarray, shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Split `indices` into those of one chunk of images (H, W, C) each."""
    rows = chunk_rows(shape)
    for start in range(0, len(indices), rows):
        yield indices[start : start + rows]


def resolved(path: str | Path) -> Path:
    """The absolute path, with ~ and links resolved.

    Raises:
        InputError: there is no such user, links form a loop, or the path has a NUL character.
    """
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path} can't be found: {first_line(error)}") from error


def file_name(*words: str) -> str:
    """Join words by hyphens, and replace characters that are not fit for a file name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(words)).strip("-.") or "unnamed"
