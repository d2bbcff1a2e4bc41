"""Which images train, which validate, which test. No seed of a run has a say in it.

A data set that brings no test images gives a tenth of its training images, and one that
brings no validation images a twelfth of what is left (5,000 of MNIST's 60,000), both
picked by fixed permutations: two runs with different seeds are judged on the same images.
"""

from collections.abc import Mapping

import numpy as np

from keras_ganvae.errors import InputError

TEST_SHARE = 10  # one image in ten, when a data set has no test images of its own
VALIDATION_SHARE = 12

_TEST_SEED = 1001
_VALIDATION_SEED = 1002


def partition(
    sizes: Mapping[str, int], *, shuffled: bool, limit=None, validation_size=None
) -> dict[str, tuple[str, np.ndarray]]:
    """Plans the three splits.

    Args:
        sizes: images in each part that the data set brings: "train", and perhaps
            "validation" and "test".
        shuffled: the first images of a part are a fair sample of it; if not, `limit` takes
            evenly spaced ones, so that files sorted by class give some of every class.
        limit: at most so many images in each split, or None.
        validation_size: images to hold out of the training images, or None for a twelfth.

    Returns:
        For "train", "validation" and "test": the part to read, and sorted int64 indices.

    Raises:
        InputError: `limit` or `validation_size` is out of range, or images are too few.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}; it must be at least 1.")
    plan = {part: (part, np.arange(size)) for part, size in sizes.items()}
    for part, size in sizes.items():
        if size < 1:
            raise InputError(f"The {part} split of this data set has no images.")
    rest = plan["train"][1]
    if "test" not in plan:
        rest, test = _cut(rest, max(1, len(rest) // TEST_SHARE), _TEST_SEED)
        plan["test"] = "train", test
    if "validation" not in plan:
        held_out = _validation_size(len(rest), validation_size)
        rest, validation = _cut(rest, held_out, _VALIDATION_SEED)
        plan["validation"] = "train", validation
    elif validation_size is not None:
        raise InputError(
            f"This data set brings {sizes['validation']} validation images of its own; "
            f"leave out validation_size ({validation_size})."
        )
    if not len(rest):
        raise InputError(
            f"{sizes['train']} images are too few to train, validate and test with; "
            "give at least 3."
        )
    plan["train"] = "train", rest
    return {split: (part, _first(kept, limit, shuffled)) for split, (part, kept) in plan.items()}


def _validation_size(images: int, wanted) -> int:
    """How many of the `images` left for training are held out."""
    if wanted is None:
        return max(1, images // VALIDATION_SHARE)
    if not 1 <= wanted < images:
        raise InputError(
            f"validation_size is {wanted}; it must be at least 1 and leave at least one of the "
            f"{images} training images."
        )
    return wanted


def _cut(indices, count: int, seed: int):
    """(the others, `count` of the indices), both still sorted, by a fixed permutation."""
    # RandomState, because NumPy promises that its streams never change.
    order = np.random.RandomState(seed).permutation(len(indices))
    return np.sort(indices[order[count:]]), np.sort(indices[order[:count]])


def _first(indices, limit, shuffled: bool):
    if limit is None or limit >= len(indices):
        return indices
    if shuffled:
        return indices[:limit]
    # The middles of `limit` equal stretches.
    return indices[(2 * np.arange(limit) + 1) * len(indices) // (2 * limit)]
