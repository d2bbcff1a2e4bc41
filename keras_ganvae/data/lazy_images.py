"""Images that are read or decoded when they are indexed."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

Shape = tuple[int, int, int]  # (H, W, C) of an image


class LazyImages(ABC):
    """uint8 images (N, H, W, C) that are fetched when they are indexed.

    `images[index]` takes any NumPy index of the first axis (an integer, a slice, an array of
    integers or booleans) and returns a uint8 array. `numpy.asarray` fetches all images.

    Args:
        count: N.
        shape: (H, W, C).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, count: int, shape: Shape):
        self.shape: tuple[int, int, int, int] = (count, *shape)
        self._rows = np.arange(count)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the images would take in memory."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        rows = self._rows[index]  # NumPy's rules and errors
        return self.fetch(rows) if rows.ndim else self.fetch(rows[None])[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    @abstractmethod
    def fetch(self, rows: np.ndarray) -> np.ndarray:
        """The images at `rows` (n,), integers from 0 to N - 1: uint8 (n, H, W, C)."""


Images = np.ndarray | LazyImages


def first(images: Images, count: int) -> Images:
    """The first `count` images, without fetching any."""
    return images[:count] if isinstance(images, np.ndarray) else _First(images, count)


class _First(LazyImages):
    def __init__(self, images: LazyImages, count: int):
        super().__init__(min(count, len(images)), images.shape[1:])
        self._images = images

    def fetch(self, rows: np.ndarray) -> np.ndarray:
        return self._images[rows]
