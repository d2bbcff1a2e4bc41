"""What every kind of data set hands over: its parts, and how to read images of a part."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from keras_ganvae.data.lazy import LazyImages

CHUNK = 4 << 20  # bytes of images read at a time: small in memory, large beside the overhead

Chunk = tuple[np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Part:
    """One split as the data set itself defines it, not yet read.

    `read(indices)` takes sorted, distinct int64 indices below `size` and yields their images
    in that order, a chunk at a time: uint8 (n, H, W, C), and labels int64 (n,) or None.

    `view(indices)`, of data sets whose images can be got at one by one, returns images that
    are decoded when they are asked for, and all their labels.
    """

    size: int
    read: Callable[[np.ndarray], Iterator[Chunk]]
    view: Callable[[np.ndarray], tuple[LazyImages, np.ndarray | None]] | None = None


@dataclass(frozen=True)
class Source:
    """An opened data set: nothing is read yet but what is needed to describe it.

    `parts` has "train" and may have "validation" and "test". `shuffled` says that the
    first images of a part are a fair sample of it (files sorted by class are not).
    `shape()` is (H, W, C) of the images that `read` yields. `state()` is a string that
    changes when the files do; None for a source that is read into memory whole, so that
    keeping its images elsewhere would save nothing.
    """

    name: str
    spec: str
    classes: tuple[str, ...] | None
    parts: Mapping[str, Part]
    shuffled: bool
    shape: Callable[[], tuple[int, int, int]]
    state: Callable[[], str] | None = None


def rows_in(shape) -> int:
    """How many images of (H, W, C) make a chunk."""
    height, width, channels = shape
    return max(1, CHUNK // (height * width * channels))


def pieces(indices: np.ndarray, rows: int) -> Iterator[np.ndarray]:
    """The indices, so many at a time."""
    for start in range(0, len(indices), rows):
        yield indices[start : start + rows]
