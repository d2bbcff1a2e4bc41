"""The VAE's objective, its steps, and its latents."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae import architectures

ARCHITECTURES = [
    arch for arch in architectures.names() if architectures.kind_of(arch) == "variational"
]
CASES = [(arch, preset) for arch in ARCHITECTURES for preset in ("default", "paper")]


def _pixels(digits, count=16):
    return digits[:count].astype(np.float32) / 255


def _black_and_white(digits, count=16):
    return (digits[:count] > 127).astype(np.float32)


def _no_noise(model, count):
    return np.zeros((count, model.latent_dim), np.float32)


@pytest.mark.parametrize("beta", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_loss_is_reconstruction_plus_beta_kl(make_model, digits, arch, beta):
    model = make_model(arch, beta=beta)
    x = _black_and_white(digits)
    terms = model.terms(x, _no_noise(model, 16), training=False)
    found = {name: np.asarray(value) for name, value in terms.items()}
    assert {value.shape for value in found.values()} == {(16,)}
    np.testing.assert_allclose(
        found["loss"], found["reconstruction"] + beta * found["kl"], rtol=1e-6
    )
    assert (found["kl"] >= 0).all() and (found["reconstruction"] > 0).all()


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_terms_equal_the_papers_equations_in_numpy(make_model, digits, arch):
    model = make_model(arch)
    x = _black_and_white(digits, 5)
    noise = np.random.default_rng(0).standard_normal((5, model.latent_dim), dtype=np.float32)
    mean, log_var = (np.asarray(part, np.float64) for part in model.encode(x))
    z = (mean + np.exp(log_var / 2) * noise).astype(np.float32)
    y = np.asarray(model.decode(z), np.float64)
    reconstruction = -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum((1, 2, 3))
    kl = -0.5 * (1 + log_var - mean**2 - np.exp(log_var)).sum(1)
    terms = model.terms(x, noise, training=False)
    np.testing.assert_allclose(terms["reconstruction"], reconstruction, rtol=1e-4)
    np.testing.assert_allclose(terms["kl"], kl, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_loss_falls_on_a_fixed_batch(make_model, digits, case):
    model = make_model(*case, learning_rate=1e-3, binarize="threshold")
    x, noise = _pixels(digits, 32), _no_noise(model, 32)
    step = tf.function(model.train_step)

    def loss():
        pixels = model.binarize(x, None)
        return float(np.mean(model.terms(pixels, noise, training=False)["loss"]))

    before = loss()
    for _ in range(15):
        step(tf.constant(x))
    assert loss() < 0.9 * before


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_step_updates_both_networks(make_model, digits, case):
    model = make_model(*case)
    before = [np.array(weight) for weight in model.trainable_variables]
    model.train_step(_pixels(digits))
    for old, weight in zip(before, model.trainable_variables, strict=True):
        assert not np.array_equal(old, weight), weight.path


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_validating_changes_no_weights(make_model, digits, case):
    model = make_model(*case)
    before = model.get_weights()
    model.test_step(_pixels(digits))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_validation_noise_leaves_the_training_noise_alone(make_model, digits):
    """Validating, however often, does not change what the model learns."""

    def weights(validations):
        model = make_model("vae")
        for _ in range(validations):
            model.test_step(_pixels(digits))
        model.train_step(_pixels(digits))
        return model.get_weights()

    for first, second in zip(weights(0), weights(3), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("fitting", [True, False])
def test_epoch_means_weight_a_partial_batch_by_its_images(make_model, digits, monkeypatch, fitting):
    model = make_model("vae", "paper", rates={"optimizer": 0.0})
    monkeypatch.setattr(tf.random, "stateless_normal", lambda shape, **_: tf.zeros(shape))
    # The last images differ from the others, so that an unweighted mean would be wrong.
    x = np.concatenate([digits[:20], 255 - digits[20:24]]).astype(np.float32) / 255
    terms = model.terms(model.binarize(x, None), _no_noise(model, 24), training=False)
    expected = {name: float(np.mean(value)) for name, value in terms.items()}
    batches = tf.data.Dataset.from_tensor_slices(x).batch(20)
    if fitting:
        history = model.fit(batches, epochs=1, shuffle=False, verbose=0).history
        found = {name: values[0] for name, values in history.items()}
    else:
        found = model.evaluate(batches, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("binarization", ["stochastic", "threshold", "none"])
def test_binarization(make_model, digits, binarization):
    model = make_model("vae", binarize=binarization)
    x = _pixels(digits, 64)
    seed = keras.random.SeedGenerator(0)
    first, second = (np.asarray(model.binarize(x, seed)) for _ in range(2))
    if binarization == "none":
        np.testing.assert_array_equal(first, x)
        return
    assert set(np.unique(first)) == {0, 1}
    if binarization == "threshold":
        np.testing.assert_array_equal(first, x > 0.5)
        np.testing.assert_array_equal(first, second)
        return
    assert not np.array_equal(first, second), "each draw is fresh"
    error = np.sqrt((x * (1 - x)).sum()) / x.size
    assert abs(first.mean() - x.mean()) < 5 * error


def test_encoding_and_decoding_in_batches_equal_one_batch(make_model, digits, monkeypatch):
    from keras_ganvae.models import latents

    model = make_model("vae", binarize="threshold")
    z = np.random.default_rng(0).standard_normal((10, model.latent_dim), dtype=np.float32)
    whole = latents.decode(model, z), *latents.encode(model, digits[:10], 0)
    monkeypatch.setattr(latents, "BATCH", 4)
    parts = latents.decode(model, z), *latents.encode(model, digits[:10], 0)
    for a, b in zip(whole, parts, strict=True):
        assert len(a) == len(b) == 10
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_batches_are_small_where_images_are_large(make_model, digits, monkeypatch):
    """A layer of the encoder has 784 pixels as its input and as its output."""
    from keras_ganvae.models import latents
    from keras_ganvae.models.memory import bytes_per_image

    model = make_model("vae", "paper")
    size = 4 * (784 + 784)
    assert bytes_per_image(model) == size
    sizes = []
    decode, encode = model.decode, model.encode
    monkeypatch.setattr(model, "decode", lambda z: sizes.append(len(z)) or decode(z))
    monkeypatch.setattr(model, "encode", lambda x: sizes.append(len(x)) or encode(x))
    monkeypatch.setattr(latents, "BATCH_BYTES", 30 * size + 1)
    z = np.zeros((64, model.latent_dim), np.float32)
    assert latents.decode(model, z).shape == (64, 28, 28, 1)
    assert latents.encode(model, digits[:64], 0)[0].shape == z.shape
    assert sizes == [30, 30, 4] * 2
    monkeypatch.setattr(latents, "BATCH_BYTES", 1)
    assert len(latents.decode(model, z[:2])) == 2 and sizes[-2:] == [1, 1]


def test_posterior_samples_have_the_posteriors_moments(make_model, digits):
    from keras_ganvae.models import latents

    model = make_model("vae", binarize="threshold")
    images = np.repeat(digits[:1], 4000, axis=0)
    mean, log_var = latents.encode(model, images[:1], 0)
    z = latents.draw_posterior(model, images, seed=3)
    sigma = np.exp(log_var[0] / 2)
    assert (np.abs(z.mean(axis=0) - mean[0]) < 5 * sigma / np.sqrt(4000)).all()
    assert (np.abs(z.var(axis=0) / sigma**2 - 1) < 5 * np.sqrt(2 / 4000)).all()
    np.testing.assert_array_equal(z, latents.draw_posterior(model, images, seed=3))
