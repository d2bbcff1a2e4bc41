"""Patches of Keras, as far as one device shows them; test_strategies.py has the rest."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae.distributed import keras_patches
from keras_ganvae.distributed.keras_patches import ReplicatedMean


def test_a_mean_weights_values_by_their_images():
    mean = ReplicatedMean("loss")
    mean.update_state(1.0, sample_weight=3)
    mean.update_state(5.0, sample_weight=1)
    assert float(mean.result()) == 2.0
    mean.reset_state()
    assert float(mean.result()) == 0.0


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_fit_traces_a_step_once_for_each_batch_size(make_model, digits, steps_per_execution):
    """And takes the same steps as `train_step`, for any `steps_per_execution`."""
    x = digits[:20].astype(np.float32) / 255
    fitted, stepped = make_model("vae"), make_model("vae")
    fitted.compile(fitted.optimizer, jit_compile=False, steps_per_execution=steps_per_execution)
    traced_sizes, step = [], fitted.train_step

    def traced_step(batch):
        traced_sizes.append(batch.shape[0])
        return step(batch)

    fitted.train_step = traced_step
    history = fitted.fit(x, batch_size=8, epochs=2, shuffle=False, verbose=0).history
    assert traced_sizes == [8, 4], "in two epochs"
    for _ in range(2):
        stepped.reset_metrics()
        for start in (0, 8, 16):
            logs = stepped.train_step(tf.constant(x[start : start + 8]))
    np.testing.assert_allclose(history["loss"][-1], float(logs["loss"]), rtol=1e-5)
    for one, other in zip(fitted.weights, stepped.weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, err_msg=one.path)


@pytest.mark.parametrize("arch", ["cvae", "dcgan"])
@pytest.mark.parametrize("count", [0, 3])
def test_convolutions_accept_empty_batches(make_model, digits, arch, count):
    model = make_model(arch)
    x = digits[:count].astype(np.float32) / 255
    expected = [np.asarray(model.networks[-1](inputs)) for inputs in _inputs(model, x) if count]
    keras_patches.allow_empty_batches(model)
    found = [np.asarray(model.networks[-1](inputs)) for inputs in _inputs(model, x)]
    assert [len(each) for each in found] == [count]
    for one, other in zip(found, expected, strict=False):
        np.testing.assert_allclose(one, other, atol=1e-6)


def _inputs(model, x):
    decoder = model.kind == "variational"
    return [np.zeros((len(x), model.latent_dim), np.float32) if decoder else x]


def test_patches_change_nothing_on_one_device(make_model, digits):
    def weights(*patches):
        model = make_model("dcgan", dropout=True)
        for patch in patches:
            patch(model)
        model.train_step(tf.constant(digits[:8], tf.float32) / 255)
        return model.get_weights()

    patched = weights(keras_patches.synchronize_batch_norm, keras_patches.decorrelate_dropout)
    for one, other in zip(weights(), patched, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_optimizer_on_one_device_still_steps():
    variable = keras.Variable(1.0)
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build([variable])
    keras_patches.skip_gradient_reduction(optimizer)
    optimizer.apply([tf.constant(1.0)], [variable])
    assert float(variable) == 0.5
