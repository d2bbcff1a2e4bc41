import math
import tracemalloc

import numpy as np
import pytest

from keras_ganvae.priors import MixturePrior, NormalPrior, random

WEIGHTS = np.float32([0.2, 0.8])
MEANS = np.float32([[-20, 3], [20, -1]])
FACTORS = np.float32([[[2, 0], [1, 0.5]], [[0.3, 0], [-0.4, 1]]])


@pytest.fixture
def mixture():
    return MixturePrior(WEIGHTS, MEANS, FACTORS, {"mixture": -1.5, "normal": -2.5})


def test_a_mixture_draws_from_its_components(mixture):
    count = 40_000
    z = mixture.sample(count, 0)
    assert z.shape == (count, 2) and z.dtype == np.float32
    first = z[:, 0] < 0  # the means are 40 apart, the deviations at most 2
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


@pytest.mark.parametrize("count", [1, 10])
def test_draws_depend_only_on_the_seed(mixture, count):
    for prior in (mixture, NormalPrior(2)):
        first, second, other = (prior.sample(count, seed) for seed in (3, 3, 4))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, other)


@pytest.fixture(params=[1, 2, 3, 20, 33], ids="J={}".format)
def priors(request):
    """Priors of J latent dimensions."""
    size, rng = request.param, np.random.default_rng(0)
    means = rng.normal(size=(7, size)).astype(np.float32)
    factors = rng.normal(size=(7, size, size)).astype(np.float32)
    weights = rng.dirichlet(np.ones(7)).astype(np.float32)
    return MixturePrior(weights, means, factors, {}), NormalPrior(size)


def test_draws_in_blocks_are_the_same_bytes(priors, monkeypatch):
    whole = [prior.sample(1000, 5) for prior in priors]
    for block in (1, 700, 40_000):
        monkeypatch.setattr(random, "BLOCK", block)
        for prior, expected in zip(priors, whole, strict=True):
            drawn = prior.sample(1000, 5)
            assert drawn.dtype == np.float32 and drawn.tobytes() == expected.tobytes()


def test_draws_take_bounded_memory():
    """A factor for each of the draws would take 1 GB; the draws themselves take 4 MB."""
    size = 256
    factors = np.ones((2, size, size), np.float32)
    prior = MixturePrior(WEIGHTS, np.zeros((2, size), np.float32), factors, {})
    tracemalloc.start()
    try:
        assert prior.sample(4000, 0).shape == (4000, size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60e6


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
        {"weights": WEIGHTS * np.float32(np.nan), "means": MEANS, "factors": FACTORS},
        {"weights": -WEIGHTS, "means": MEANS, "factors": FACTORS},
        {"weights": WEIGHTS / 2, "means": MEANS, "factors": FACTORS},
        {"weights": WEIGHTS, "means": MEANS * np.float32(np.inf), "factors": FACTORS},
        {"weights": WEIGHTS, "means": MEANS, "factors": FACTORS * np.float32(np.nan)},
        {"weights": WEIGHTS, "means": MEANS.astype(str), "factors": FACTORS},
        {"weights": WEIGHTS, "means": MEANS[0], "factors": FACTORS},
        {"weights": np.array([{}]), "means": MEANS, "factors": FACTORS},
    ],
    ids=[
        *("missing", "weights", "factors", "nan weights", "negative weights", "sum of weights"),
        *("infinite means", "nan factors", "text", "rank", "pickle"),
    ],
)
def test_arrays_that_are_no_mixture_raise(tmp_path, arrays):
    np.savez(tmp_path / "prior.npz", **arrays)
    with pytest.raises((ValueError, KeyError)):
        MixturePrior.load(tmp_path / "prior.npz")
