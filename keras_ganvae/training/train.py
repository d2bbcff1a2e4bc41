"""A whole training run, from a config to a finished run folder.

The way of a batch: here -> architectures/<arch> (networks) -> models/<kind>.train_step ->
equations.
"""

import contextlib
import dataclasses
import functools
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from keras_ganvae import runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.data.pipeline import input_errors_of_pipeline
from keras_ganvae.data.position import Position
from keras_ganvae.distributed.cluster import Cluster, signals_left_to_chief
from keras_ganvae.distributed.keras_patches import decorrelate_dropout
from keras_ganvae.distributed.placement import place
from keras_ganvae.errors import InputError
from keras_ganvae.files import remove_unfinished
from keras_ganvae.plots import gif
from keras_ganvae.priors import NormalPrior, Prior
from keras_ganvae.runs import checkpoints
from keras_ganvae.runs.lock import exclusive
from keras_ganvae.runs.replaced import recover, set_aside
from keras_ganvae.runs.run import Run, check_free
from keras_ganvae.training import compilation, loop, tensorboard
from keras_ganvae.training.callbacks import Callbacks, StopOnNonFinite, WorkerLog
from keras_ganvae.training.checkpointing import KeepMetrics
from keras_ganvae.training.contrast import fit_contrast
from keras_ganvae.training.prior import fit_prior
from keras_ganvae.training.setup import (
    Setup,
    build_model,
    feeds,
    prepare,
    synchronized,
)

log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class Start:
    """Where training starts: the first batch, and the state of the callbacks there."""

    position: Position = field(default_factory=Position)
    callback_state: dict = field(default_factory=dict)


def train(
    config: TrainConfig,
    out: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
    checkpoint_minutes: float = 5.0,
    cluster: Cluster | None = None,
) -> Run | None:
    """Train one model and write a complete run folder.

    Args:
        config: settings; the architecture's preset fills in those that are None.
        out: the run folder; None creates one under runs/. Required with several workers.
        overwrite: replace a run in `out`.
        checkpoint_minutes: time between checkpoints inside an epoch.
        cluster: the workers of `strategy="multi-worker"`; None reads TF_CONFIG.

    Returns:
        The finished run; None on workers other than the chief.

    Raises:
        InputError: a setting, the data or `out` can't be used; nothing was written.
        GateFailed: a loss became NaN, the model collapsed, or a worker died.
        Interrupted: a signal stopped the training; a checkpoint is saved.
    """
    if config.strategy == "multi-worker" and out is None:
        raise InputError("`strategy=multi-worker` needs `out`: all workers must know the run")
    setup = prepare(config, cluster)  # preset values, devices, data
    folder = _new_folder(setup) if out is None else Path(out)
    if setup.placement.is_chief:
        check_free(folder if out is None else out, overwrite, setup.config)
    with synchronized(setup, folder):
        model = build_model(setup.config, setup.dataset, setup.placement)
        choice = compilation.choose(setup, model)
        log.info("compilation: %s", choice)
        setup = choice.applied(setup)
        folder.mkdir(parents=True, exist_ok=True)  # not before the model could be built
        with _exclusive(folder, setup.placement), _replacing_run(folder, overwrite, setup):
            run = _create(folder, setup)
            log.info("run folder: %s", run.path)
            return _train(run, model, setup, Start(), checkpoint_minutes)


def resume(
    path: str | os.PathLike,
    *,
    epochs: int | None = None,
    checkpoint_minutes: float = 5.0,
    cluster: Cluster | None = None,
    overrides: dict | None = None,
) -> Run | None:
    """Resume a run from its newest checkpoint; the result is that of an uninterrupted run.

    Args:
        path: the run folder. All workers must see it.
        epochs: train up to this many instead. The learning-rate schedule keeps its original
            span and stays at its final value beyond it.
        checkpoint_minutes, cluster: see `train`.
        overrides: settings of this machine that replace the run's, by name: `strategy`,
            `replicas`, `device`, `cache`, `steps_per_execution`.

    Raises:
        InputError: there is no such run, its data has changed, another process holds it, no
            checkpoint is valid, or `epochs` is less than the run already plans.
        GateFailed, Interrupted: see `train`.
    """
    run = Run.open(path)
    config = dataclasses.replace(run.config, **overrides or {})
    placement = place(config, cluster)
    with _exclusive(run.path, placement):
        if placement.is_chief and recover(run.path):
            raise InputError(
                f"{run.path} was to be replaced by a run that died before its first checkpoint;"
                " the old run is restored: resume again to continue it",
                resume=run.path,
            )
        dataset = run.dataset(config.cache)
        checkpoint, start = _last_checkpoint(run, dataset.fingerprint)
        run = _extended(run, epochs, placement.is_chief)
        if start.position.epoch >= run.config.epochs and run.is_finished:
            log.info("%s is finished; a larger `epochs` extends it", run.path)
            return run
        setup = Setup(dataclasses.replace(config, epochs=run.config.epochs), dataset, placement)
        with synchronized(setup, run.path, checkpoint):
            log.info("resuming %s of %s", start.position.described(run.config.epochs), run.path)
            model = build_model(setup.config, dataset, placement)
            if checkpoint is not None:
                checkpoints.restore(checkpoint, model)
            if placement.is_chief:
                _discard_after(run, start)
                run.record_machine()
            return _train(run, model, setup, start, checkpoint_minutes)


def _train(run, model, setup, start, checkpoint_minutes):
    """Fit the model and finish the run; workers other than the chief only fit."""
    if not setup.placement.is_chief:
        with signals_left_to_chief():
            fit(model, setup, start.position, [StopOnNonFinite(start.position.step), WorkerLog()])
        return None
    callbacks = Callbacks.of(
        run,
        model,
        setup.dataset,
        setup.steps_per_epoch,
        start.position,
        start.callback_state,
        checkpoint_minutes,
    )
    with (
        callbacks.tensorboard.closing(),
        callbacks.checkpoints.catching_signals(),
        runtime.progress_on_stderr(),
    ):
        worker_log = [WorkerLog()] if setup.placement.cluster else []
        fit(model, setup, start.position, [*worker_log, *callbacks.in_order()])
        _finish(run, model, setup.dataset, callbacks)
    callbacks.collapse.stop_if_wanted()
    return run


@input_errors_of_pipeline()
def fit(
    model: Any, setup: Setup, position: Position, callbacks: Sequence[keras.callbacks.Callback]
) -> None:
    """Call `model.fit` from a position to the last epoch.

    A partly trained epoch gets a `fit` of its own.
    """
    training, validation = feeds(setup)
    loop.install(
        model,
        training,
        validation,
        setup.config.steps_per_execution,
        setup.placement,
        xla=setup.config.jit == "on",  # "auto" in runs of older releases, which were not compiled
    )
    decorrelate_dropout(model)  # after the trial steps of `install`, which restores the seeds
    distributed, steps = setup.placement.distributed, model.steps_per_execution

    def fit_until(position, epoch, extra=()):
        shuffled = functools.partial(training.training_blocks, steps, setup.config.seed, position)
        model.fit(
            distributed(shuffled),
            initial_epoch=position.epoch,
            epochs=epoch,
            steps_per_epoch=training.steps - position.step,
            validation_data=distributed(functools.partial(validation.blocks, steps)),
            validation_steps=validation.steps,
            callbacks=[*extra, *callbacks],
            shuffle=False,  # the pipeline shuffles
            verbose=_verbosity(setup.placement),
        )

    if position.step:
        fit_until(position, position.epoch + 1, [KeepMetrics(model)])
        position = Position(position.epoch + 1)
    if position.epoch < setup.config.epochs:
        fit_until(position, setup.config.epochs)


def _finish(run, model, dataset, callbacks):
    """Write what only a finished run has: the last plots, the GIF, prior, contrast, model."""
    callbacks.pictures.plot()
    frames = gif.load_frames(run.figures)
    if frames:
        gif.save_gif(run.figures / "training.gif", frames)
    callbacks.checkpoints.stop_if_asked()
    prior: Prior = NormalPrior(run.config.latent_dim)
    if run.is_variational:
        mixture = fit_prior(model, dataset, run.config.seed)
        mixture.save(run.prior_file)
        prior = mixture if run.config.sampling_prior == "mixture" else prior
    if run.config.match_contrast:
        model.contrast = fit_contrast(model, prior, dataset.validation.images, run.config.seed)
        log.info("contrast %.2f gives samples the variance of the data", model.contrast)
    callbacks.checkpoints.stop_if_asked()
    run.save_model(model)  # last: it marks the run as finished


def _verbosity(placement):
    if not placement.is_chief:
        return 0
    return 1 if sys.stderr.isatty() else 2


def _exclusive(folder, placement):
    """The lock of the run folder, on the chief; only the chief writes there."""
    return exclusive(folder) if placement.is_chief else contextlib.nullcontext()


@contextlib.contextmanager
def _replacing_run(folder, overwrite, setup):
    """Set aside the run that is to be replaced, on the chief."""
    if not setup.placement.is_chief:
        yield
        return
    recover(folder)
    # Again: another process may have written a run meanwhile.
    check_free(folder, overwrite, setup.config)
    with set_aside(folder):
        yield


def _create(folder, setup):
    if not setup.placement.is_chief:
        return Run(folder, setup.config, {})
    return Run.create(folder, setup.config, setup.dataset, setup.placement.described())


def _new_folder(setup):
    """runs/<arch>-<dataset>-<time>, with a number appended if that is taken."""
    stem = f"runs/{setup.config.arch}-{setup.dataset.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates = [Path(stem), *(Path(f"{stem}-{i}") for i in range(2, 100))]
    return next(path for path in candidates if not path.exists())


def _last_checkpoint(run, fingerprint):
    """(folder, start) of the newest checkpoint; (None, the beginning) if none was saved yet."""
    # An epoch's row is written just before its checkpoint: one row may stand without any.
    saved_once = run.is_finished or run.finished_epochs() > 1
    if not checkpoints.folders(run.checkpoints) and not saved_once:
        return None, Start()
    folder, position, callback_state = checkpoints.newest(run.checkpoints, fingerprint)
    return folder, Start(position, callback_state)


def _extended(run, epochs, write):
    if epochs is None or epochs == run.config.epochs:
        return run
    if epochs < run.config.epochs:
        raise InputError(
            f"{run.path} plans {run.config.epochs} epochs; `epochs` can't be less, {epochs}"
        )
    if run.config.schedule != "constant" and run.config.schedule_epochs < epochs:
        log.info(
            "the %s schedule spans %d epochs; the rest trains at its final learning rate",
            run.config.schedule,
            run.config.schedule_epochs,
        )
    run = run.extended(epochs)
    if write:
        run.mark_unfinished()
        run.write_config()
    return run


def _discard_after(run, start):
    """Delete what was written after the checkpoint."""
    remove_unfinished(run.path)
    checkpoints.discard_after(run.checkpoints, start.position)
    for picture in gif.epoch_pictures(run.figures)[start.position.epoch :]:
        picture.unlink()
    tensorboard.rewind(run.tensorboard, start.callback_state.get("tensorboard", {}))
    run.mark_unfinished()
