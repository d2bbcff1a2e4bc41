import numpy as np
import pytest

from keras_ganvae.data import load
from keras_ganvae.data.sources.handwriting import GLYPHS


@pytest.fixture(scope="module")
def digits():
    return load("synthetic")


def test_sizes_and_kind(digits):
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (27_500, 2_500, 5_000)
    assert digits.image_shape == (28, 28, 1)
    assert digits.train.images.dtype == np.uint8 and digits.train.labels.dtype == np.int64
    assert (digits.name, digits.spec) == ("synthetic", "synthetic")
    assert digits.classes == tuple("0123456789")


def test_digits_are_balanced(digits):
    assert np.bincount(digits.test.labels).tolist() == [500] * 10
    both = np.concatenate([digits.train.labels, digits.validation.labels])
    assert np.bincount(both).tolist() == [3000] * 10
    assert np.bincount(digits.validation.labels).min() > 180


def test_no_image_occurs_twice(digits):
    splits = (digits.train, digits.validation, digits.test)
    assert len({image.tobytes() for split in splits for image in split.images}) == 35_000


def test_white_ink_on_a_black_border(digits):
    images = digits.test.images[..., 0]
    assert images.min() == 0
    assert (images.max(axis=(1, 2)) > 150).all(), "every digit is clearly visible"
    lit = (images > 127).mean(axis=(1, 2))
    assert lit.min() > 0.01 and lit.max() < 0.45
    assert 0.08 < lit.mean() < 0.17  # MNIST: 0.13
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]])
    assert (border == 0).mean() > 0.98, "digits are inside the image"
    grey = ((images > 0) & (images < 255)).mean() / (images > 0).mean()
    assert grey > 0.3, "edges are smooth"


def test_digits_of_a_class_vary_and_classes_differ(digits):
    images = digits.train.images[:4000].reshape(4000, -1).astype(np.float32) / 255
    labels = digits.train.labels[:4000]
    means = np.stack([images[labels == digit].mean(axis=0) for digit in range(10)])
    for digit in range(10):
        own = images[labels == digit]
        assert own.std(axis=0).max() > 0.3
        assert np.abs(means - means[digit]).sum(axis=1)[np.arange(10) != digit].min() > 20


def test_a_nearest_neighbour_classifier_works(digits):
    """The nearest of 4,000 training images has the right label in over 93 % of cases."""
    known = digits.train.images[:4000].reshape(4000, -1).astype(np.float32)
    queries = digits.test.images[:500].reshape(500, -1).astype(np.float32)
    squares = (known**2).sum(axis=1) - 2 * queries @ known.T
    found = digits.train.labels[squares.argmin(axis=1)]
    assert (found == digits.test.labels[:500]).mean() > 0.93


@pytest.mark.parametrize("limit", [1, 7, 499, 1203])
def test_an_image_does_not_depend_on_the_limit(digits, limit):
    few = load("synthetic", limit=limit)
    for split in ("train", "validation", "test"):
        some, everything = getattr(few, split), getattr(digits, split)
        assert len(some) == min(limit, len(everything))
        np.testing.assert_array_equal(some.images, everything.images[:limit])
        np.testing.assert_array_equal(some.labels, everything.labels[:limit])


def test_loading_twice_gives_the_same_images(digits):
    again = load("synthetic", limit=200)
    assert again.fingerprint == load("synthetic", limit=200).fingerprint
    assert again.fingerprint != digits.fingerprint


def test_each_digit_has_several_glyphs():
    assert sorted(GLYPHS) == list(range(10))
    assert all(len(glyphs) >= 4 for glyphs in GLYPHS.values())
