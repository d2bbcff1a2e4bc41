"""The latents that C draws from seeds are the prior's."""

import dataclasses

import numpy as np
import pytest

from keras_ganvae.c import seed
from keras_ganvae.priors import random as noise

FAST = ("-std=c99", "-O2")
# Those of test_source.py, so that they are made once.
CASES = {
    "normal": ("gan", "paper", (8, 12, 3), 0),
    "fitted mixture": ("cvae", "default", (8, 12, 3), 4, 4),
    "one component of 24 bits": ("vae", "paper", (12, 8, 1), 1),
}


def extreme_seeds():
    """Seeds whose first word, which makes a radius, is at an end of its range or near it."""
    edge = 2 ** (noise.BITS - 1)
    bounds = np.array([1 - edge, 2 - edge, -1, 0, 1, edge - 8200, edge - 8190, edge - 1], np.int32)
    return noise.seeds_of_choices(bounds, 0, 2)


@pytest.fixture(params=CASES.values(), ids=CASES)
def one(made, request):
    return made(*request.param)


def test_int8_latents_are_the_rounded_ones_of_the_prior(one):
    """All but those on a boundary, which the last bits of a float32 decide, and by one step."""
    seeds = np.append(noise.image_seeds(0, 10_000), extreme_seeds())
    drawn = one.draw("int8", seeds, FAST)
    scale, zero_point = one.generator("int8").quantization
    exact = one.prior.draw(seeds) / scale + zero_point
    expected = np.rint(exact).clip(-128, 127)
    difference = np.abs(drawn.latents - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 3e-5


def test_float_latents_are_those_of_the_prior(one):
    seeds = np.append(noise.image_seeds(0, 500), extreme_seeds())
    drawn = one.draw("float32", seeds, FAST)
    np.testing.assert_allclose(drawn.latents, one.prior.draw(seeds), atol=1e-5)


def test_every_component_is_drawn_at_both_ends_of_its_probability(small):
    one = small
    thresholds = noise.choice_thresholds(one.prior.weights)
    seeds = noise.seeds_of_choices(thresholds, one.prior.latent_dim, 4)
    drawn = one.draw("int8", seeds, FAST)
    z = one.generator("int8").real_latents(drawn.latents)
    scale, _ = one.generator("int8").quantization
    low, high = one.generator("int8").real_latents(np.array([-128, 127]))
    assert np.abs(z - one.prior.draw(seeds).clip(low, high)).max() <= scale / 2 + 1e-5


@pytest.mark.parametrize("size", [1e-3, 0.3, 30.0, 3000.0])
def test_a_mixture_in_units(mixture, size):
    """Exact if it has four decimals; else as fine as the sums fit in 64 bits."""
    prior = mixture(3, 5)
    prior = dataclasses.replace(prior, factors=np.float32(prior.factors * size))
    unit, _, factors = seed.in_units(prior)
    sums = 5.8 * np.abs(prior.factors).sum(axis=2) + np.abs(prior.means)
    assert sums.max() / unit * 2.0**28 < 2**62
    lower = prior.factors[:, *np.tril_indices(5)]
    np.testing.assert_allclose(factors * unit, lower, atol=max(2**-25, 1e-6 * size))


def test_a_fitted_mixture_takes_16_bits_and_is_exact(reference):
    prior = reference("cvae").prior
    unit, means, factors = seed.in_units(prior)
    assert means.dtype == factors.dtype == np.int16
    np.testing.assert_array_equal(np.float32(means * unit), prior.means)
    np.testing.assert_array_equal(
        np.float32(factors * unit), prior.factors[:, *np.tril_indices(20)]
    )
