"""Train, validation and test splits: which images they hold, and their fingerprint.

The split of an image does not depend on a run's seed, so that runs with different seeds are
evaluated on the same images. A data set without test images gives a tenth of its training
images, and one without validation images a twelfth of the rest (5,000 of MNIST's 60,000),
both chosen by fixed permutations.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_ganvae.data.lazy_images import LazyImages
from keras_ganvae.data.sources.base import chunk_rows
from keras_ganvae.errors import InputError

SPLITS = ("train", "validation", "test")

TEST_FRACTION = 10  # one image in ten
VALIDATION_FRACTION = 12

_TEST_SEED = 1001
_VALIDATION_SEED = 1002

# By split: the part of the source to read, and sorted int64 indices into it.
SplitIndices = dict[str, tuple[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split.

    Attributes:
        images: uint8 (N, H, W, C), C 1 or 3: an array or `LazyImages`.
        labels: int64 (N,), or None if there are none.
    """

    images: np.ndarray | LazyImages
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


def fingerprint(splits: Mapping[str, Split]) -> str:
    """SHA-256 checksum of shapes, pixels and labels, read once in chunks.

    It does not depend on where the images are kept.
    """
    digest = hashlib.sha256()
    for name in SPLITS:
        images, labels = splits[name].images, splits[name].labels
        digest.update(f"{name} {images.shape} {labels is not None}\n".encode())
        rows = chunk_rows(images.shape[1:])
        for start in range(0, len(images), rows):
            digest.update(np.ascontiguousarray(images[start : start + rows]).data)
        if labels is not None:
            digest.update(labels.astype("<i8").data)
    return digest.hexdigest()


def split_indices(
    sizes: Mapping[str, int],
    *,
    shuffled: bool,
    limit: int | None = None,
    validation_size: int | None = None,
) -> SplitIndices:
    """Assign every image to one split.

    Args:
        sizes: images in each part of the data set: "train", and possibly "validation" and
            "test".
        shuffled: whether the first images of a part are a fair sample of it. If not, `limit`
            takes evenly spaced ones, so that files sorted by class keep every class.
        limit: the most images in a split, or None.
        validation_size: images to hold out of the training images; a twelfth if None.

    Returns:
        For "train", "validation" and "test": the part to read, and sorted int64 indices.

    Raises:
        InputError: `limit` or `validation_size` is out of range, or there are too few images.
    """
    if limit is not None and limit < 1:
        raise InputError(f"`limit` is {limit}; it must be at least 1.")
    for part, size in sizes.items():
        if size < 1:
            raise InputError(f"The {part} split of this data set has no images.")
    plan = {part: (part, np.arange(size)) for part, size in sizes.items()}
    rest = plan["train"][1]
    if "test" not in plan:
        rest, test = _hold_out(rest, max(1, len(rest) // TEST_FRACTION), _TEST_SEED)
        plan["test"] = "train", test
    if "validation" not in plan:
        held_out = _validation_size(len(rest), validation_size)
        rest, validation = _hold_out(rest, held_out, _VALIDATION_SEED)
        plan["validation"] = "train", validation
    elif validation_size is not None:
        raise InputError(
            f"This data set has {sizes['validation']} validation images already; leave out "
            f"`validation_size` ({validation_size})."
        )
    if not len(rest):
        raise InputError(
            f"{sizes['train']} images are too few to train, validate and test with; "
            "give at least 3."
        )
    plan["train"] = "train", rest
    return {split: (part, _limited(kept, limit, shuffled)) for split, (part, kept) in plan.items()}


def _validation_size(images: int, wanted: int | None) -> int:
    """How many of the `images` left for training to hold out."""
    if wanted is None:
        return max(1, images // VALIDATION_FRACTION)
    if not 1 <= wanted < images:
        raise InputError(
            f"`validation_size` is {wanted}; it must be at least 1 and leave at least one of the "
            f"{images} training images."
        )
    return wanted


def _hold_out(indices: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rest, and `count` of the indices chosen by a fixed permutation, both sorted."""
    # RandomState, because NumPy promises that its streams never change.
    order = np.random.RandomState(seed).permutation(len(indices))
    return np.sort(indices[order[count:]]), np.sort(indices[order[:count]])


def _limited(indices: np.ndarray, limit: int | None, shuffled: bool) -> np.ndarray:
    if limit is None or limit >= len(indices):
        return indices
    if shuffled:
        return indices[:limit]
    # The middles of `limit` equal intervals.
    return indices[(2 * np.arange(limit) + 1) * len(indices) // (2 * limit)]
