"""What every kind of data set hands over: its parts, and how to read images of a part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Part:
    """One split as the data set itself defines it, not yet read.

    `read(indices)` takes sorted, distinct int64 indices below `size` and returns
    (images, labels): uint8 (N, H, W, C), and int64 (N,) or None.
    """

    size: int
    read: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Source:
    """An opened data set: nothing is read yet but what is needed to describe it.

    `parts` has "train" and may have "validation" and "test". `shuffled` says that the
    first images of a part are a fair sample of it (files sorted by class are not).
    """

    name: str
    spec: str
    classes: tuple[str, ...] | None
    parts: Mapping[str, Part]
    shuffled: bool
