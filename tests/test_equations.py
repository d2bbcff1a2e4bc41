"""The equations against closed forms, SciPy and Monte Carlo estimates."""

import math

import numpy as np
import pytest
import scipy.stats
from keras import ops

from keras_ganvae import equations

LOG_2 = math.log(2)


def _log_sigmoid(logits):
    """log sigmoid(l) = -log(1 + e^-l), in double precision."""
    return -np.logaddexp(0.0, -np.asarray(logits, np.float64))


def _logits(seed, count=50):
    return np.random.default_rng(seed).normal(0, 4, (count, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (lambda: equations.generator_loss(np.zeros((3, 1), np.float32)), LOG_2),
        (lambda: equations.saturating_generator_loss(np.zeros((3, 1), np.float32)), -LOG_2),
        (lambda: equations.discriminator_loss(*np.zeros((2, 3, 1), np.float32)), 2 * LOG_2),
        # D(x) = 3/4, D(G(z)) = 1/4, as logits log 3 and -log 3.
        (lambda: equations.generator_loss(np.float32([[-math.log(3)]])), math.log(4)),
        (lambda: equations.saturating_generator_loss(np.float32([[math.log(3)]])), -math.log(4)),
        (
            lambda: equations.discriminator_loss(
                np.float32([[math.log(3)]]), np.float32([[-math.log(3)]])
            ),
            2 * math.log(4 / 3),
        ),
    ],
)
def test_adversarial_losses_at_values_known_by_hand(value, expected):
    losses = np.asarray(value())
    assert losses.ndim == 1  # one for each image
    assert losses == pytest.approx(expected, rel=1e-6)


def test_adversarial_losses_are_log_sigmoids():
    real, fake = _logits(1), _logits(2)
    assert np.asarray(equations.generator_loss(fake)) == pytest.approx(
        -_log_sigmoid(fake)[:, 0], rel=1e-5
    )
    # 1 - sigmoid(l) = sigmoid(-l)
    assert np.asarray(equations.discriminator_loss(real, fake)) == pytest.approx(
        -(_log_sigmoid(real) + _log_sigmoid(-fake))[:, 0], rel=1e-5
    )
    assert np.asarray(equations.saturating_generator_loss(fake)) == pytest.approx(
        _log_sigmoid(-fake)[:, 0], rel=1e-5
    )


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_adversarial_losses_are_exact_at_extreme_logits(extreme):
    logits = np.full((2, 1), extreme, np.float32)
    assert set(np.asarray(equations.generator_loss(logits))) == {max(-extreme, 0)}
    assert set(np.asarray(equations.saturating_generator_loss(logits))) == {-max(extreme, 0)}
    assert set(np.asarray(equations.discriminator_loss(logits, logits))) == {1e4}


def test_the_gradient_penalty_is_half_the_squared_norm_of_each_image():
    gradients = np.zeros((3, 2, 2, 1), np.float32)
    gradients[1, 0, 1], gradients[2] = 3, -2
    found = np.asarray(equations.gradient_penalty(gradients, 0.5))
    np.testing.assert_array_equal(found, [0, 0.25 * 9, 0.25 * 4 * 4])


def test_the_generator_losses_can_be_chosen_by_name():
    from keras_ganvae.config import GENERATOR_LOSSES

    assert set(equations.GENERATOR_LOSSES) == set(GENERATOR_LOSSES)
    assert equations.GENERATOR_LOSSES["non_saturating"] is equations.generator_loss
    assert equations.GENERATOR_LOSSES["saturating"] is equations.saturating_generator_loss


def test_only_the_saturating_losss_gradient_vanishes_where_d_is_confident():
    import tensorflow as tf

    logits = tf.constant([[-20.0], [0.0]])  # D(G(z)) near 0, and 1/2
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(logits)
        kept = equations.generator_loss(logits)
        vanishing = equations.saturating_generator_loss(logits)
    # Both losses fall as the logit rises.
    np.testing.assert_allclose(tape.gradient(kept, logits), [[-1.0], [-0.5]], rtol=1e-6)
    gradient = tape.gradient(vanishing, logits).numpy()
    np.testing.assert_allclose(gradient[1], -0.5, rtol=1e-6)
    assert -1e-8 < gradient[0, 0] <= 0


def test_the_bernoulli_likelihood_is_the_log_probability_mass():
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 3, (5, 4, 4, 1)).astype(np.float32)
    x = generator.integers(0, 2, logits.shape).astype(np.float32)
    probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = scipy.stats.bernoulli.logpmf(x, probability).reshape(5, -1).sum(axis=1)
    found = ops.convert_to_numpy(equations.bernoulli_log_likelihood(x, logits))
    assert found.shape == (5,)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "logit", "expected"),
    [(1, 1e4, 0), (0, 1e4, -1e4), (1, -1e4, -1e4), (0, -1e4, 0), (1, 0, -LOG_2), (0.25, 0, -LOG_2)],
)
def test_the_bernoulli_likelihood_is_exact_at_extreme_logits(x, logit, expected):
    shape = (2, 3, 1, 1)
    found = equations.bernoulli_log_likelihood(
        np.full(shape, x, np.float32), np.full(shape, logit, np.float32)
    )
    np.testing.assert_allclose(ops.convert_to_numpy(found), 3 * expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("mean", "log_var", "expected"),
    [
        (0, 0, 0),
        (1, 0, 0.5),
        (-2, 0, 2),
        (0, math.log(4), (4 - 1 - math.log(4)) / 2),
        (0, -math.log(4), (1 / 4 - 1 + math.log(4)) / 2),
    ],
)
def test_the_kl_at_values_known_by_hand(mean, log_var, expected):
    found = equations.gaussian_kl(np.float32([[mean]]), np.float32([[log_var]]))
    assert found.shape == (1, 1)
    assert float(found[0, 0]) == pytest.approx(expected, abs=1e-6)


def test_the_kl_agrees_with_monte_carlo():
    """E_q[log q(z) - log p(z)] over draws from q, within five standard errors."""
    mean, log_var = np.float32([[0.7, -1.5, 0.0]]), np.float32([[-1.0, 0.5, -3.0]])
    sigma = np.exp(log_var / 2)
    z = mean + sigma * np.random.default_rng(4).standard_normal((200_000, 3))
    normal = scipy.stats.norm
    difference = normal.logpdf(z, mean, sigma) - normal.logpdf(z)
    error = difference.std(axis=0) / math.sqrt(len(z))
    closed = ops.convert_to_numpy(equations.gaussian_kl(mean, log_var))[0]
    assert (np.abs(difference.mean(axis=0) - closed) < 5 * error).all()


def test_beta_weights_the_kl_only():
    log_likelihood, kl = np.float32([-100, -90]), np.float32([10, 20])
    np.testing.assert_array_equal(equations.negative_elbo(log_likelihood, kl), [110, 110])
    np.testing.assert_array_equal(equations.negative_elbo(log_likelihood, kl, 0.5), [105, 100])


def test_reparameterizing_scales_the_noise_by_sigma():
    mean, log_var = np.float32([[1, -1, 5]]), np.float32([[0, 2 * math.log(3), 2 * math.log(0.5)]])
    noise = np.float32([[-2, 2, -4]])
    found = ops.convert_to_numpy(equations.reparameterize(mean, log_var, noise))
    np.testing.assert_allclose(found, [[1 - 2, -1 + 6, 5 - 2]], rtol=1e-6)


def test_reparameterized_samples_have_the_posteriors_mean_and_variance():
    count, mean, variance = 100_000, 0.8, 0.3
    noise = np.random.default_rng(5).standard_normal((count, 1), dtype=np.float32)
    means, log_vars = np.full_like(noise, mean), np.full_like(noise, math.log(variance))
    z = ops.convert_to_numpy(equations.reparameterize(means, log_vars, noise)).astype(np.float64)
    assert abs(z.mean() - mean) < 5 * math.sqrt(variance / count)
    assert abs(z.var() - variance) < 5 * variance * math.sqrt(2 / count)


def test_binarizing_at_a_threshold_rounds():
    x = np.float32([0, 0.2, 0.49, 0.51, 0.9, 1])
    np.testing.assert_array_equal(equations.binarize(x, 0.5), [0, 0, 0, 1, 1, 1])


def test_binarizing_stochastically_keeps_the_mean():
    count = 20_000
    x = np.repeat(np.float32([[0, 0.1, 0.5, 0.93, 1]]), count, axis=0)
    uniform = np.random.default_rng(6).random(x.shape, dtype=np.float32)
    found = ops.convert_to_numpy(equations.binarize(x, uniform))
    assert set(np.unique(found)) == {0, 1} and found.dtype == np.float32
    error = np.sqrt(x[0] * (1 - x[0]) / count)
    # Pixels of 0 and 1 stay as they are, without error.
    assert (np.abs(found.mean(axis=0) - x[0]) <= 5 * error).all()
