"""XLA is used as it is set, or where it was measured to be faster."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae import TrainConfig, files
from keras_ganvae.data.position import Position
from keras_ganvae.distributed.placement import ONE_DEVICE, Placement
from keras_ganvae.runs import checkpoints
from keras_ganvae.runs.run import Run
from keras_ganvae.training import compilation, loop
from keras_ganvae.training.plan import plan
from keras_ganvae.training.setup import build_model, feeds, prepare
from keras_ganvae.training.train import fit, resume, train

# 43 images in batches of 8: six steps an epoch, the last of 3 images.
SETTINGS = {"dataset": "synthetic", "limit": 43, "batch_size": 8, "epochs": 2, "latent_dim": 5}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compilation, "LEAST_STEPS", 12)
    return tmp_path / "cache" / files.NAME_OF_CACHE / "compilation"


@pytest.fixture
def measured(monkeypatch):
    """`measured(speedup)` sets what the next measurement finds, and counts measurements."""
    calls = []

    def measure(speedup):
        monkeypatch.setattr(loop, "speedup_of_xla", lambda *_: calls.append(speedup) or speedup)
        return calls

    return measure


def config(arch="vae", **settings):
    return TrainConfig(arch=arch, **SETTINGS | settings)


def choice(arch="vae", **settings):
    setup = prepare(config(arch, **settings))
    return compilation.choose(setup, build_model(setup.config, setup.dataset))


@pytest.mark.parametrize(("speedup", "jit"), [(0.2, "off"), (1.09, "off"), (1.1, "on"), (3, "on")])
def test_the_faster_way_by_a_tenth(measured, speedup, jit):
    measured(speedup)
    assert str(choice()) == f"XLA {jit} ({speedup:.2f}x throughput, measured)"


def test_a_measurement_is_kept_for_the_same_step(measured):
    calls = measured(2.0)
    assert choice().jit == choice(seed=1, epochs=9, limit=90).jit == "on"
    assert len(calls) == 1
    choice(batch_size=7), choice(latent_dim=6), choice("gan"), choice(precision="bfloat16")
    assert len(calls) == 5


@pytest.mark.parametrize("content", ["", "[]", '{"xla_speedup": "fast"}', '{"xla_speedup": null}'])
def test_a_damaged_file_is_measured_again(measured, cache, content):
    measured(2.0)
    choice()
    (file,) = cache.iterdir()
    file.write_text(content)
    calls = measured(0.5)
    assert choice().jit == "off" and calls[-1] == 0.5
    assert json.loads(file.read_text()) == {"xla_speedup": 0.5}


def test_a_cache_that_cant_be_written_is_a_warning(measured, cache, caplog):
    measured(2.0)
    cache.parent.mkdir(parents=True)
    cache.touch()  # no folder
    with caplog.at_level(logging.WARNING, "keras_ganvae"):
        assert choice().jit == "on"
    assert "the measurement can't be kept" in caplog.text


def test_nothing_is_measured_without_need(measured, monkeypatch):
    calls = measured(2.0)
    assert str(choice(jit="on")) == "XLA on (as set)"
    assert choice(jit="off").jit == "off"
    setup = dataclasses.replace(prepare(config()), placement=Placement(strategy=object()))
    assert compilation.choose(setup, None).jit == "off"
    monkeypatch.setattr(compilation, "LEAST_STEPS", 13)
    assert "fewer than 13 steps" in choice().reason
    assert not calls


def test_a_real_measurement_changes_nothing():
    setup = prepare(config())
    model = build_model(setup.config, setup.dataset)
    before = [np.array(each) for each in checkpoints.variables(model)]
    assert 0.001 < loop.speedup_of_xla(model, feeds(setup)[0], ONE_DEVICE) < 1000
    after = checkpoints.variables(model)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("arch", ["vae", "cvae"])  # compiled as a loop, and step by step
def test_the_same_steps_with_xla_up_to_rounding(monkeypatch, arch):
    """With constant noise, as XLA draws other numbers from the same seed, and without Adam.

    Its first steps are signs of gradients, which rounding may flip.
    """
    states = []
    for jit in ("off", "on"):
        setup = prepare(config(arch, jit=jit, optimizer="sgd", learning_rate=1e-5))
        model = build_model(setup.config, setup.dataset)
        with monkeypatch.context() as patch:
            for name in ("stateless_normal", "stateless_uniform"):
                patch.setattr(tf.random, name, lambda shape, **_: _waves(shape))
            fit(model, setup, Position(), [])
        states.append([np.array(each) for each in checkpoints.variables(model)])
    for off, on in zip(*states, strict=True):
        np.testing.assert_allclose(on, off, rtol=1e-4, atol=1e-6)


def _waves(shape):
    """Constant numbers between 0 and 1."""
    return tf.reshape(tf.sin(tf.range(tf.reduce_prod(shape), dtype=tf.float32)) ** 2, shape)


def test_a_run_keeps_the_choice(measured, tmp_path):
    """Resumed with another number of steps per execution: the bytes of an uninterrupted one."""
    calls = measured(2.0)
    run = train(config(schedule="constant"), tmp_path / "run")
    assert run.config.jit == "on" == Run.open(run.path).config.jit
    longer = resume(run.path, epochs=3, overrides={"steps_per_execution": 1})
    assert longer.config.jit == "on" and len(calls) == 1
    setup = prepare(config(schedule="constant", epochs=3, jit="on"))
    model = build_model(setup.config, setup.dataset)
    fit(model, setup, Position(), [])
    for found, wanted in zip(longer.model().networks, model.networks, strict=True):
        for one, other in zip(found.get_weights(), wanted.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_run_of_an_older_release_was_not_compiled(monkeypatch):
    """It has `jit=auto` in its config.json."""
    setup = prepare(config())
    installed = []
    monkeypatch.setattr(loop, "install", lambda *_, xla: installed.append(xla))
    model = build_model(setup.config, setup.dataset)
    fit(model, setup, Position(setup.config.epochs), [])  # nothing is left to train
    assert installed == [False]


def test_a_dry_run_shows_the_choice(measured):
    measured(1.52)
    found = plan(config())
    assert str(found["placement"]["compilation"]) == "XLA on (1.52x throughput, measured)"
    assert found["settings"]["jit"] == "on"
