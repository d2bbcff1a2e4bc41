"""Our forms of Keras's Dropout and Adam do what Keras's do."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae.models import Dropout, FusedAdam


def test_dropout_drops_the_units_that_kerass_drops():
    inputs = tf.random.stateless_normal((64, 100), seed=(1, 2))
    ours, kerass = Dropout(0.4, seed=3), keras.layers.Dropout(0.4, seed=3)
    for _ in range(3):  # each draw is another one
        found = ours(inputs, training=True)
        np.testing.assert_array_equal(found, kerass(inputs, training=True))
        assert 0.3 < np.mean(found == 0) < 0.5
    assert ours(inputs) is inputs


@pytest.mark.parametrize("beta_1", [0.9, 0.5])
def test_adam_updates_as_kerass_does(beta_1):
    """Up to rounding, over a hundred steps with a changing learning rate."""
    rate = keras.optimizers.schedules.CosineDecay(0.1, 80, alpha=0.01)
    random = np.random.default_rng(0)
    gradients = random.normal(size=(100, 7, 5)).astype(np.float32)
    weights = []
    for optimizer in (FusedAdam(rate, beta_1=beta_1), keras.optimizers.Adam(rate, beta_1=beta_1)):
        weight = keras.Variable(np.ones((7, 5), np.float32))
        optimizer.build([weight])
        for gradient in gradients:
            optimizer.apply([tf.constant(gradient)], [weight])
        weights.append([np.array(each) for each in (weight, *optimizer.variables)])
    for ours, kerass in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, kerass, rtol=1e-4, atol=1e-4)


def test_adam_is_saved_and_loaded():
    config = keras.saving.serialize_keras_object(FusedAdam(0.01, beta_1=0.5))
    loaded = keras.saving.deserialize_keras_object(config)
    assert isinstance(loaded, FusedAdam) and loaded.beta_1 == 0.5
