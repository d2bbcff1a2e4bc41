"""A dry run: what a training run would be and cost, without a run folder."""

import math
from typing import Any

import numpy as np

from keras_ganvae import runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.runs import checkpoints
from keras_ganvae.runs.records import dataset_record
from keras_ganvae.training import compilation, loop
from keras_ganvae.training.callbacks import duration
from keras_ganvae.training.cost import multiply_adds
from keras_ganvae.training.setup import build_model, feeds, prepare

FLOAT = 4  # bytes


def plan(config: TrainConfig, cluster: Cluster | None = None) -> dict[str, dict[str, Any]]:
    """Sections of names and values: settings, data, networks, placement, memory and cost.

    Times a few steps on the real data, with a model that is then dropped.

    Raises:
        InputError: as `train`.
    """
    setup = prepare(config, cluster)
    dataset = setup.dataset
    # Counted on one device; the replicas' parts add up to the same.
    macs = multiply_adds(build_model(setup.config, dataset), dataset.image_shape)
    model = build_model(setup.config, dataset, setup.placement)
    choice = compilation.choose(setup, model)
    setup = choice.applied(setup)
    resolved = setup.config
    steps = setup.steps_per_epoch
    loop.install(
        model,
        *feeds(setup),
        resolved.steps_per_execution,
        setup.placement,
        xla=resolved.jit == "on",
    )
    seconds = loop.seconds_of_a_step(model, setup.placement)
    return {
        "settings": {k: v for k, v in resolved.to_dict().items() if v is not None},
        "data": dataset_record(dataset),
        "networks": {
            network.name: f"{network.count_params():,} parameters,"
            f" {_shape(network.input_shape)} -> {_shape(network.output_shape)}"
            for network in model.networks
        },
        "placement": {
            "strategy": setup.placement.described(),
            "precision": resolved.precision,
            "compilation": choice,
            "steps per execution": model.steps_per_execution,
        },
        "memory": {
            "weights and optimizers": _megabytes(sum(map(_size, checkpoints.variables(model)))),
            "activations of a batch": f"about {_megabytes(_activations(model, resolved))}",
            "images": _images(dataset),
            "peak of these steps": _megabytes(runtime.peak_memory()),
        },
        "cost": {
            "steps per epoch": steps,
            "steps": steps * resolved.epochs,
            "MACs per image": f"{macs / 1e6:.2f} million",
            "time of a step": f"{1e3 * seconds:.1f} ms, measured",
            "time of an epoch": f"{duration(steps * seconds)}, without validation and pictures",
            "time of the run": f"about {duration(steps * seconds * resolved.epochs)}",
        },
    }


def _activations(model, config):
    """Bytes of the layers' outputs for one batch, which the backward pass needs."""
    passes = {"discriminator": 2}  # real images, then generated ones
    floats = sum(
        passes.get(network.name, 1) * math.prod(layer.output.shape[1:])
        for network in model.networks
        for layer in network.layers
    )
    return floats * config.batch_size * (FLOAT if config.precision == "float32" else FLOAT // 2)


def _size(variable):
    return math.prod(variable.shape) * FLOAT


def _images(dataset):
    images = dataset.train.images
    size = _megabytes(math.prod(images.shape))
    return size if isinstance(images, np.ndarray) else f"{size}, not in memory"


def _megabytes(count):
    return f"{count / 1e6:,.1f} MB"


def _shape(shape):
    return "x".join(str(side) for side in shape[1:])
