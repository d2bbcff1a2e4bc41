import math

import numpy as np
import pytest

from keras_ganvae.priors.mixture import MixturePrior, NormalPrior, fit_mixture

WEIGHTS = np.float32([0.2, 0.8])
MEANS = np.float32([[-20, 3], [20, -1]])
FACTORS = np.float32([[[2, 0], [1, 0.5]], [[0.3, 0], [-0.4, 1]]])


@pytest.fixture
def mixture():
    return MixturePrior(WEIGHTS, MEANS, FACTORS, {"mixture": -1.5, "normal": -2.5})


def _clusters(count, seed):
    """Three round clusters, far apart."""
    generator = np.random.default_rng(seed)
    centres = np.array([[-4, 0], [4, 0], [0, 5]])[generator.integers(0, 3, count)]
    return (centres + 0.3 * generator.standard_normal((count, 2))).astype(np.float32)


def test_a_mixture_draws_from_its_components(mixture):
    count = 40_000
    z = mixture.sample(count, 0)
    assert z.shape == (count, 2) and z.dtype == np.float32
    first = z[:, 0] < 0  # forty apart, with a spread of two at most
    error = math.sqrt(0.2 * 0.8 / count)
    assert abs(first.mean() - 0.2) < 5 * error
    for part, mean, factor in zip((z[first], z[~first]), MEANS, FACTORS, strict=True):
        covariance = factor @ factor.T
        deviation = np.sqrt(np.diag(covariance) / len(part))
        assert (np.abs(part.mean(axis=0) - mean) < 5 * deviation).all()
        # The standard error of a covariance of normals: sqrt((c_ii c_jj + c_ij^2) / n).
        variances = np.diag(covariance)
        error = np.sqrt((np.outer(variances, variances) + covariance**2) / len(part))
        assert (np.abs(np.cov(part.T) - covariance) < 5 * error).all()


def test_the_normal_prior():
    prior = NormalPrior(3)
    z = prior.sample(50_000, 1)
    assert (z.shape, z.dtype, prior.latent_dim) == ((50_000, 3), np.float32, 3)
    assert (np.abs(z.mean(axis=0)) < 5 / math.sqrt(50_000)).all()
    assert (np.abs(z.var(axis=0) - 1) < 5 * math.sqrt(2 / 50_000)).all()
    at = prior.log_density(np.float32([[0, 0, 0], [1, 2, 0]]))
    constant = -1.5 * math.log(2 * math.pi)
    np.testing.assert_allclose(at, [constant, constant - 2.5], rtol=1e-6)


@pytest.mark.parametrize("count", [1, 10])
def test_draws_depend_on_the_generator_alone(mixture, count):
    for prior in (mixture, NormalPrior(2)):
        first, second, other = (prior.sample(count, seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)


def test_save_and_load(mixture, tmp_path):
    mixture.save(tmp_path / "prior.npz")
    again = MixturePrior.load(tmp_path / "prior.npz")
    for name in ("weights", "means", "factors"):
        found, wanted = getattr(again, name), getattr(mixture, name)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == np.float32
    assert again.held_out == mixture.held_out
    assert (again.components, again.latent_dim, again.name) == (2, 2, "mixture")
    np.testing.assert_array_equal(again.sample(5, 0), mixture.sample(5, 0))


@pytest.mark.parametrize(
    "arrays",
    [
        {"weights": WEIGHTS, "means": MEANS},
        {"weights": WEIGHTS[:1], "means": MEANS, "factors": FACTORS},
        {"weights": WEIGHTS, "means": MEANS, "factors": FACTORS[:, :1]},
        {"weights": WEIGHTS, "means": MEANS[0], "factors": FACTORS},
        {"weights": np.array([{}]), "means": MEANS, "factors": FACTORS},
    ],
    ids=["missing", "weights", "factors", "rank", "pickle"],
)
def test_arrays_that_do_not_belong_together(tmp_path, arrays):
    np.savez(tmp_path / "prior.npz", **arrays)
    with pytest.raises((ValueError, KeyError)):
        MixturePrior.load(tmp_path / "prior.npz")


def test_a_mixture_is_preferred_where_there_is_one():
    prior = fit_mixture(_clusters(400, 0), _clusters(500, 1), seed=0)
    assert prior.components > 1
    assert prior.weights.sum() == pytest.approx(1, abs=1e-5)
    # Draws and data: the same three clusters in the same shares, none of it between them.
    z = prior.sample(3000, 2)
    nearest = np.abs(z[:, None] - np.float32([[-4, 0], [4, 0], [0, 5]])).max(axis=2)
    assert (nearest.min(axis=1) < 2).all()
    shares = np.bincount(nearest.argmin(axis=1), minlength=3) / 3000
    assert (np.abs(shares - 1 / 3) < 0.12).all()
    # Exact for such clusters: log 3, against the spread of 0.3 in both dimensions.
    entropy = math.log(3) + math.log(2 * math.pi * math.e) + 2 * math.log(0.3)
    assert prior.held_out["mixture"] == pytest.approx(-entropy, abs=0.25)
    normal = NormalPrior(2).log_density(_clusters(500, 1)).mean()
    assert prior.held_out["normal"] == pytest.approx(normal, rel=1e-5)
    assert prior.held_out["mixture"] > prior.held_out["normal"] + 1


def test_one_component_is_enough_for_one_gaussian():
    generator = np.random.default_rng(3)
    factor = np.array([[1, 0], [0.9, 0.3]])
    train, held_out = (1 + generator.standard_normal((n, 2)) @ factor.T for n in (900, 1000))
    prior = fit_mixture(train.astype(np.float32), held_out.astype(np.float32), seed=0)
    assert prior.components == 1
    np.testing.assert_allclose(prior.means[0], [1, 1], atol=0.15)
    np.testing.assert_allclose(prior.factors[0], factor, atol=0.15)


def test_its_numbers_are_short():
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
