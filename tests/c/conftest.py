"""Generators of small models in C, and programs that draw with them."""

import dataclasses
import functools
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae.bundle import c_source
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.c import compiler
from keras_ganvae.c.source import Generator
from keras_ganvae.priors import NormalPrior, Prior
from keras_ganvae.tflite.read import ModelFile, read_model

EXPORTS = Path(__file__).parents[2] / "exports"
STRICT = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZED = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@dataclass(frozen=True)
class Made:
    """The model files of a small generator by variant, and its C files."""

    models: dict[str, ModelFile]
    prior: Prior
    image_shape: tuple
    c: c_source.CSource

    def generator(self, variant) -> Generator:
        return self.c.generators[variant]

    def draw(self, variant, seeds, flags=STRICT + SANITIZED, command="gcc"):
        """What a program draws that was compiled with every warning and sanitizer."""
        if shutil.which(command) is None:
            pytest.skip(f"no {command} on this machine")
        name = c_source.FILES[variant]
        with compiler.compiled(command, self.c.texts, name, flags) as program:
            return compiler.draw(program, seeds, self.prior.latent_dim, self.image_shape)


@pytest.fixture(scope="session")
def made(make_model, mixture):
    """`made(arch, preset, image_shape, components, decimals)`: the C of an untrained model.

    Its biases and batch-norm statistics are random; its prior is a mixture if there are
    `components`, of numbers with so many `decimals`.
    """
    from keras_ganvae.tflite import convert
    from keras_ganvae.tflite.functions import exported

    @functools.cache
    def make(arch, preset, image_shape, components=0, decimals=7):
        model = make_model(arch, preset, image_shape, latent_dim=5)
        _shake(model)
        prior = rounded(mixture(components, 5), decimals) if components else NormalPrior(5)
        module = exported(model, prior)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(convert, "CALIBRATION", 50)  # seconds are saved, ranges suffice
            models = {
                name: read_model(convert.convert(module, name), name) for name in c_source.FILES
            }
        return Made(models, prior, image_shape, c_source.generate(models, prior, image_shape))

    return make


@pytest.fixture(scope="session")
def reference():
    """`reference(arch)`: the C of the exported reference model, trained on MNIST."""

    @functools.cache
    def make(arch):
        bundle = Bundle.open(EXPORTS / f"{arch}-mnist")
        models = {name: bundle.model_file(name) for name in c_source.FILES}
        c = c_source.generate(models, bundle.prior(), bundle.image_shape)
        return Made(models, bundle.prior(), bundle.image_shape, c)

    return make


@pytest.fixture(scope="session")
def small(made):
    """A small cvae with colours and a mixture, rounded as a fitted one."""
    return made("cvae", "default", (8, 12, 3), 4, 4)


def rounded(prior, decimals):
    """A mixture rounded as `priors/fit.py` rounds it."""
    means, factors = (
        np.round(each.astype(float), decimals).astype(np.float32)
        for each in (prior.means, prior.factors)
    )
    return dataclasses.replace(prior, means=means, factors=factors)


def _shake(model):
    random = np.random.default_rng(1)
    for weight in model.weights:
        name = weight.path.rpartition("/")[2]
        if name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 2, weight.shape))
        elif name in ("beta", "bias", "moving_mean"):
            weight.assign(random.normal(scale=0.2, size=weight.shape))
