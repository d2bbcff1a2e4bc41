"""What `train --dry-run` says: the run as it would be, without a folder."""

import math
import resource
import statistics
import sys
import time

import numpy as np

from keras_ganvae.data.pipeline import Position, steps_per_epoch
from keras_ganvae.runs import checkpoints as state
from keras_ganvae.runs.run import dataset_record
from keras_ganvae.training.callbacks import duration
from keras_ganvae.training.cost import multiply_adds
from keras_ganvae.training.optimizers import described_compilation
from keras_ganvae.training.setup import build, prepare, training_data

WARM_UP = 3  # steps that are not counted: the first traces the graph
SECONDS = 2.0  # of timing
FLOAT = 4  # bytes


def plan(config, cluster=None) -> dict:
    """Sections of names and values: settings, data, networks, placement and cost.

    Takes a few steps on the real data, to time them, with a model that is then dropped.

    Raises:
        InputError: whatever `train` would refuse.
    """
    job = prepare(config, cluster)
    config, dataset = job.config, job.dataset
    # Counted on one device: the shares of replicas add up to the same.
    cost = multiply_adds(build(config, dataset), dataset.image_shape)
    model = build(config, dataset, job.placement)
    steps = steps_per_epoch(len(dataset.train), config.batch_size)
    seconds = _step_seconds(model, job)
    return {
        "settings": {k: v for k, v in config.to_dict().items() if v is not None},
        "data": dataset_record(dataset),
        "networks": {
            network.name: f"{network.count_params():,} parameters,"
            f" {_shape(network.input_shape)} -> {_shape(network.output_shape)}"
            for network in model.networks
        },
        "placement": {
            "strategy": job.placement.described(),
            "precision": config.precision,
            "compilation": described_compilation(config),
        },
        "memory": {
            "weights and optimizers": _megabytes(sum(map(_size, state.variables(model)))),
            "activations of a batch": f"about {_megabytes(_activations(model, config))}",
            "images": _images(dataset),
            "peak of these steps": _megabytes(_peak()),
        },
        "cost": {
            "steps per epoch": steps,
            "steps": steps * config.epochs,
            "multiply-adds per image": f"{cost / 1e6:.2f} million",
            "time of a step": f"{1e3 * seconds:.1f} ms, measured",
            "time of an epoch": f"{duration(steps * seconds)}, without validation and pictures",
            "time of the run": f"about {duration(steps * seconds * config.epochs)}",
        },
    }


def _step_seconds(model, job) -> float:
    """The median of a few seconds of real steps."""
    batches = iter(training_data(job, Position()))
    model.make_train_function()
    name = model.metrics[0].name
    times, end = [], math.inf
    while time.perf_counter() < end or len(times) <= WARM_UP:
        start = time.perf_counter()
        float(model.train_function(batches)[name])  # read, so that the step is over
        times.append(time.perf_counter() - start)
        if len(times) == WARM_UP:
            end = time.perf_counter() + SECONDS
    return statistics.median(times[WARM_UP:])


def _activations(model, config) -> int:
    """Bytes of the layers' outputs for one batch, which the backward pass keeps."""
    passes = {"discriminator": 2}  # real images, then generated ones
    floats = sum(
        passes.get(network.name, 1) * math.prod(layer.output.shape[1:])
        for network in model.networks
        for layer in network.layers
    )
    return floats * config.batch_size * (FLOAT if config.precision == "float32" else FLOAT // 2)


def _size(variable) -> int:
    return math.prod(variable.shape) * FLOAT


def _images(dataset) -> str:
    images = dataset.train.images
    size = _megabytes(math.prod(images.shape))
    return size if isinstance(images, np.ndarray) else f"{size}, not in memory"


def _peak() -> int:
    """Bytes of this process at its largest, TensorFlow's half gigabyte included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _megabytes(count) -> str:
    return f"{count / 1e6:,.1f} MB"


def _shape(shape):
    return "x".join(str(side) for side in shape[1:])
