"""Images that are not in memory, used like the array that they would be."""

from abc import ABC, abstractmethod

import numpy as np


class LazyImages(ABC):
    """N images (H, W, C) of uint8, fetched when they are indexed.

    `images[index]` takes what NumPy takes for the first axis (a number, a slice, an array
    of numbers or of booleans) and returns a uint8 array. `numpy.asarray` fetches all.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, shape):
        self.shape = (count, *shape)
        self._numbers = np.arange(count)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """What they would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index) -> np.ndarray:
        rows = self._numbers[index]  # NumPy's own rules, and its errors
        return self._fetch(rows) if rows.ndim else self._fetch(rows[None])[0]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    @abstractmethod
    def _fetch(self, rows: np.ndarray) -> np.ndarray:
        """The images of the given numbers (n,), each from 0 to N - 1: uint8 (n, H, W, C)."""


def first(images, count: int):
    """The first `count` images, of an array or of `LazyImages`, without fetching any."""
    return images[:count] if isinstance(images, np.ndarray) else _First(images, count)


class _First(LazyImages):
    def __init__(self, images: LazyImages, count: int):
        super().__init__(min(count, len(images)), images.shape[1:])
        self._images = images

    def _fetch(self, rows):
        return self._images[rows]
