"""Tiny trained runs that many tests look at, and two ways to call the command line."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

ROOT = Path(__file__).parents[1]

# 200 images are six batches of 32 and a partial one of 8.
TINY = {"dataset": "synthetic", "limit": 200, "epochs": 2, "batch_size": 32, "latent_dim": 4}


def pytest_configure(config):
    # Keras's own: its variables' __array__ predates the copy argument of NumPy 2.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def train_tiny(tmp_path_factory):
    """`train_tiny(arch, **settings)`: a finished tiny run, freshly trained in this process."""
    import keras_ganvae

    def train(arch, **settings):
        config = keras_ganvae.TrainConfig(arch=arch, **TINY | settings)
        return keras_ganvae.train(config, tmp_path_factory.mktemp(arch) / "run")

    return train


@pytest.fixture(scope="session")
def run_of(train_tiny):
    """`run_of(arch)`: one finished tiny run, shared by all tests, which must not change it."""
    return functools.cache(train_tiny)


@pytest.fixture(scope="session")
def digits():
    """uint8 (64, 28, 28, 1): the first synthetic digits."""
    from keras_ganvae import data

    return data.load("synthetic", limit=64).train.images


@pytest.fixture(scope="session")
def make_model():
    """`make_model(arch, preset, image_shape, rates, **settings)`: a compiled model.

    `rates` overrides the learning rate of optimizers by name.
    """
    from keras_ganvae import TrainConfig, architectures, runtime
    from keras_ganvae.training.optimizers import compile_model

    def make(arch, preset="default", image_shape=(28, 28, 1), rates=None, **settings):
        config = TrainConfig(arch=arch, preset=preset, schedule="constant", **settings)
        config = architectures.resolve(config)
        runtime.prepare(config.seed, config.precision)
        model = architectures.build(config, image_shape)
        compile_model(model, config, steps_per_epoch=10)
        optimizers = dict(zip(model.optimizer_names, model.optimizers, strict=True))
        for name, rate in (rates or {}).items():
            optimizers[name].learning_rate = rate
        return model

    return make


@pytest.fixture(scope="session")
def terminal():
    """`terminal(*arguments)`: `python -m keras_ganvae ...` as a person runs it."""

    def call(*arguments, python_options=()):
        return subprocess.run(
            [sys.executable, *python_options, "-m", "keras_ganvae", *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return call


@pytest.fixture
def command(capsys):
    """`command(*arguments)`: (exit code, stdout, stderr) of `main` in this process."""
    from keras_ganvae import cli

    def call(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call
