"""Measurements of tiny runs, and comparisons assembled from variations of them."""

import copy
import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae import TrainConfig, architectures
from keras_ganvae.evaluation import protocol
from keras_ganvae.evaluation.floor import RealImages
from keras_ganvae.evaluation.measure import evaluate
from keras_ganvae.paper.compare import assemble
from keras_ganvae.paper.experiments import generator_gradients
from keras_ganvae.paper.model_group import MeasuredRun, group_runs
from keras_ganvae.paper.pictures import of_run
from keras_ganvae.runs.run import Run

GANS, VAES = ("gan", "dcgan"), ("vae", "cvae")
SETTINGS = protocol.Settings(
    samples=150,
    importance_samples=3,
    bound_images=8,
    binarize=("stochastic", "threshold", "none"),
    features="digits",
)
# Label -> the runs of section 4.2, as variations of an architecture.
ABLATIONS = {
    "gan (paper, no dropout)": ("gan", {"dropout": False}),
    "gan (paper, saturating loss)": ("gan", {"generator_loss": "saturating"}),
    "gan (paper, SGD)": ("gan", {"optimizer": "sgd"}),
    "vae (paper, SGD)": ("vae", {"optimizer": "sgd"}),
}


@pytest.fixture(scope="session")
def copy_of(run_of, tmp_path_factory):
    """`copy_of(arch)`: a copy of a tiny run, whose folder may be written to."""

    def make(arch):
        return Run.open(shutil.copytree(run_of(arch).path, tmp_path_factory.mktemp("run") / arch))

    return make


@pytest.fixture(scope="session")
def measurements(copy_of):
    """Arch -> (measured tiny run, its pictures), and "gradients" -> those of the GAN."""
    runs = {arch: copy_of(arch) for arch in GANS + VAES}
    dataset = runs["gan"].dataset()
    real = RealImages.of(dataset, SETTINGS)
    found = {
        arch: (
            MeasuredRun(run, run.history(), evaluate(run, SETTINGS, real=real)),
            of_run(run, run.model(), dataset.test.images),
        )
        for arch, run in runs.items()
    }
    return found | {"gradients": generator_gradients(runs["gan"].config, dataset)}


@pytest.fixture(scope="session")
def comparison(measurements):
    """`comparison(archs, ablations, seeds, epochs, binarize)`: results as `compare` writes them.

    Runs are the tiny ones with the paper's settings and numbers that differ a little.
    """

    def make(
        archs=GANS + VAES, ablations=ABLATIONS, seeds=3, epochs=None, binarize=("stochastic",)
    ):
        random = np.random.default_rng(0)
        models = [(arch, {}) for arch in archs] + list(ablations.values())
        measured = [
            _variation(measurements[arch][0], settings, seed, epochs, binarize, random)
            for arch, settings in models
            for seed in range(seeds)
        ]
        gradients = [measurements["gradients"]] * seeds if "gan" in archs else []
        commands = [f"keras-ganvae train --out runs/{each.run.path}" for each in measured]
        return assemble(
            group_runs(measured),
            pictures=[dict(measurements[arch][1]) for arch, _ in models],
            gradients=copy.deepcopy(gradients),
            commands=commands,
        )

    return make


def _variation(measured, settings, seed, epochs, binarize, random):
    arch = measured.run.config.arch
    config = architectures.resolve(TrainConfig(arch=arch, preset="paper", seed=seed, **settings))
    name = "-".join([arch, *map(str, settings.values()), str(seed)])
    result = copy.deepcopy(measured.result)
    result["protocol"]["binarize"] = list(binarize)
    if "likelihood" in result:
        result["likelihood"] = {each: result["likelihood"][each] for each in binarize}
    groups = [result["samples"], result.get("likelihood", {})]
    for numbers in (each for group in groups for each in group.values()):
        for found in numbers.values():
            if isinstance(found, dict):
                found["value"] *= random.uniform(0.9, 1.1)
    run = dataclasses.replace(measured.run, path=Path(name), config=config)
    return MeasuredRun(run, copy.deepcopy(measured.history[:epochs]), result)
