"""Mixed precision: what stays in float32, and loss scaling under float16."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae import architectures


@pytest.fixture
def make_mixed(make_model):
    """`make_model`, after which Keras's global policy is float32 again."""
    yield make_model
    keras.config.set_dtype_policy("float32")


def _dtype(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def _trained(model):
    return [weight.numpy() for weight in model.trainable_variables]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("arch", architectures.names())
def test_images_and_losses_are_float32_at_any_precision(make_mixed, digits, precision, arch):
    model = make_mixed(arch, precision=precision)
    z = np.zeros((4, model.latent_dim), np.float32)
    assert _dtype(model.decode(z)) == "float32"
    x = digits[:4].astype(np.float32) / 255
    second = z if model.kind == "variational" else model.generator(z)
    terms = model.terms(x, second, training=False)
    assert {_dtype(each) for each in terms.values()} == {"float32"}
    model.train_step(x)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("arch", ["gan", "vae"])
def test_an_overflow_in_float16_skips_the_step_and_halves_the_scale(make_mixed, digits, arch):
    x = tf.constant(digits[:8], tf.float32) / 255
    model = make_mixed(arch, precision="float16")
    for optimizer in model.optimizers:
        optimizer.dynamic_scale.assign(2.0**40)
    before = _trained(model)
    model.train_step(x)
    for optimizer in model.optimizers:
        assert float(optimizer.dynamic_scale) == 2.0**39
        assert int(optimizer.iterations) == 0
    for old, new in zip(before, _trained(model), strict=True):
        np.testing.assert_array_equal(old, new)
    for _ in range(40):
        model.train_step(x)
    assert all(int(optimizer.iterations) > 0 for optimizer in model.optimizers)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert any((a != b).any() for a, b in zip(before, _trained(model), strict=True))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_batch_norm_keeps_its_statistics_in_float32(make_mixed, precision):
    layers = make_mixed("dcgan", precision=precision).generator.layers
    norms = [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
    assert norms
    for norm in norms:
        assert norm.compute_dtype == precision
        assert _dtype(norm.moving_mean) == _dtype(norm.moving_variance) == "float32"
