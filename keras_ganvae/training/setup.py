"""What a run needs before its first step: resolved settings, data, devices, model."""

import contextlib
import dataclasses
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ganvae import architectures, runtime
from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.config import TrainConfig
from keras_ganvae.data import Dataset
from keras_ganvae.data.pipeline import Feed, steps_per_epoch
from keras_ganvae.data.resources import available_memory, readable_size
from keras_ganvae.distributed import cluster as clusters
from keras_ganvae.distributed.cluster import Cluster
from keras_ganvae.distributed.keras_patches import allow_empty_batches, synchronize_batch_norm
from keras_ganvae.distributed.placement import ONE_DEVICE, Placement, place
from keras_ganvae.errors import InputError
from keras_ganvae.files import sha256_of
from keras_ganvae.models.adversarial import PENALTY_EVERY
from keras_ganvae.models.memory import bytes_per_image
from keras_ganvae.runs import machine
from keras_ganvae.runs.run import load_dataset
from keras_ganvae.training.optimizers import compile_model

log = logging.getLogger("keras_ganvae")

VALIDATION_BATCH = 500

# Settings that may differ between the workers of a run: where things are on each machine.
PER_MACHINE = ("data_dir", "device", "cache")


@dataclass(frozen=True)
class Setup:
    """What to train, on which data and devices.

    config: resolved, so that no setting is None that its kind of model has.
    """

    config: ResolvedConfig
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
    resolved = architectures.resolve(config)
    if resolved.jit == "on" and resolved.strategy in ("mirrored", "multi-worker"):
        raise InputError("`jit=on` compiles a step for one device; remove it or `strategy`")
    placement = place(resolved, cluster)
    dataset = load_dataset(resolved, resolved.cache)
    resolved = dataclasses.replace(
        resolved,
        dataset=dataset.spec,  # `auto` is now known
        data_dir=config.data_dir and str(Path(config.data_dir).absolute()),
        binarize=_binarization(config, resolved, dataset),
    )
    if resolved.batch_size > len(dataset.train):
        raise InputError(
            f"`batch_size` {resolved.batch_size} is larger than the"
            f" {len(dataset.train)} training images"
        )
    log.info("data: %s", dataset.summary())
    _warn_of_emulation(resolved.precision)
    return Setup(resolved, dataset, placement)


def _warn_of_emulation(precision):
    """Warn if the processor has vector instructions, but none for bfloat16."""
    facts = machine.here()["machine"]
    emulated = precision == "bfloat16" and not facts["gpus"] and facts["instructions"]
    if emulated and "bf16" not in facts["instructions"]:
        log.warning("this processor has no bfloat16 instructions: float32 is several times faster")


def _binarization(given, resolved, dataset):
    """The preset's, but "none" for colour images unless it was set."""
    if given.binarize or not resolved.binarize or dataset.image_shape[-1] == 1:
        return resolved.binarize
    log.info("colour images: `binarize=none`, so the loss is a cross-entropy, not a likelihood")
    return "none"


def build_model(config: ResolvedConfig, dataset: Dataset, placement: Placement = ONE_DEVICE) -> Any:
    """Build and compile the model of a resolved config for the images of a data set."""
    runtime.prepare(config.seed, config.precision)
    with placement.scope():
        model = architectures.build(config, dataset.image_shape)
        _check_validation_fits(model, len(dataset.validation), placement)
        compile_model(model, config, steps_per_epoch(len(dataset.train), config.batch_size))
    if config.sync_batch_norm:
        synchronize_batch_norm(model)
    if _may_lack_images(config, dataset, placement.replicas.total):
        allow_empty_batches(model)
    return model


def _check_validation_fits(model, images, placement):
    """Refuse images of which a batch of validation can't fit in memory.

    `architectures.build` has checked a training batch.
    """
    workers = len(placement.cluster.workers) if placement.cluster else 1
    batch = math.ceil(min(VALIDATION_BATCH, images) / workers)
    size, available = bytes_per_image(model), available_memory()
    if batch * size > available:
        height, width, _ = model.image_shape
        fewer = available // size * workers
        raise InputError(
            f"validation on {batch} images of {height}x{width} at once takes more than"
            f" {readable_size(batch * size)} of memory, and {readable_size(available)} are"
            " available: reduce `image_size`"
            + (f", or `validation_size` to {fewer} at most" if fewer else "")
        )


def _may_lack_images(config, dataset, replicas):
    """Whether a replica's part of a last batch may be empty, or have no penalised image."""
    counts = ((dataset.train, config.batch_size), (dataset.validation, VALIDATION_BATCH))
    last = [len(images) % size or size for images, size in counts]
    return replicas > 1 and min(last) < replicas * PENALTY_EVERY


def feeds(setup: Setup) -> tuple[Feed, Feed]:
    """The training images in batches, and the validation images."""
    steps = setup.config.steps_per_execution
    width = None if steps == "auto" else int(steps)
    return (
        Feed(setup.dataset.train.images, setup.config.batch_size, width),
        Feed(setup.dataset.validation.images, VALIDATION_BATCH, width),
    )


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
    with clusters.lost_workers_as_errors(cluster, "its output says why; restart all workers"):
        clusters.check_same(setup.placement.strategy, facts)
    remedy = "restart all workers"
    with (
        clusters.lost_workers_as_errors(cluster, remedy, resume=folder),
        clusters.log_file(folder, cluster, append=checkpoint is not None),
    ):
        yield
        # A worker ends when the run is finished, not before.
        clusters.check_same(setup.placement.strategy, {"end": setup.config.epochs})
