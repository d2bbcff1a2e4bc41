import math

import numpy as np
import pytest

from keras_ganvae.priors import NormalPrior
from keras_ganvae.priors.fit import fit_mixture


def _clusters(count, seed):
    """Three round clusters, far apart."""
    generator = np.random.default_rng(seed)
    centres = np.array([[-4, 0], [4, 0], [0, 5]])[generator.integers(0, 3, count)]
    return (centres + 0.3 * generator.standard_normal((count, 2))).astype(np.float32)


def test_clusters_are_fitted_by_a_mixture():
    prior = fit_mixture(_clusters(400, 0), _clusters(500, 1), seed=0)
    assert prior.components > 1
    assert prior.weights.sum() == pytest.approx(1, abs=1e-5)
    # Samples fall into the same three clusters, in the same proportions.
    z = prior.sample(3000, 2)
    nearest = np.abs(z[:, None] - np.float32([[-4, 0], [4, 0], [0, 5]])).max(axis=2)
    assert (nearest.min(axis=1) < 2).all()
    shares = np.bincount(nearest.argmin(axis=1), minlength=3) / 3000
    assert (np.abs(shares - 1 / 3) < 0.12).all()
    # The entropy of such clusters: log 3, and that of a deviation of 0.3 in two dimensions.
    entropy = math.log(3) + math.log(2 * math.pi * math.e) + 2 * math.log(0.3)
    assert prior.held_out["mixture"] == pytest.approx(-entropy, abs=0.25)
    normal = NormalPrior(2).log_density(_clusters(500, 1)).mean()
    assert prior.held_out["normal"] == pytest.approx(normal, rel=1e-5)
    assert prior.held_out["mixture"] > prior.held_out["normal"] + 1


def test_one_gaussian_is_fitted_by_one_component():
    generator = np.random.default_rng(3)
    factor = np.array([[1, 0], [0.9, 0.3]])
    train, held_out = (1 + generator.standard_normal((n, 2)) @ factor.T for n in (900, 1000))
    prior = fit_mixture(train.astype(np.float32), held_out.astype(np.float32), seed=0)
    assert prior.components == 1
    np.testing.assert_allclose(prior.means[0], [1, 1], atol=0.15)
    np.testing.assert_allclose(prior.factors[0], factor, atol=0.15)


def test_parameters_have_four_decimals():
    prior = fit_mixture(_clusters(240, 0), _clusters(100, 1), seed=0)
    for numbers in (prior.means, prior.factors):
        np.testing.assert_array_equal(numbers, np.round(numbers.astype(float), 4).astype("f"))


def test_fitting_is_deterministic():
    first, second = (fit_mixture(_clusters(240, 0), _clusters(100, 1), seed=5) for _ in range(2))
    for name in ("weights", "means", "factors"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.held_out == second.held_out


def test_the_factors_are_lower_triangular():
    prior = fit_mixture(_clusters(240, 0), _clusters(100, 1), seed=0)
    np.testing.assert_array_equal(np.triu(prior.factors, 1), 0)
    assert (np.diagonal(prior.factors, axis1=1, axis2=2) > 0).all()
