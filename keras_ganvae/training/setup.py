"""What a run needs before its first step: resolved settings, data, devices, model."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_ganvae import architectures, runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.data import Dataset
from keras_ganvae.data.pipeline import steps_per_epoch, training_batches
from keras_ganvae.data.position import Position
from keras_ganvae.distributed import cluster as clusters
from keras_ganvae.distributed.batch import guard_convolutions, synchronise_batch_norm
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.distributed.placement import ONE_DEVICE, Placement, place
from keras_ganvae.errors import InputError
from keras_ganvae.files import sha256_of
from keras_ganvae.models.adversarial import PENALISED
from keras_ganvae.runs.run import load_dataset
from keras_ganvae.training.optimizers import compile_model, described_compilation, use_xla

log = logging.getLogger("keras_ganvae")

VALIDATION_BATCH = 500

# Settings that may differ between the workers of a run: where things are on each machine.
PER_MACHINE = ("data_dir", "device", "cache")


@dataclass(frozen=True)
class Setup:
    """What to train, on which data and devices.

    config: resolved, so that no setting is None that its kind of model has.
    """

    config: TrainConfig
    dataset: Dataset
    placement: Placement

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(len(self.dataset.train), self.config.batch_size)


def prepare(config: TrainConfig, cluster: Cluster | None = None) -> Setup:
    """Resolve a config, choose the devices and load the data.

    Raises:
        InputError: a setting, the devices or the data can't be used.
    """
    given, config = config, architectures.resolve(config)
    placement = place(config, cluster)
    dataset = load_dataset(config, config.cache)
    config = dataclasses.replace(
        config,
        dataset=dataset.spec,  # `auto` is now known
        data_dir=config.data_dir and str(Path(config.data_dir).absolute()),
        binarize=_binarization(given, config, dataset),
    )
    if config.batch_size > len(dataset.train):
        raise InputError(
            f"`batch_size` {config.batch_size} is larger than the"
            f" {len(dataset.train)} training images"
        )
    log.info("data: %s", dataset.summary())
    log.info("compilation: %s", described_compilation(config))
    return Setup(config, dataset, placement)


def _binarization(given, config, dataset):
    """The preset's, but "none" for colour images unless it was set."""
    if given.binarize or not config.binarize or dataset.image_shape[-1] == 1:
        return config.binarize
    log.info("colour images: `binarize=none`, so the loss is a cross-entropy, not a likelihood")
    return "none"


def build_model(config: TrainConfig, dataset: Dataset, placement: Placement = ONE_DEVICE) -> Any:
    """Build and compile the model of a resolved config for the images of a data set."""
    runtime.prepare(config.seed, config.precision, use_xla(config))
    with placement.scope():
        model = architectures.build(config, dataset.image_shape)
        compile_model(model, config, steps_per_epoch(len(dataset.train), config.batch_size))
    if config.sync_batch_norm:
        synchronise_batch_norm(model)
    if _may_lack_images(config, dataset, placement.replicas.total):
        guard_convolutions(model)
    return model


def _may_lack_images(config, dataset, replicas):
    """Whether a replica's part of a last batch may be empty, or have no penalised image."""
    counts = ((dataset.train, config.batch_size), (dataset.validation, VALIDATION_BATCH))
    last = [len(images) % size or size for images, size in counts]
    return replicas > 1 and min(last) < replicas * PENALISED


def training_data(setup: Setup, position: Position) -> tf.data.Dataset:
    """The batches from a position on, for the replicas of this process."""
    config, images = setup.config, setup.dataset.train.images
    make = functools.partial(training_batches, images, config.batch_size, config.seed, position)
    return setup.placement.distributed(make)


@contextlib.contextmanager
def synchronized(setup: Setup, folder: Path, checkpoint: Path | None = None) -> Iterator[None]:
    """Begin and end together with the other workers, if there are any.

    Args:
        folder: the run folder.
        checkpoint: the folder of the checkpoint to resume from.

    Raises:
        InputError: the workers were started with different settings, data or versions.
        GateFailed: a worker stopped answering.
    """
    cluster = setup.placement.cluster
    if cluster is None:
        yield
        return
    settings = setup.config.to_dict()
    facts = {
        "settings": {name: settings[name] for name in settings if name not in PER_MACHINE},
        "data (fingerprint)": setup.dataset.fingerprint,
        "versions": runtime.versions(),
        "checkpoint": checkpoint and (checkpoint.name, sha256_of(checkpoint / "manifest.json")),
    }
    with clusters.losing_nobody(cluster, "its own output says why; start all again"):
        clusters.agree(setup.placement.strategy, facts)
    cure = f"resume by starting all of them again with `resume={folder}`"
    with clusters.losing_nobody(cluster, cure), clusters.logging_to(folder, cluster, checkpoint):
        yield
        # A worker ends when the whole run is finished, not before.
        clusters.agree(setup.placement.strategy, {"end": setup.config.epochs})
