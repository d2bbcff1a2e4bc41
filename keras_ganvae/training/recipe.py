"""The recipe: from a config to a finished run folder.

The way of one batch: cli -> here -> architectures/<arch> (networks) ->
models/<kind>.train_step -> equations.
"""

import dataclasses
import logging
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from keras_ganvae import architectures, images, runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.data.pipeline import batches, steps_per_epoch, training_batches
from keras_ganvae.errors import InputError
from keras_ganvae.models import latents
from keras_ganvae.models.prior import fit_mixture
from keras_ganvae.training import run as runs
from keras_ganvae.training import state
from keras_ganvae.training.callbacks import History, Pictures, Progress, StopOnNonFinite
from keras_ganvae.training.optimizers import compile_model
from keras_ganvae.training.run import Run
from keras_ganvae.training.saver import Saver
from keras_ganvae.training.tensorboard import TensorBoard

log = logging.getLogger("keras_ganvae")

VALIDATION_BATCH = 500
# Posterior draws that the mixture prior is fitted to: twice as many gained nothing.
PRIOR_DRAWS = 20_000


def train(config: TrainConfig, out=None, *, overwrite=False, checkpoint_minutes=5.0) -> Run:
    """Train one model and leave a complete run folder.

    Args:
        config: settings; what is None is filled in from the architecture's preset.
        out: the run folder; None makes one under runs/.
        overwrite: replace a run that `out` holds.
        checkpoint_minutes: time between saved states inside an epoch.

    Raises:
        InputError: a setting, the data or `out` can't be used; nothing was written.
        GateFailed: a loss stopped being a number.
        Interrupted: a signal asked to stop; the state is saved.
    """
    config, dataset, model = prepare(config)
    out = Path(out) if out else default_out(config, dataset)
    run = Run.create(out, config, dataset, overwrite)
    log.info("run folder: %s", run.path)
    return _train(run, model, dataset, state.Position(), {}, checkpoint_minutes)


def prepare(config: TrainConfig):
    """Resolve a config: (config with nothing left open, data set, compiled model).

    Raises:
        InputError: a setting or the data can't be used.
    """
    config = architectures.resolve(config)
    dataset = runs.load_dataset(config)
    # `auto` is now known, and a default validation split is now a number.
    config = dataclasses.replace(
        config, dataset=dataset.spec, validation_size=len(dataset.validation)
    )
    if config.batch_size > len(dataset.train):
        raise InputError(
            f"batch_size {config.batch_size} is larger than the"
            f" {len(dataset.train)} training images"
        )
    log.info("data: %s", dataset.summary())
    return config, dataset, build(config, dataset)


def build(config, dataset):
    """The compiled model of a resolved config."""
    runtime.prepare(config.seed, config.precision)
    model = architectures.build(config, dataset.image_shape)
    compile_model(model, config, steps_per_epoch(len(dataset.train), config.batch_size))
    return model


def default_out(config, dataset) -> Path:
    """runs/<arch>-<dataset>-<time>, with a number behind it if that is taken."""
    stem = f"runs/{config.arch}-{dataset.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates = [Path(stem), *(Path(f"{stem}-{i}") for i in range(2, 100))]
    return next(path for path in candidates if not path.exists())


def _train(run, model, dataset, position, memory, checkpoint_minutes):
    crew = _crew(run, model, dataset, position, memory, checkpoint_minutes)
    try:
        with crew.saver.catching_signals(), runtime.progress_on_stderr():
            _fit(run.config, model, dataset, position, crew)
        _finish(run, model, dataset, crew)
    finally:
        crew.tensorboard.close()
    return run


@dataclass
class Crew:
    """The callbacks of a run, in the order in which they must be called."""

    guard: StopOnNonFinite
    history: History
    pictures: Pictures
    tensorboard: TensorBoard
    progress: Progress
    saver: Saver

    def callbacks(self):
        return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _crew(run, model, dataset, position, memory, checkpoint_minutes):
    config = run.config
    history = History(run.history_file, len(dataset.train), memory.get("history"))
    validation = dataset.validation.images
    pictures = Pictures(run.figures, config.arch, history, validation, run.is_variational)
    pictures.set_model(model)
    tensorboard = TensorBoard(run.tensorboard, config, history, pictures, validation)
    tensorboard.set_model(model)
    if position == state.Position():
        tensorboard.write_hparams()
    saver = Saver(
        run.checkpoints,
        dataset.fingerprint,
        steps=steps_per_epoch(len(dataset.train), config.batch_size),
        position=position,
        history=history,
        minutes=checkpoint_minutes,
    )
    guard = StopOnNonFinite(position.step)
    return Crew(guard, history, pictures, tensorboard, Progress(), saver)


def _fit(config, model, dataset, position, crew):
    steps = steps_per_epoch(len(dataset.train), config.batch_size)

    def fit(position, until):
        model.fit(
            training_batches(
                dataset.train.images,
                config.batch_size,
                seed=config.seed,
                epoch=position.epoch,
                step=position.step,
            ),
            initial_epoch=position.epoch,
            epochs=until,
            steps_per_epoch=steps - position.step,
            validation_data=batches(dataset.validation.images, VALIDATION_BATCH),
            callbacks=crew.callbacks(),
            shuffle=False,  # the pipeline does
            verbose=1 if sys.stderr.isatty() else 2,
        )

    fit(position, config.epochs)


def _finish(run, model, dataset, crew):
    """What a finished run has beside its history: prior, pictures, GIF, and last the model."""
    crew.pictures.plot()
    images.save_gif(run.figures / "training.gif", images.frames(run.figures))
    if run.is_variational:
        _fit_prior(run, model, dataset)
    # Last: its presence says that the run is complete.
    run.save_model(model)


def _fit_prior(run, model, dataset):
    log.info("fitting the mixture prior to the aggregate posterior")
    seed = run.config.seed
    train = latents.draw_posterior(model, dataset.train.images[:PRIOR_DRAWS], seed)
    held_out = latents.draw_posterior(model, dataset.validation.images, seed + 1)
    prior = fit_mixture(train, held_out, seed)
    prior.save(run.prior_file)
    log.info(
        "mixture of %d full Gaussians: %.2f nats per held-out latent, N(0, I) %.2f",
        prior.components,
        prior.held_out["mixture"],
        prior.held_out["normal"],
    )
