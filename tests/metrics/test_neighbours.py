import numpy as np
import pytest
from scipy.spatial.distance import cdist

from keras_ganvae.errors import InputError
from keras_ganvae.metrics import neighbours
from keras_ganvae.metrics.estimate import of_mean
from keras_ganvae.metrics.neighbours import nearest_distances, precision_recall_density_coverage


def _normal(seed, count, width, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, (count, width))


def _by_hand(real, generated, k):
    """The same four from all distances, sorted, in float64."""
    across = cdist(real, generated)
    real_radii = np.sort(cdist(real, real))[:, k]
    generated_radii = np.sort(cdist(generated, generated))[:, k]
    inside = across <= real_radii[:, None]
    return {
        "precision": of_mean(inside.any(axis=0)),
        "recall": of_mean((across <= generated_radii).any(axis=1)),
        "density": of_mean(inside.sum(axis=0) / k),
        "coverage": of_mean(across.min(axis=1) <= real_radii),
    }


@pytest.mark.parametrize("k", [1, 3, 19])
@pytest.mark.parametrize("block", [neighbours.BLOCK, 100, 1])
def test_all_four_by_hand(k, block):
    real, generated = _normal(0, 40, 3) + 5, _normal(1, 20, 3, scale=0.7) + 5.5
    found = precision_recall_density_coverage(real, generated, k, block)
    expected = _by_hand(real, generated, k)
    assert list(found) == ["precision", "recall", "density", "coverage"]
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(expected[name].value), name
        assert estimate.error == pytest.approx(expected[name].error), name


def test_on_a_line():
    real = np.array([[0.0], [1], [2], [10]])  # radii 1, 1, 1, 8
    generated = np.array([[0.5], [0.6], [30]])  # radii .1, .1, 29.4
    found = precision_recall_density_coverage(real, generated, k=1)
    # .5 and .6 are in the balls of 0 and 1; 0, 1 and 2 are in that of 30.
    assert {name: each.value for name, each in found.items()} == pytest.approx(
        {"precision": 2 / 3, "recall": 3 / 4, "density": 4 / 3, "coverage": 2 / 4}
    )


def test_a_collapsed_generator():
    real = _normal(0, 200, 4)
    collapsed = real[:1] + _normal(1, 50, 4, scale=1e-3)
    found = precision_recall_density_coverage(real, collapsed)
    assert found["precision"].value == 1
    assert found["recall"].value <= 1 / 200  # the one that it collapsed to
    assert found["coverage"].value < 0.2


def test_sets_far_apart():
    found = precision_recall_density_coverage(_normal(0, 50, 4), _normal(1, 60, 4) + 100)
    assert {each.value for each in found.values()} == {0}


def test_the_same_images():
    real = _normal(0, 60, 4)
    found = precision_recall_density_coverage(real, real)
    assert found["precision"].value == found["recall"].value == found["coverage"].value == 1
    # Each image's ball holds itself and its k neighbours.
    assert found["density"].value == pytest.approx(6 / 5)


@pytest.mark.parametrize(("k", "sizes"), [(5, (5, 9)), (5, (9, 5)), (0, (9, 9))])
def test_k_out_of_range(k, sizes):
    with pytest.raises(InputError, match=f"is {k}; .*{sizes[0]} real and {sizes[1]} generated"):
        precision_recall_density_coverage(_normal(0, sizes[0], 2), _normal(1, sizes[1], 2), k)


@pytest.mark.parametrize("measure", [precision_recall_density_coverage, nearest_distances])
def test_features_that_are_not_finite(measure):
    broken = _normal(0, 20, 3)
    broken[7, 0] = np.nan
    for pair in ((broken, _normal(1, 20, 3)), (_normal(1, 20, 3), broken)):
        with pytest.raises(InputError, match="not all finite"):
            measure(*pair)


@pytest.mark.parametrize("block", [neighbours.BLOCK, 64])
def test_nearest_distances_by_hand(block):
    queries, reference = _normal(0, 30, 5), _normal(1, 50, 5)
    found = nearest_distances(queries, reference, block)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cdist(queries, reference).min(axis=1), rtol=1e-5)


def test_a_copy_of_a_training_image_is_at_distance_zero(digits):
    flat = digits.reshape(len(digits), -1) / np.float32(255)
    np.testing.assert_array_equal(nearest_distances(flat[10:20], flat), 0)
    nearly = flat[10:11].copy()
    nearly[0, 300] += 0.25
    np.testing.assert_allclose(nearest_distances(nearly, flat), 0.25, rtol=1e-4)


@pytest.mark.slow
def test_published_values():
    """The example of the authors' code: two equal normals in 1,000 dimensions."""
    random = np.random.default_rng(0)
    sets = (random.normal(size=(10_000, 1000)).astype(np.float32) for _ in range(2))
    found = precision_recall_density_coverage(*sets, k=5)
    published = {"precision": 0.4772, "recall": 0.4705, "density": 1.0555, "coverage": 0.9735}
    # Both are single draws; in so many dimensions a few balls contain most images.
    within = {"precision": 0.04, "recall": 0.04, "density": 0.25, "coverage": 0.03}
    for name, value in published.items():
        assert found[name].value == pytest.approx(value, abs=within[name]), name
