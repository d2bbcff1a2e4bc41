"""The images of one split with their labels, and the fingerprint of three of them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_ganvae.data.lazy import LazyImages
from keras_ganvae.data.sources.source import rows_in

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """`images` uint8 (N, H, W, C), C 1 or 3; `labels` int64 (N,), or None if there are none.

    `images` is an array, or `LazyImages`, which are indexed like one.
    """

    images: np.ndarray | LazyImages
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


def fingerprint(splits: Mapping[str, Split]) -> str:
    """SHA-256 of shapes, pixels and labels, wherever the images are kept.

    They are read through once, a chunk at a time.
    """
    digest = hashlib.sha256()
    for name in SPLITS:
        images, labels = splits[name].images, splits[name].labels
        digest.update(f"{name} {images.shape} {labels is not None}\n".encode())
        rows = rows_in(images.shape[1:])
        for start in range(0, len(images), rows):
            digest.update(np.ascontiguousarray(images[start : start + rows]).data)
        if labels is not None:
            digest.update(labels.astype("<i8").data)
    return digest.hexdigest()
