"""The recipe: from a config to a finished run folder.

The way of one batch: cli -> here -> architectures/<arch> (networks) ->
models/<kind>.train_step -> equations.
"""

import contextlib
import dataclasses
import functools
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from keras_ganvae import runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.data.lazy_images import first
from keras_ganvae.data.pipeline import (
    Position,
    batches,
    input_errors_of_pipeline,
    steps_per_epoch,
)
from keras_ganvae.distributed import cluster as clusters
from keras_ganvae.distributed.batch import spread_dropout
from keras_ganvae.distributed.placement import place
from keras_ganvae.errors import InputError
from keras_ganvae.files import remove_unfinished
from keras_ganvae.models import latents
from keras_ganvae.plots import images
from keras_ganvae.priors.mixture import fit_mixture
from keras_ganvae.runs import checkpoints as state
from keras_ganvae.runs.lock import locked
from keras_ganvae.runs.run import Run, check_free
from keras_ganvae.training.callbacks import History, Pictures, Progress, StopOnNonFinite, WorkerLog
from keras_ganvae.training.collapse import CollapseWatch
from keras_ganvae.training.contrast import fit_contrast
from keras_ganvae.training.saving import KeepMetrics, Saver
from keras_ganvae.training.setup import (
    VALIDATION_BATCH,
    Job,
    build,
    prepare,
    together,
    training_data,
)
from keras_ganvae.training.tensorboard import TensorBoard, rewind

log = logging.getLogger("keras_ganvae")

# Posterior draws that the mixture prior is fitted to, one for each image: all of MNIST's.
# From 20,000 to 55,000 draws a mixture of 75 gained half a nat per held-out latent.
PRIOR_DRAWS = 60_000


def train(
    config: TrainConfig, out=None, *, overwrite=False, checkpoint_minutes=5.0, cluster=None
) -> Run | None:
    """Train one model and leave a complete run folder.

    Args:
        config: settings; what is None is filled in from the architecture's preset.
        out: the run folder; None makes one under runs/. Workers must all be told it.
        overwrite: replace a run that `out` holds.
        checkpoint_minutes: time between saved states inside an epoch.
        cluster: `cluster.Cluster` of "multi-worker"; None takes that of TF_CONFIG.

    Returns:
        The finished run; None on a worker that is not the chief.

    Raises:
        InputError: a setting, the data or `out` can't be used; nothing was written.
        GateFailed: a loss stopped being a number, the model collapsed, or a worker died.
        Interrupted: a signal asked to stop; the state is saved.
    """
    if config.strategy == "multi-worker" and out is None:
        raise InputError("--strategy multi-worker needs --out: all workers must know the run")
    job = prepare(config, cluster)
    out = Path(out) if out else default_out(job)
    if job.placement.is_chief:
        check_free(out, overwrite)
    with contextlib.ExitStack() as stack:
        stack.enter_context(together(job, out))
        model = build(job.config, job.dataset, job.placement)
        # Only now: a model that can't be built leaves no folder behind.
        out.mkdir(parents=True, exist_ok=True)
        stack.enter_context(_held(out, job.placement))
        run = Run.create(out, job) if job.placement.is_chief else Run(out, job.config, {})
        log.info("run folder: %s", run.path)
        return _train(run, model, job, Start(Position(), memory={}), checkpoint_minutes)


def resume(path, *, epochs=None, checkpoint_minutes=5.0, cluster=None, here=None) -> Run | None:
    """Go on with a run from its newest whole state, as if it had never stopped.

    Args:
        path: the run folder.
        epochs: train up to this many instead; the learning-rate schedule keeps the span
            it was made for and stays at its end beyond it.
        checkpoint_minutes, cluster: as `train`.
        here: settings of this machine in place of the run's, by name: `strategy`,
            `replicas`, `device`, `cache`.

    Workers must all see the run's folder: each restores the state from there.

    Raises:
        InputError: there is no such run, its data has changed, another process holds
            it, no state is whole, or `epochs` are fewer than the run already plans.
        GateFailed, Interrupted: as `train`.
    """
    run = Run.open(path)
    config = dataclasses.replace(run.config, **here or {})
    placement = place(config, cluster)
    with _held(run.path, placement):
        job = Job(config, run.dataset(config.cache), placement)
        folder, position, memory = _saved_state(run, job.dataset)
        if epochs is not None and epochs != run.config.epochs:
            run = _extend(run, epochs, placement.is_chief)
        if position.epoch >= run.config.epochs and run.model_file.exists():
            log.info("%s is finished at %d epochs; --epochs M goes on", run.path, run.config.epochs)
            return run
        job = dataclasses.replace(job, config=dataclasses.replace(config, epochs=run.config.epochs))
        with together(job, run.path, state=folder):
            log.info("going on %s of %s", position.described(run.config.epochs), run.path)
            model = build(job.config, job.dataset, placement)
            if folder is not None:
                state.restore(folder, model)
            if placement.is_chief:
                _discard_after(run, position, memory)
            return _train(run, model, job, Start(position, memory), checkpoint_minutes)


def _held(folder, placement):
    """The run folder, for this process alone; only the chief writes there."""
    return locked(folder) if placement.is_chief else contextlib.nullcontext()


def _saved_state(run, dataset):
    """(folder, position, memory) to go on from; the start, if nothing was saved yet."""
    # An epoch's row is written just before its state: one row may stand without any.
    saved_once = run.model_file.exists() or run.finished_epochs() > 1
    if not state.folders(run.checkpoints) and not saved_once:
        return None, Position(), {}
    return state.newest(run.checkpoints, dataset.fingerprint)


def _extend(run, epochs, write):
    if epochs < run.config.epochs:
        raise InputError(
            f"{run.path} plans {run.config.epochs} epochs; it can't be cut to {epochs}"
        )
    if run.config.schedule != "constant" and run.config.schedule_epochs < epochs:
        log.info(
            "the %s schedule spans %d epochs; the rest is trained at its last learning rate",
            run.config.schedule,
            run.config.schedule_epochs,
        )
    return run.extended(epochs, write)


def _discard_after(run, position, memory):
    """Take back what was written after the state was saved."""
    remove_unfinished(run.path)
    state.discard_after(run.checkpoints, position)
    for picture in images.epoch_pictures(run.figures)[position.epoch :]:
        picture.unlink()
    rewind(run.tensorboard, memory.get("tensorboard", {}))
    # It would speak of an earlier end than the history.
    run.model_file.unlink(missing_ok=True)


def default_out(job) -> Path:
    """runs/<arch>-<dataset>-<time>, with a number behind it if that is taken."""
    stem = f"runs/{job.config.arch}-{job.dataset.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates = [Path(stem), *(Path(f"{stem}-{i}") for i in range(2, 100))]
    return next(path for path in candidates if not path.exists())


@dataclass(frozen=True)
class Start:
    """Where a run begins: the first batch, and what the callbacks remember."""

    position: Position
    memory: dict


def _train(run, model, job, start, checkpoint_minutes):
    spread_dropout(model)
    if not job.placement.is_chief:
        with clusters.leaving_signals_to_the_chief():
            fit(model, job, start.position, [StopOnNonFinite(start.position.step), WorkerLog()])
        return None
    crew = _crew(run, model, job.dataset, start, checkpoint_minutes)
    with (
        crew.tensorboard.closing(),
        crew.saver.catching_signals(),
        runtime.progress_on_stderr(),
    ):
        log_of_worker = [WorkerLog()] if job.placement.cluster else []
        fit(model, job, start.position, [*log_of_worker, *crew.callbacks()])
        _finish(run, model, job.dataset, crew)
    crew.watch.stop_if_wanted()
    return run


@dataclass
class Crew:
    """The callbacks of a run, in the order in which they must be called."""

    guard: StopOnNonFinite
    history: History
    watch: CollapseWatch
    pictures: Pictures
    tensorboard: TensorBoard
    progress: Progress
    saver: Saver

    def callbacks(self):
        return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _crew(run, model, dataset, start, checkpoint_minutes):
    config, validation = run.config, dataset.validation.images
    history = History(run.history_file, len(dataset.train), start.memory.get("history"))
    history.write()  # a resumed run's file may be ahead of its state
    pictures = Pictures(run.figures, config, history, validation, run.is_variational)
    watch = CollapseWatch(validation, config.on_collapse == "stop", start.memory.get("watch"))
    tensorboard = TensorBoard(run.tensorboard, config, history, watch, pictures, validation)
    for callback in (pictures, tensorboard):
        callback.set_model(model)
    if not start.memory:
        tensorboard.write_hparams()
    steps = steps_per_epoch(len(dataset.train), config.batch_size)
    saver = Saver(
        run,
        dataset.fingerprint,
        steps,
        start.position,
        [history, watch, tensorboard],
        checkpoint_minutes,
    )
    guard = StopOnNonFinite(start.position.step)
    return Crew(guard, history, watch, pictures, tensorboard, Progress(config.epochs), saver)


@input_errors_of_pipeline()
def fit(model, job, position, callbacks):
    """`fit` from a position to the last epoch; the rest of a begun epoch on its own."""
    config = job.config
    steps = steps_per_epoch(len(job.dataset.train), config.batch_size)
    held_out = job.dataset.validation.images

    def train(position, until, extra=()):
        model.fit(
            training_data(job, position),
            initial_epoch=position.epoch,
            epochs=until,
            steps_per_epoch=steps - position.step,
            validation_data=job.placement.distributed(
                functools.partial(batches, held_out, VALIDATION_BATCH)
            ),
            validation_steps=steps_per_epoch(len(held_out), VALIDATION_BATCH),
            callbacks=[*extra, *callbacks],
            shuffle=False,  # the pipeline does
            verbose=_verbosity(job.placement),
        )

    if position.step:
        train(position, position.epoch + 1, [KeepMetrics(model)])
        position = Position(position.epoch + 1)
    if position.epoch < config.epochs:
        train(position, config.epochs)


def _verbosity(placement):
    if not placement.is_chief:
        return 0
    return 1 if sys.stderr.isatty() else 2


def _finish(run, model, dataset, crew):
    """What a finished run has beside its history: prior, pictures, GIF, and last the model."""
    crew.pictures.plot()
    images.save_gif(run.figures / "training.gif", images.frames(run.figures))
    crew.saver.stop_if_asked()
    if run.is_variational:
        _fit_prior(run, model, dataset)
    if run.config.match_contrast:
        held_out = dataset.validation.images
        model.contrast = fit_contrast(model, run.prior(), held_out, run.config.seed)
        log.info("contrast %.2f gives samples the variance of the data", model.contrast)
    crew.saver.stop_if_asked()
    # Last: its presence says that the run is complete.
    run.save_model(model)


def _fit_prior(run, model, dataset):
    log.info("fitting the mixture prior to the aggregate posterior")
    seed = run.config.seed
    train = latents.draw_posterior(model, first(dataset.train.images, PRIOR_DRAWS), seed)
    held_out = latents.draw_posterior(model, dataset.validation.images, seed + 1)
    prior = fit_mixture(train, held_out, seed)
    prior.save(run.prior_file)
    log.info(
        "mixture of %d full Gaussians: %.2f nats per held-out latent, N(0, I) %.2f",
        prior.components,
        prior.held_out["mixture"],
        prior.held_out["normal"],
    )
