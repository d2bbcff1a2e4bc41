"""The IWAE bound against known likelihoods: linear-Gaussian, by quadrature, constant."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import expit, log_expit, logsumexp

from keras_ganvae.errors import InputError
from keras_ganvae.metrics import likelihood
from keras_ganvae.models.layers import network
from keras_ganvae.models.variational import VariationalAutoencoder

# A linear-Gaussian model whose posterior has a diagonal covariance: W's columns are orthogonal.
WEIGHTS = np.array([[1.0, 1.0], [1.0, -1.0], [0.5, 0.5], [-0.5, 0.5]])
OFFSET = np.array([0.3, -0.2, 0.1, 0.0])
NOISE = 0.6  # standard deviation of x given z


def _linear_log_likelihood(x, z):
    squares = tf.reduce_sum((x - OFFSET - z @ WEIGHTS.T) ** 2, axis=1)
    return -0.5 * squares / NOISE**2 - 4 * math.log(NOISE * math.sqrt(2 * math.pi))


def _linear_model(count):
    """x from the model, its exact -log p(x), and the mean and log-variance of p(z|x)."""
    covariance = WEIGHTS @ WEIGHTS.T + NOISE**2 * np.eye(4)
    marginal = stats.multivariate_normal(OFFSET, covariance)
    x = marginal.rvs(count, random_state=0)
    precision = 1 + (WEIGHTS**2).sum(axis=0) / NOISE**2
    mean = (x - OFFSET) @ WEIGHTS / NOISE**2 / precision
    return x, -marginal.logpdf(x), mean, np.broadcast_to(-np.log(precision), mean.shape)


def _linear_bound(x, mean, log_var, samples, **settings):
    settings = {"seed": 0} | settings
    return likelihood.iwae_bound(
        _linear_log_likelihood, x, mean, log_var, samples=samples, **settings
    )


@pytest.mark.parametrize("samples", [1, 2, 30])
def test_under_the_true_posterior_the_bound_is_the_likelihood(samples):
    x, exact, mean, log_var = _linear_model(7)
    bound = _linear_bound(x, mean, log_var, samples)
    np.testing.assert_allclose(bound, exact, rtol=1e-12)


def test_under_another_posterior_the_bound_falls_to_the_likelihood():
    x, exact, mean, log_var = _linear_model(400)
    gaps = [
        _linear_bound(x, mean + 0.3, log_var + 0.5, samples) - exact for samples in (1, 10, 100)
    ]
    excess, error = np.mean(gaps, axis=1), np.std(gaps, axis=1) / math.sqrt(len(x))
    assert (np.diff(excess) < -3 * np.hypot(error[1:], error[:-1])).all()
    # One sample's expected gap is KL(q(z|x) || p(z|x)), two dimensions of a Gaussian's.
    kl = (0.5 * (np.exp(0.5) - 1 - 0.5 + 0.3**2 / np.exp(log_var[0]))).sum()
    assert abs(excess[0] - kl) < 4 * error[0]


def test_many_samples_reach_the_likelihood_within_the_standard_error():
    x, exact, mean, log_var = _linear_model(40)
    excess = _linear_bound(x, mean + 0.2, log_var + 0.5, 400) - exact
    error = excess.std() / math.sqrt(len(x))
    assert error < 0.01
    assert abs(excess.mean()) < 4 * error


def test_the_importance_terms_are_the_densities_of_scipy():
    x, _, mean, log_var = _linear_model(5)
    mean, deviation = mean + 0.3, np.exp(log_var / 2)
    drawn = []

    def log_likelihood(x, z):
        tf.py_function(lambda z: drawn.append(z.numpy()), [z], [])
        return _linear_log_likelihood(x, z)

    ((log_p, log_ratio),) = likelihood.importance_terms(
        log_likelihood, x, mean, log_var, samples=1, seed=3
    )
    (z,) = drawn
    expected = stats.norm.logpdf(z).sum(1) - stats.norm.logpdf(z, mean, deviation).sum(1)
    np.testing.assert_allclose(log_ratio, expected, rtol=1e-10, atol=1e-10)
    of_x = stats.norm.logpdf(x, OFFSET + z @ WEIGHTS.T, NOISE).sum(1)
    np.testing.assert_allclose(log_p, of_x, rtol=1e-10)


def test_very_improbable_images_do_not_underflow():
    x, _, mean, log_var = _linear_model(3)

    def far(x, z):
        return _linear_log_likelihood(x, z) - 5000.0

    bound = likelihood.iwae_bound(far, x, mean + 0.3, log_var, samples=20, seed=0)
    near = _linear_bound(x, mean + 0.3, log_var, 20)
    np.testing.assert_allclose(bound, near + 5000, rtol=1e-12)


def test_the_bound_is_the_log_of_a_mean_and_a_longer_run_starts_with_a_shorter_one():
    x, _, mean, log_var = _linear_model(6)
    mean = mean + 0.3
    weights = [
        sum(terms)
        for terms in likelihood.importance_terms(
            _linear_log_likelihood, x, mean, log_var, samples=9, seed=0
        )
    ]
    for samples in (1, 4, 9):
        expected = math.log(samples) - logsumexp(weights[:samples], axis=0)
        np.testing.assert_allclose(_linear_bound(x, mean, log_var, samples), expected, rtol=1e-12)


@pytest.mark.parametrize("chunk", [1, 4, 5, 11, 100])
def test_the_chunk_size_changes_nothing(chunk):
    x, _, mean, log_var = _linear_model(11)
    whole = _linear_bound(x, mean + 0.3, log_var, 5, chunk=11)
    np.testing.assert_allclose(
        _linear_bound(x, mean + 0.3, log_var, 5, chunk=chunk), whole, rtol=1e-12
    )


def test_every_image_and_every_sample_has_independent_noise():
    mean, log_var = np.zeros((50, 2)), np.zeros((50, 2))
    z = []

    def log_likelihood(x, each):
        tf.py_function(lambda each: z.append(each.numpy()), [each], [])
        return tf.zeros(len(each), tf.float64)

    for _ in likelihood.importance_terms(
        log_likelihood, mean, mean, log_var, samples=40, seed=0, chunk=20
    ):
        pass
    z = np.concatenate(z).ravel()
    assert len(np.unique(z)) == 50 * 2 * 40
    assert stats.kstest(z, "norm").pvalue > 0.01


def _tiny(latent_dim=1, shape=(2, 2, 1)):
    """A VAE of four pixels and random weights, whose q(z|x) is far from p(z|x).

    q(z|x) is the wider one: otherwise the importance weights have heavy tails.
    """
    random = np.random.default_rng(5)
    encoder = network("encoder", shape, keras.layers.Flatten(), keras.layers.Dense(2 * latent_dim))
    decoder = network("decoder", (latent_dim,), keras.layers.Dense(4), keras.layers.Reshape(shape))
    wide = np.repeat([0.0, 0.5], latent_dim)
    encoder.set_weights([0.2 * random.standard_normal((4, 2 * latent_dim)), wide])
    decoder.set_weights([random.standard_normal((latent_dim, 4)), random.standard_normal(4)])
    return VariationalAutoencoder(encoder, decoder)


def _black_and_white(count, shape=(2, 2, 1)):
    return 255 * np.random.default_rng(1).integers(0, 2, (count, *shape), dtype=np.uint8)


def _measure(model, images, **settings):
    settings = {
        "binarization": "threshold",
        "importance_samples": 3,
        "bound_images": 1000,
        "seed": 0,
    } | settings
    return likelihood.measure(model, images, **settings)


def _quadrature(model, x, latent_dim):
    """-log p(x) by the trapezoidal rule over z in [-8, 8]^J, float64."""
    axis, step = np.linspace(-8, 8, 401 if latent_dim == 1 else 161, retstep=True)
    z = np.stack(np.meshgrid(*[axis] * latent_dim), axis=-1).reshape(-1, latent_dim)
    kernel, bias = (w.astype(np.float64) for w in model.decoder.get_weights())
    logits = z @ kernel + bias
    pixels = x.reshape(len(x), 1, -1) / 255.0
    log_p = (pixels * log_expit(logits) + (1 - pixels) * log_expit(-logits)).sum(-1)
    log_prior = stats.norm.logpdf(z).sum(-1)
    return -logsumexp(log_p + log_prior, axis=1) - latent_dim * math.log(step)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_the_bound_falls_to_the_integral_over_the_latents(latent_dim):
    model, images = _tiny(latent_dim=latent_dim), _black_and_white(200)
    exact = _quadrature(model, images, latent_dim).mean()
    few, many = (_measure(model, images, importance_samples=k) for k in (1, 400))
    error = (many.bound - _quadrature(model, images, latent_dim)).std() / math.sqrt(200)
    assert error < 0.01
    assert abs(many.bound.mean() - exact) < 4 * error + 1e-5
    # Both bounds lie above it, by far more than the noise of one draw.
    assert few.bound.mean() > many.bound.mean() + 0.1
    assert few.negative_elbo.mean() > many.bound.mean() + 0.1


def test_a_decoder_that_ignores_the_latents_has_a_closed_form():
    model, images = _tiny(latent_dim=3), _black_and_white(20)
    kernel, bias = model.decoder.get_weights()
    model.decoder.set_weights([np.zeros_like(kernel), bias])
    x = images.reshape(20, -1) / 255.0
    exact = -np.log(np.where(x == 1, expit(bias), expit(-bias))).sum(axis=1)
    found = _measure(model, images)
    np.testing.assert_allclose(found.reconstruction, exact, rtol=1e-6)
    np.testing.assert_allclose(found.negative_elbo, exact + found.kl, rtol=1e-6)
    # With q(z|x) = p(z) each weight is p(x).
    model.encoder.set_weights([np.zeros_like(w) for w in model.encoder.get_weights()])
    found = _measure(model, images)
    np.testing.assert_allclose(found.bound, exact, rtol=1e-6)
    np.testing.assert_array_equal(found.kl, 0)
    assert found.active_units == 0


def test_the_kl_is_that_of_two_gaussians():
    model, images = _tiny(latent_dim=3), _black_and_white(20)
    mean, log_var = (np.asarray(each, np.float64) for each in model.encode(images / 255.0))
    kl = (-0.5 * (1 + log_var - mean**2 - np.exp(log_var))).sum(axis=1)
    found = _measure(model, images)
    np.testing.assert_allclose(found.kl, kl, rtol=1e-6)
    assert found.kl_per_dimension.shape == (3,)
    assert found.kl_per_dimension.sum() == pytest.approx(kl.mean(), rel=1e-6)
    assert found.active_units == (mean.var(axis=0) > 0.01).sum()


def test_beta_weighs_the_loss_but_not_the_elbo():
    model, images = _tiny(), _black_and_white(20)
    plain = _measure(model, images)
    model.beta = 7.0
    np.testing.assert_array_equal(_measure(model, images).negative_elbo, plain.negative_elbo)


@pytest.fixture(scope="module")
def trained(run_of):
    return run_of("vae").model()


def test_the_parts_belong_together(trained, digits):
    found = _measure(trained, digits, binarization="stochastic", bound_images=10)
    assert found.bound.shape == (10,)
    for each in (found.reconstruction, found.kl, found.negative_elbo, found.bound):
        assert each.dtype == np.float64
        assert np.isfinite(each).all()
    np.testing.assert_allclose(found.negative_elbo, found.reconstruction + found.kl, rtol=1e-12)


def test_one_seed_gives_the_same_numbers_and_another_does_not(trained, digits):
    first, again, other = (
        _measure(trained, digits, binarization="stochastic", seed=seed) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first.bound, again.bound)
    np.testing.assert_array_equal(first.negative_elbo, again.negative_elbo)
    assert (first.negative_elbo != other.negative_elbo).any()


def test_the_bound_images_are_the_first_and_do_not_change_the_rest(trained, digits):
    few = _measure(trained, digits, bound_images=5)
    alone = _measure(trained, digits[:5])
    np.testing.assert_allclose(few.bound, alone.bound, rtol=1e-5)
    many = _measure(trained, digits, bound_images=64)
    np.testing.assert_array_equal(few.negative_elbo, many.negative_elbo)


def test_the_binarization_is_that_of_the_evaluation(trained, digits):
    found = {
        name: _measure(trained, digits, binarization=name)
        for name in ("stochastic", "threshold", "none")
    }
    assert len({each.negative_elbo.mean() for each in found.values()}) == 3
    assert {name: each.binarization for name, each in found.items()} == {n: n for n in found}
    original, trained.binarization = trained.binarization, "none"
    try:
        again = _measure(trained, digits, binarization="threshold")
    finally:
        trained.binarization = original
    np.testing.assert_array_equal(again.bound, found["threshold"].bound)


def test_a_cross_entropy_has_no_bound(trained, digits):
    found = _measure(trained, digits, binarization="none")
    assert found.bound is None
    assert found.to_dict()["bound"] is None


def test_binarized_images():
    images = np.random.default_rng(0).integers(0, 256, (700, 4, 5, 1), dtype=np.uint8)
    np.testing.assert_array_equal(likelihood.binarized(images, "none", 0), images)
    rounded = likelihood.binarized(images, "threshold", 0)
    np.testing.assert_array_equal(rounded, np.where(images >= 128, 255, 0))
    drawn = likelihood.binarized(images, "stochastic", 0)
    assert set(np.unique(drawn)) == {0, 255}
    # The draw's expectation is the image: within 5 standard errors of a sum of Bernoullis.
    share = images / 255
    error = math.sqrt((share * (1 - share)).sum())
    assert abs((drawn / 255 - share).sum()) < 5 * error
    bright = images > 200
    assert drawn[bright].mean() > 255 * 0.8
    np.testing.assert_array_equal(likelihood.binarized(images, "stochastic", 0), drawn)
    assert (likelihood.binarized(images, "stochastic", 1) != drawn).any()


def test_the_means_for_json(trained, digits):
    found = _measure(trained, digits, bound_images=20)
    written = json.loads(json.dumps(found.to_dict()))
    assert written["images"] == 64 and written["bound_images"] == 20
    assert written["importance_samples"] == 3 and written["binarization"] == "threshold"
    for name in ("reconstruction", "kl", "negative_elbo", "bound"):
        values = getattr(found, name)
        assert written[name]["value"] == pytest.approx(values.mean())
        assert written[name]["error"] == pytest.approx(values.std(ddof=1) / len(values) ** 0.5)


def test_progress_counts_decoded_images(trained, digits):
    calls = []
    _measure(trained, digits, bound_images=10, progress=lambda *each: calls.append(each))
    assert calls == [(64, 94), (74, 94), (84, 94), (94, 94)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"binarization": "dither"}, "binarize"),
        ({"importance_samples": 0}, "importance_samples"),
        ({"bound_images": 0}, "bound_images"),
    ],
)
def test_settings_out_of_range_raise(trained, digits, settings, message):
    with pytest.raises(InputError, match=message):
        _measure(trained, digits, **settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images[:0], "number of images must be at least 1"),
        (lambda images: images[:, :14], "the model needs"),
        (lambda images: images / 255, "uint8"),
    ],
)
def test_images_that_do_not_fit_the_model_raise(trained, digits, change, message):
    with pytest.raises(InputError, match=message):
        _measure(trained, change(digits))
