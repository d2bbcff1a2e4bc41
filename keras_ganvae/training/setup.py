"""What is to be trained, on what and where; and the model made for it."""

import contextlib
import dataclasses
import functools
import logging
from dataclasses import dataclass
from pathlib import Path

from keras_ganvae import architectures, runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.data import Dataset
from keras_ganvae.data.pipeline import steps_per_epoch, training_batches
from keras_ganvae.distributed import cluster as clusters
from keras_ganvae.distributed.keras_patches import allow_empty_batches, synchronize_batch_norm
from keras_ganvae.distributed.placement import ONE_DEVICE, Placement, place
from keras_ganvae.errors import InputError
from keras_ganvae.files import sha256_of
from keras_ganvae.models.adversarial import PENALTY_EVERY
from keras_ganvae.runs import run as runs
from keras_ganvae.training.optimizers import compile_model, described_compilation, use_xla

log = logging.getLogger("keras_ganvae")

VALIDATION_BATCH = 500

# Settings that may differ between the workers of a run: where things are on their machine.
MACHINES_OWN = ("data_dir", "device", "cache")


@dataclass(frozen=True)
class Job:
    """What is to be trained, on what, and where. `config` has nothing left open."""

    config: TrainConfig
    dataset: Dataset
    placement: Placement


def prepare(config: TrainConfig, cluster=None) -> Job:
    """Resolve a config, choose the devices and load the data.

    Raises:
        InputError: a setting, the devices or the data can't be used.
    """
    given, config = config, architectures.resolve(config)
    placement = place(config, cluster)
    dataset = runs.load_dataset(config, config.cache)
    config = dataclasses.replace(
        config,
        dataset=dataset.spec,  # `auto` is now known
        data_dir=config.data_dir and str(Path(config.data_dir).absolute()),
        binarize=_binarization(given, config, dataset),
    )
    if config.batch_size > len(dataset.train):
        raise InputError(
            f"batch_size {config.batch_size} is larger than the"
            f" {len(dataset.train)} training images"
        )
    log.info("data: %s", dataset.summary())
    log.info("compilation: %s", described_compilation(config))
    return Job(config, dataset, placement)


def _binarization(given, config, dataset):
    """The preset's, unless nobody asked for it and the images are in colour."""
    if given.binarize or not config.binarize or dataset.image_shape[-1] == 1:
        return config.binarize
    log.info("colour images: --binarize none, so the loss is a cross-entropy, not a likelihood")
    return "none"


def build(config, dataset, placement=ONE_DEVICE):
    """The compiled model of a resolved config."""
    runtime.prepare(config.seed, config.precision, use_xla(config))
    with placement.scope():
        model = architectures.build(config, dataset.image_shape)
        compile_model(model, config, steps_per_epoch(len(dataset.train), config.batch_size))
    if config.sync_batch_norm:
        synchronize_batch_norm(model)
    if _may_lack_images(config, dataset, placement.replicas.total):
        allow_empty_batches(model)
    return model


def _may_lack_images(config, dataset, replicas):
    """Whether a replica may have none of a batch, or none that the gradient penalty is of."""
    counts = ((dataset.train, config.batch_size), (dataset.validation, VALIDATION_BATCH))
    last = [len(images) % size or size for images, size in counts]
    return replicas > 1 and min(last) < replicas * PENALTY_EVERY


def training_data(job, position):
    """The batches from a position on, for the replicas of this process."""
    config, images = job.config, job.dataset.train.images
    make = functools.partial(training_batches, images, config.batch_size, config.seed, position)
    return job.placement.distributed(make)


@contextlib.contextmanager
def together(job, folder, state=None):
    """Begin and end with the other workers, if there are any.

    Args:
        folder: of the run.
        state: the folder of the saved state to go on from.

    Raises:
        InputError: the workers were not started with the same.
        GateFailed: a worker stopped answering.
    """
    cluster = job.placement.cluster
    if cluster is None:
        yield
        return
    settings = job.config.to_dict()
    facts = {
        "settings": {name: settings[name] for name in settings if name not in MACHINES_OWN},
        "data (fingerprint)": job.dataset.fingerprint,
        "versions": runtime.versions(),
        "saved state": state and (state.name, sha256_of(state / "manifest.json")),
    }
    with clusters.lost_workers_as_errors(cluster, "its output says why; restart all workers"):
        clusters.check_same(job.placement.strategy, facts)
    remedy = "restart all workers"
    with (
        clusters.lost_workers_as_errors(cluster, remedy, resume=folder),
        clusters.log_file(folder, cluster, append=state is not None),
    ):
        yield
        # A worker ends when the run is finished, not before.
        clusters.check_same(job.placement.strategy, {"end": job.config.epochs})
