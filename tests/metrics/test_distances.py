import numpy as np
import pytest
from scipy import linalg

from keras_ganvae.errors import InputError
from keras_ganvae.metrics import distances
from keras_ganvae.metrics.distances import (
    Moments,
    frechet_distance,
    frechet_of_gaussians,
    kernel_distance,
    moments,
)


def _covariance(width, rank, seed):
    factor = np.random.default_rng(seed).normal(size=(width, rank))
    return factor @ factor.T / rank


def _normal(seed, count, width, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, scale, (count, width))


def test_moments_are_those_of_numpy():
    features = _normal(0, 50, 7, scale=3, shift=2).astype(np.float32)
    found = moments(features)
    assert found.mean.dtype == found.covariance.dtype == np.float64
    np.testing.assert_allclose(found.mean, features.mean(axis=0, dtype=np.float64))
    np.testing.assert_allclose(found.covariance, np.cov(features.astype(np.float64).T), atol=1e-12)


def test_frechet_of_diagonal_covariances():
    first = Moments(np.array([1.0, 2, 3]), np.diag([1.0, 4, 9]))
    second = Moments(np.array([1.0, 0, 6]), np.diag([4.0, 4, 1]))
    # Means 0 + 4 + 9; standard deviations (1, 2, 3) and (2, 2, 1): 1 + 0 + 4.
    assert frechet_of_gaussians(first, second) == pytest.approx(18)


def test_frechet_of_covariances_that_do_not_commute():
    first, second = _covariance(2, 2, seed=0), _covariance(2, 2, seed=1)
    # Of a 2x2 matrix, (tr sqrt(A))^2 = tr A + 2 sqrt(det A).
    product = first @ second
    root = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(first) + np.trace(second) - 2 * root
    zero = np.zeros(2)
    assert frechet_of_gaussians(Moments(zero, first), Moments(zero, second)) == pytest.approx(
        expected
    )


def test_frechet_agrees_with_a_general_matrix_square_root():
    first, second = _covariance(20, 40, seed=0), _covariance(20, 40, seed=1)
    root = linalg.sqrtm(first @ second)
    expected = np.trace(first + second) - 2 * np.trace(root).real
    zero = np.zeros(20)
    assert frechet_of_gaussians(Moments(zero, first), Moments(zero, second)) == pytest.approx(
        expected
    )
    assert frechet_of_gaussians(Moments(zero, second), Moments(zero, first)) == pytest.approx(
        expected
    )


def test_frechet_of_singular_covariances():
    rank_one = Moments(np.zeros(3), np.diag([4.0, 0, 0]))
    other = Moments(np.zeros(3), np.diag([0.0, 9, 0]))
    assert frechet_of_gaussians(rank_one, other) == pytest.approx(13)
    low = Moments(np.zeros(30), _covariance(30, 5, seed=2))
    assert frechet_of_gaussians(low, low) == pytest.approx(0, abs=1e-5)
    assert frechet_of_gaussians(low, low) >= 0


@pytest.mark.parametrize("count", [1, 8])
def test_too_few_images_for_the_features(count):
    with pytest.raises(InputError, match=f"8 features needs at least 9 images, not {count}"):
        moments(_normal(0, count, 8))
    with pytest.raises(InputError, match="at least 9 images"):
        frechet_distance(_normal(0, 20, 8), _normal(0, count, 8))


@pytest.mark.parametrize("measure", [frechet_distance, kernel_distance])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite(measure, value):
    broken = _normal(0, 20, 3)
    broken[4, 1] = value
    with pytest.raises(InputError, match="not all finite"):
        measure(broken, _normal(1, 20, 3))
    with pytest.raises(InputError, match="not all finite"):
        measure(_normal(1, 20, 3), broken)


def test_images_are_not_features():
    with pytest.raises(InputError, match=r"not \(4, 2, 2, 1\)"):
        moments(np.zeros((4, 2, 2, 1)))


@pytest.mark.parametrize(("scale", "shift"), [(1.2, 0.3), (0.8, 0), (1, 0.5)])
def test_frechet_error_is_the_spread_over_generated_sets(scale, shift):
    reference = _normal(0, 4000, 4)
    generated = [_normal(seed, 400, 4, scale, shift) for seed in range(1, 201)]
    found = [frechet_distance(each, reference) for each in generated]
    assert found[0].value == frechet_of_gaussians(moments(generated[0]), moments(reference))
    spread = np.std([each.value for each in found])
    assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=0.2)


def test_frechet_error_ignores_constant_features():
    generated, reference = _normal(0, 300, 5, scale=1.2), _normal(1, 300, 5)
    padded = [np.pad(each, ((0, 0), (0, 3))) for each in (generated, reference)]
    found, expected = frechet_distance(*padded), frechet_distance(generated, reference)
    assert found.value == pytest.approx(expected.value)
    assert found.error == pytest.approx(expected.error)


def _kernel_by_hand(x, y):
    return np.array([[(sum(a * b) / len(a) + 1) ** 3 for b in y] for a in x])


@pytest.mark.parametrize("block", [distances.BLOCK, 50, 1])
def test_kernel_distance_by_hand(block):
    x, y = _normal(0, 12, 3), _normal(1, 17, 3, shift=0.5)
    xx, yy, xy = _kernel_by_hand(x, x), _kernel_by_hand(y, y), _kernel_by_hand(x, y)
    expected = xx[~np.eye(12, dtype=bool)].mean() + yy[~np.eye(17, dtype=bool)].mean()
    expected -= 2 * xy.mean()
    found = kernel_distance(x, y, block)
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert found.error == pytest.approx(kernel_distance(y, x).error, rel=1e-12)


def test_kernel_distance_from_moments():
    # In one dimension (xy + 1)^3 compares the first three moments, weighted 3, 3 and 1.
    x, y = _normal(0, 1500, 1), _normal(1, 1500, 1, scale=1.5, shift=1)
    first, second = np.array([0, 1, 0]), np.array([1, 1 + 2.25, 1 + 3 * 2.25])
    expected = ([3, 3, 1] * (first - second) ** 2).sum()
    found = kernel_distance(x, y)
    assert abs(found.value - expected) < 4 * found.error
    assert found.error < 0.2 * expected


@pytest.mark.parametrize(
    ("scale", "shift", "sizes"),
    [
        (1, 0, (60, 60)),  # equal distributions: the first-order variance vanishes
        (1, 0, (40, 160)),
        (1, 0.15, (100, 60)),  # both orders matter
        (1.3, 0.5, (60, 150)),  # the first order dominates
    ],
)
def test_kernel_distance_is_unbiased_and_its_error_is_the_spread(scale, shift, sizes):
    def draw(seed):
        n, m = sizes
        return kernel_distance(_normal([seed, 0], n, 6, scale, shift), _normal([seed, 1], m, 6))

    found = [draw(seed) for seed in range(400)]
    values = np.array([each.value for each in found])
    spread = values.std()
    assert abs(values.mean() - _squared_mmd(6, scale, shift)) < 4 * spread / np.sqrt(len(values))
    # Never much too small; a seventh too large where the first order vanishes.
    assert 0.9 * spread < np.mean([each.error for each in found]) < 1.25 * spread


def _squared_mmd(width, scale, shift):
    """MMD^2 of N(shift, scale^2 I) and N(0, I) in closed form.

    With s = x.y / width, (s + 1)^3 = 1 + 3s + 3s^2 + s^3, and the powers of x.y are inner
    products of moment tensors.
    """
    orders = zip(
        (3, 3, 1), _moment_tensors(width, scale, shift), _moment_tensors(width, 1, 0), strict=True
    )
    return sum(
        weight * ((first - second) ** 2).sum() / width**power
        for power, (weight, first, second) in enumerate(orders, start=1)
    )


def _moment_tensors(width, scale, shift):
    mean, covariance = np.full(width, shift), scale**2 * np.eye(width)
    second = covariance + np.multiply.outer(mean, mean)
    mixed = np.multiply.outer(covariance, mean)
    third = mixed + mixed.transpose(0, 2, 1) + mixed.transpose(2, 0, 1)
    return mean, second, third + np.multiply.outer(np.multiply.outer(mean, mean), mean)


def test_kernel_distance_needs_two_images():
    with pytest.raises(InputError, match="at least two images"):
        kernel_distance(_normal(0, 1, 3), _normal(1, 9, 3))
