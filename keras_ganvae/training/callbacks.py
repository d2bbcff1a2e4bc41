"""The callbacks of a run: history, pictures, guards, progress.

A callback whose state a resumed run needs keeps it in `state`, JSON; checkpoints hold it
under the callback's `key`.
"""

import csv
import io
import math
import sys
import textwrap
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.data import Dataset
from keras_ganvae.data.lazy_images import Images
from keras_ganvae.data.position import Position
from keras_ganvae.distributed.cluster import worker_log
from keras_ganvae.errors import GateFailed
from keras_ganvae.files import write_text
from keras_ganvae.models import latents
from keras_ganvae.plots import curves, images
from keras_ganvae.runs.run import Run
from keras_ganvae.training.checkpointing import CheckpointSaver
from keras_ganvae.training.collapse import CollapseWatch
from keras_ganvae.training.tensorboard import TensorBoard

FIXED_NOISE = 64  # images in the grid that is drawn from the same z every epoch
FIXED_NOISE_SEED = 1  # the same for every run, so that grids of runs can be laid side by side
FIXED = "samples from N(0, I), fixed noise"
FRESH = "samples from N(0, I), fresh noise"
PLOT_SECONDS = 30  # plots are redrawn at most this often: one takes 0.3 s


class StopOnNonFinite(keras.callbacks.Callback):
    """Stops the run at the first NaN or infinity in a logged value.

    Raises:
        GateFailed: names the value, the epoch and the step.
    """

    def __init__(self, first_step: int = 0):
        super().__init__()
        self.first_step = first_step  # a resumed run may start inside an epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.steps = 0  # of the epoch, so far

    def on_train_batch_end(self, batch, logs=None):
        first, self.steps = self.steps + 1, min(batch + 1, self.params["steps"])
        # Reading the logged means costs microseconds.
        self._check(logs, f"epoch {self.epoch + 1}, {self._steps(first, self.steps)}")

    def on_epoch_end(self, epoch, logs=None):
        self.first_step = 0
        self._check(logs, f"epoch {epoch + 1}, after its last step")

    def _steps(self, first, last):
        first, last = first + self.first_step, last + self.first_step
        return f"step {last}" if first == last else f"steps {first} to {last}"

    def _check(self, logs, where):
        for name, value in (logs or {}).items():
            if not math.isfinite(value):
                raise GateFailed(
                    f"{name} became {float(value)} in {where}; the last checkpoint before it"
                    " is kept; a smaller `learning_rate` may help"
                )


class History(keras.callbacks.Callback):
    """history.csv: one row per epoch. The file is replaced as a whole, never appended to."""

    key = "history"

    def __init__(self, path: Path, images_per_epoch: int, state: dict | None = None):
        super().__init__()
        self.path = path
        self.images_per_epoch = images_per_epoch
        self.state = state or {"rows": [], "training_seconds": 0.0}
        self.validation_seconds = 0.0

    @property
    def rows(self) -> list[dict]:
        return self.state["rows"]

    def on_train_batch_begin(self, batch, logs=None):
        self.batch_start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.state["training_seconds"] += time.perf_counter() - self.batch_start

    def on_test_begin(self, logs=None):
        self.validation_start = time.perf_counter()

    def on_test_end(self, logs=None):
        self.validation_seconds = time.perf_counter() - self.validation_start

    def on_epoch_end(self, epoch, logs=None):
        seconds = self.state["training_seconds"]
        row = {
            "epoch": epoch + 1,
            "seconds": round(seconds + self.validation_seconds, 3),
            "images_per_second": round(self.images_per_epoch / seconds, 1),
        }
        # Nine digits identify a float32.
        row |= {name: float(f"{float(value):.9g}") for name, value in logs.items()}
        self.rows.append(row)
        self.state["training_seconds"] = 0.0
        self.write()

    def write(self) -> None:
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


class Pictures(keras.callbacks.Callback):
    """figures/: a fixed-noise grid per epoch, the plots, and reconstructions.

    `latest` has the epoch's uint8 pictures by name, for TensorBoard.
    """

    def __init__(
        self,
        folder: Path,
        config: ResolvedConfig,
        history: History,
        validation_images: Images,
        is_variational: bool,
    ):
        super().__init__()
        self.folder = folder
        self.config = config
        self.history = history
        self.originals = validation_images[: curves.PANEL]
        self.is_variational = is_variational
        self.plotted = -math.inf
        self.latest: dict[str, np.ndarray] = {}

    def on_epoch_end(self, epoch, logs=None):
        self.latest = self._draw(epoch)
        picture = images.enlarge(self.latest[FIXED])
        images.save_png(self.folder / f"samples-{epoch + 1:05d}.png", picture, FIXED)
        if time.monotonic() - self.plotted > PLOT_SECONDS:
            self.plot()

    def plot(self) -> None:
        """Draw the plots of all epochs so far."""
        if not self.history.rows:
            return
        curves.plot_run(self.folder, self.history.rows, self.config, self.is_variational)
        if self.is_variational:
            curves.plot_panels(self.folder / "reconstructions.png", self._panels())
        self.plotted = time.monotonic()

    def _draw(self, epoch):
        fixed = self._noise(FIXED_NOISE_SEED)
        # The offset keeps fresh noise apart from the fixed noise.
        fresh = self._noise(1000 + epoch)
        pictures = {
            FIXED: self._decoded_grid(fixed),
            FRESH: self._decoded_grid(fresh),
        }
        if self.is_variational:
            pairs = np.stack([self.originals, self._reconstructions()], axis=1)
            pairs = pairs.reshape(-1, *self.originals.shape[1:])
            pictures["originals beside reconstructions"] = images.grid(pairs, columns=10)
        return pictures

    def _panels(self):
        return {
            "ground truth": self.originals,
            "reconstruction": self._reconstructions(),
            "samples from N(0, I)": self._decode(self._noise(FIXED_NOISE_SEED))[: curves.PANEL],
        }

    def _reconstructions(self):
        mean, _ = latents.encode(self.model, self.originals, FIXED_NOISE_SEED)
        return self._decode(mean)

    def _decoded_grid(self, z):
        return images.grid(self._decode(z))

    def _decode(self, z):
        return images.to_uint8(latents.decode(self.model, z))

    def _noise(self, seed):
        shape = (FIXED_NOISE, self.model.latent_dim)
        return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


# Logged names and their labels in the progress bar.
LABELS = {"loss": "loss", "generator_loss": "G", "discriminator_loss": "D"}


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the losses only, to fit 80 columns, and a line per epoch with
    every value and the time left."""

    def __init__(self, total_epochs: int):
        super().__init__()
        self.total_epochs = total_epochs

    def set_params(self, params: dict) -> None:
        # The rest of a partly trained epoch is a `fit` of one epoch.
        super().set_params(params | {"epochs": self.total_epochs})

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        # An execution may end beyond the epoch.
        super().on_train_batch_end(min(batch, self.target - 1), self._short(logs))

    def on_epoch_end(self, epoch, logs=None):
        if self.verbose == 1:
            super().on_epoch_end(epoch, self._short(logs))
        values = [f"{name} {value:.4g}" for name, value in logs.items()]
        left = self.epochs - epoch - 1
        # From the last epoch: the first includes tracing.
        ending = f"about {duration(left * (time.monotonic() - self.start))} left"
        line = ", ".join([f"epoch {epoch + 1}/{self.epochs}", *values, *([ending] * bool(left))])
        print(textwrap.fill(line, 79, subsequent_indent="  "), file=sys.stderr)

    def _short(self, logs):
        return {short: logs[name] for name, short in LABELS.items() if name in logs}


class WorkerLog(keras.callbacks.Callback):
    """Writes each epoch's values to this worker's log file."""

    def on_epoch_end(self, epoch, logs=None):
        values = (f"{name} {float(value):.9g}" for name, value in logs.items())
        worker_log.info("epoch %d: %s", epoch + 1, ", ".join(values))


def duration(seconds: float) -> str:
    """Seconds as "17 s", "4 min 10 s" or "2 h 05 min"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


@dataclass
class Callbacks:
    """The callbacks of the process that writes the run, in the order in which they must run."""

    guard: StopOnNonFinite
    history: History
    collapse: CollapseWatch
    pictures: Pictures
    tensorboard: TensorBoard
    progress: Progress
    checkpoints: CheckpointSaver

    @classmethod
    def of(
        cls,
        run: Run,
        model: Any,
        dataset: Dataset,
        steps_per_epoch: int,
        position: Position,
        state: dict,
        checkpoint_minutes: float,
    ) -> "Callbacks":
        """Create the callbacks of a run.

        Args:
            position: where `fit` starts.
            state: of the callbacks at that position, from a checkpoint; empty at the start.
            checkpoint_minutes: time between checkpoints inside an epoch.
        """
        config, validation = run.config, dataset.validation.images
        history = History(run.history_file, len(dataset.train), state.get("history"))
        history.write()  # a resumed run's file may have rows after the checkpoint
        pictures = Pictures(run.figures, config, history, validation, run.is_variational)
        collapse = CollapseWatch(validation, config.on_collapse == "stop", state.get("watch"))
        tensorboard = TensorBoard(run.tensorboard, config, history, collapse, pictures, validation)
        for callback in (pictures, tensorboard):
            callback.set_model(model)
        if not state:
            tensorboard.write_hparams()
        checkpoints = CheckpointSaver(
            run,
            dataset.fingerprint,
            steps_per_epoch,
            position,
            [history, collapse, tensorboard],
            checkpoint_minutes,
        )
        guard = StopOnNonFinite(position.step)
        progress = Progress(config.epochs)
        return cls(guard, history, collapse, pictures, tensorboard, progress, checkpoints)

    def in_order(self) -> list[keras.callbacks.Callback]:
        return [getattr(self, each.name) for each in fields(self)]
