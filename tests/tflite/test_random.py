"""The random numbers behind `sample`: normally distributed, and the same in every graph."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite import random as graph
from keras_ganvae.tflite import saved_model
from keras_ganvae.tflite.convert import convert_sampler
from keras_ganvae.tflite.functions import ExportedModel
from keras_ganvae.tflite.run import open_model

DRAWS = 10**6
EXTREMES = np.int32([0, -1, 1, 2**31 - 1, -(2**31)])
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def draws():
    """z of 10^6 consecutive seeds, float32 (10^6, 3)."""
    return noise.normals(noise.image_seeds(0, DRAWS), 3)


@pytest.fixture(scope="module")
def priors(mixture):
    one = mixture(1, 3)
    return {
        "normal": NormalPrior(24),
        "odd": NormalPrior(3),
        "mixture": mixture(25, 6),
        "one component": one,
        "far apart": MixturePrior(one.weights, 300 * one.means, one.factors, {}),
    }


NAMES = ("normal", "odd", "mixture", "one component", "far apart")


@pytest.fixture(scope="module")
def seeds():
    """The extremes, some at random, and those whose first uniform is nearest to 0 and 1."""
    many = noise.image_seeds(3, DRAWS)
    order = np.argsort(noise.integers(many, 0, 1)[:, 0])
    return np.concatenate([EXTREMES, many[order[:50]], many[order[-50:]], many[:1000]])


def _module(prior):
    """A module whose only signature draws z."""
    spec = tf.TensorSpec((1,), tf.int32, name="seed")
    call = tf.function(lambda seed: {"z": graph.draw(prior, seed)}, input_signature=[spec])
    return ExportedModel(None, prior, {"sample": call}, [])


def _check(found, prior, seeds):
    wanted = prior.draw(seeds)
    assert found.shape == wanted.shape and found.dtype == np.float32
    # Far from 0, float32 itself is coarser than the tolerance.
    np.testing.assert_allclose(found, wanted, rtol=2**-22, atol=TOLERANCE)


def test_draws_are_normal(draws):
    for j in range(draws.shape[1]):
        assert stats.kstest(draws[:, j].astype(np.float64), "norm").pvalue > 0.01
    assert abs(stats.skew(draws)).max() < 5 * np.sqrt(6 / DRAWS)
    assert abs(stats.kurtosis(draws)).max() < 5 * np.sqrt(24 / DRAWS)
    assert 4.5 < abs(draws).max() < 6


def test_draws_are_independent(draws):
    # Of independent values, a correlation has a standard error of 1 / sqrt(N).
    limit = 5 / np.sqrt(DRAWS)
    for each in (draws, draws**2):
        within = np.corrcoef(each.T) - np.eye(draws.shape[1])
        assert abs(within).max() < limit, "dimensions of one image"
        across = np.corrcoef(each[:-1].T, each[1:].T)[:3, 3:]
        assert abs(across).max() < limit, "images of consecutive seeds"
    pairs = np.corrcoef(draws[:, 0] * draws[:, 1], draws[:, 2])[0, 1]
    assert abs(pairs) < limit, "two dimensions and a third"


def test_choices_follow_the_weights(mixture):
    weights = mixture(25, 3).weights
    found = noise.choices(noise.image_seeds(5, DRAWS), noise.choice_thresholds(weights), 3)
    expected = weights.astype(np.float64) / weights.sum(dtype=np.float64) * DRAWS
    assert stats.chisquare(np.bincount(found, minlength=25), expected).pvalue > 0.01


@pytest.mark.parametrize("dimensions", [3, 4])
def test_seeds_of_choices_reach_both_ends_of_every_component(dimensions):
    thresholds = noise.choice_thresholds(np.array([0.3, 0.0, 1e-6, 0.7 - 1e-6]))
    seeds = noise.seeds_of_choices(thresholds, dimensions, 3)
    chosen = noise.choices(seeds, thresholds, dimensions)
    assert sorted(chosen) == [0] * 3 + [2] * 3 + [3] * 3
    for offset in (-1, 1):  # one step further is another component's, or below the first word
        moved = noise.choices(seeds, thresholds + offset, dimensions)
        assert (chosen != moved).sum() == 2


def test_integers_are_the_same_bits(seeds):
    found = graph.integers(tf.constant(seeds), 5, 7)
    np.testing.assert_array_equal(found, noise.integers(seeds, 5, 7))


@pytest.mark.parametrize("name", NAMES)
def test_eager(priors, seeds, name):
    _check(graph.draw(priors[name], tf.constant(seeds)).numpy(), priors[name], seeds)


def test_eager_over_many_seeds():
    seeds = noise.image_seeds(9, 200_000)
    found = graph.normals(tf.constant(seeds), 5).numpy()
    np.testing.assert_allclose(found, noise.normals(seeds, 5), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("weights", ["float32", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_tflite(priors, seeds, name, weights):
    prior = priors[name]
    model = open_model(convert_sampler(_module(prior), weights))
    found = [model.run("sample", seed=seed[None])["z"][0] for seed in seeds]
    _check(np.stack(found), prior, seeds)


def test_saved_model(priors, seeds, tmp_path):
    prior = priors["mixture"]
    saved_model.write(_module(prior), tmp_path, ["sample"])
    draw = tf.saved_model.load(str(tmp_path)).signatures["sample"]
    found = [draw(seed=tf.constant(seed[None]))["z"][0] for seed in seeds[:200]]
    _check(np.stack(found), prior, seeds[:200])
