"""Several steps in one graph take the same steps as one at a time."""

import keras
import numpy as np
import pytest

from keras_ganvae import TrainConfig
from keras_ganvae.data import pipeline
from keras_ganvae.data.position import Position
from keras_ganvae.distributed.placement import ONE_DEVICE
from keras_ganvae.errors import GateFailed
from keras_ganvae.runs import checkpoints
from keras_ganvae.training import loop
from keras_ganvae.training.callbacks import StopOnNonFinite
from keras_ganvae.training.setup import build_model, feeds, prepare
from keras_ganvae.training.train import fit

# 43 images in batches of 8: five whole batches and one of 3.
SETTINGS = {"dataset": "synthetic", "limit": 43, "batch_size": 8, "epochs": 2, "latent_dim": 5}


class Calls(keras.callbacks.Callback):
    """Notes the last step of each execution, counted by Keras, and the logs of each epoch."""

    def __init__(self):
        super().__init__()
        self.ends, self.logs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(logs)


def prepared(arch, steps, **settings):
    setup = prepare(TrainConfig(arch=arch, steps_per_execution=steps, **SETTINGS | settings))
    return build_model(setup.config, setup.dataset), setup


def state(model):
    return [np.asarray(each).tobytes() for each in checkpoints.variables(model)]


def fitted(arch, steps, **settings):
    model, setup = prepared(arch, steps, **settings)
    calls = Calls()
    fit(model, setup, Position(), [calls])
    return state(model), calls


@pytest.mark.parametrize("arch", ["gan", "cvae"])
def test_every_number_of_steps_gives_the_same_bytes(arch):
    """test_resume.py has the other architectures, and bfloat16."""
    expected, calls = fitted(arch, 1)
    assert calls.ends == [0, 1, 2, 3, 4, 5] * 2
    for steps, ends in ((4, [3, 7] * 2), ("auto", None)):
        found, others = fitted(arch, steps)
        assert found == expected
        assert others.logs == calls.logs
        assert ends is None or others.ends == ends


def test_images_that_are_no_constant_give_the_same_bytes(monkeypatch):
    """In blocks that hold two batches of an execution of five, too."""
    expected, _ = fitted("vae", 1)
    monkeypatch.setattr(pipeline, "MAX_CONSTANT", 0)
    assert fitted("vae", "auto")[0] == expected
    monkeypatch.setattr(pipeline, "MAX_BLOCK_BYTES", 2 * 8 * 28 * 28)
    assert fitted("vae", 5)[0] == expected


def test_a_step_is_traced_once_for_each_batch_size():
    model, setup = prepared("vae", "auto")
    sizes, step = [], model.train_step
    model.train_step = lambda batch: sizes.append(batch.shape[0]) or step(batch)
    fit(model, setup, Position(), [])
    assert sizes == [8, 3]


def test_measuring_changes_nothing(caplog):
    model, setup = prepared("gan", "auto")
    before = state(model)
    with caplog.at_level("INFO", "keras_ganvae"):
        loop.install(model, *feeds(setup), "auto", ONE_DEVICE)
    assert state(model) == before
    assert 1 <= model.steps_per_execution <= 6
    assert f"steps per execution: {model.steps_per_execution}" in caplog.text


@pytest.mark.parametrize(("seconds", "steps"), [(0.1, 2), (0.001, 6), (3.0, 1)])
def test_a_call_lasts_a_quarter_second(monkeypatch, seconds, steps):
    monkeypatch.setattr(loop, "seconds_of_a_step", lambda model, placement: seconds)
    model, setup = prepared("vae", "auto")
    loop.install(model, *feeds(setup), "auto", ONE_DEVICE)
    assert model.steps_per_execution == steps


def test_a_value_that_is_not_finite_is_found_within_its_execution():
    model, setup = prepared("vae", 4, learning_rate=1e30, optimizer="sgd", schedule="constant")
    with pytest.raises(GateFailed, match="in epoch 1, steps 1 to 4;"):
        fit(model, setup, Position(), [StopOnNonFinite()])
