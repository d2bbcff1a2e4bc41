"""What happens beside the steps of `fit`: history, pictures, guards, progress.

A callback with memory that a resumed run must have again keeps it in `memory`, a dict
of JSON values, under its `key`; the saver writes all of them into the state.
"""

import csv
import io
import math
import sys
import textwrap
import time

import keras
import numpy as np

from keras_ganvae.distributed.cluster import worker_log
from keras_ganvae.errors import GateFailed
from keras_ganvae.files import write_text
from keras_ganvae.models import latents
from keras_ganvae.plots import curves as figures
from keras_ganvae.plots import images

FIXED_NOISE = 64  # images in the grid that is drawn from the same z every epoch
FIXED_NOISE_SEED = 1  # the same for every run, so that grids of runs can be laid side by side
FIXED = "samples from N(0, I), fixed noise"
FRESH = "samples from N(0, I), fresh noise"
PLOT_SECONDS = 30  # plots are redrawn at most this often: one takes 0.3 s


class StopOnNonFinite(keras.callbacks.Callback):
    """End the run at the first NaN or infinity in a logged value.

    Raises:
        GateFailed: names the value, the epoch and the step.
    """

    def __init__(self, first_step=0):
        super().__init__()
        self.first_step = first_step  # of the first epoch, which a resumed run begins midway

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        # The logged means carry a NaN to the epoch's end; reading them costs microseconds.
        self._check(logs, f"epoch {self.epoch + 1}, step {batch + self.first_step + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self.first_step = 0
        self._check(logs, f"epoch {epoch + 1}, after its last step")

    def _check(self, logs, where):
        for name, value in (logs or {}).items():
            if not math.isfinite(value):
                raise GateFailed(
                    f"{name} became {float(value)} in {where}; the last state saved before"
                    " that is kept; a smaller --learning-rate may help"
                )


class History(keras.callbacks.Callback):
    """history.csv: one row per epoch, rewritten whole so that it is never half a row."""

    key = "history"

    def __init__(self, path, images_per_epoch, memory=None):
        super().__init__()
        self.path = path
        self.images_per_epoch = images_per_epoch
        self.memory = memory or {"rows": [], "training_seconds": 0.0}
        self.validation_seconds = 0.0

    @property
    def rows(self):
        return self.memory["rows"]

    def on_train_batch_begin(self, batch, logs=None):
        self.batch_start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.memory["training_seconds"] += time.perf_counter() - self.batch_start

    def on_test_begin(self, logs=None):
        self.validation_start = time.perf_counter()

    def on_test_end(self, logs=None):
        self.validation_seconds = time.perf_counter() - self.validation_start

    def on_epoch_end(self, epoch, logs=None):
        seconds = self.memory["training_seconds"]
        row = {
            "epoch": epoch + 1,
            "seconds": round(seconds + self.validation_seconds, 3),
            "images_per_second": round(self.images_per_epoch / seconds, 1),
        }
        # float32 is told apart by nine digits.
        row |= {name: float(f"{float(value):.9g}") for name, value in logs.items()}
        self.rows.append(row)
        self.memory["training_seconds"] = 0.0
        self.write()

    def write(self):
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, self.rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


class Pictures(keras.callbacks.Callback):
    """figures/: the fixed-noise grid of every epoch, the plots, and reconstructions.

    `latest` holds the epoch's uint8 pictures by name, for TensorBoard.
    """

    def __init__(self, folder, config, history, validation_images, is_variational):
        super().__init__()
        self.folder = folder
        self.config = config
        self.history = history
        self.originals = validation_images[: figures.PANEL]
        self.is_variational = is_variational
        self.plotted = -math.inf
        self.latest = {}

    def on_epoch_end(self, epoch, logs=None):
        self.latest = self._draw(epoch)
        picture = images.enlarge(self.latest[FIXED])
        images.save_png(self.folder / f"samples-{epoch + 1:05d}.png", picture, FIXED)
        if time.monotonic() - self.plotted > PLOT_SECONDS:
            self.plot()

    def plot(self):
        """Redraw the plots from all rows so far."""
        if not self.history.rows:
            return
        figures.plot_run(self.folder, self.history.rows, self.config, self.is_variational)
        if self.is_variational:
            figures.plot_panels(self.folder / "reconstructions.png", self._panels())
        self.plotted = time.monotonic()

    def _draw(self, epoch):
        fixed = self._noise(FIXED_NOISE_SEED)
        # Offset so that no epoch's fresh noise is the fixed noise.
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
            "samples from N(0, I)": self._decode(self._noise(FIXED_NOISE_SEED))[: figures.PANEL],
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


# The values of the bar, and their names there.
SHORT = {"loss": "loss", "generator_loss": "G", "discriminator_loss": "D"}


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar with the losses alone, so that it fits 80 columns, and after
    each epoch one line with every value and the progress."""

    def __init__(self, total_epochs):
        super().__init__()
        self.total_epochs = total_epochs

    def set_params(self, params):
        # A begun epoch is finished by a `fit` of its own, which knows of no later ones.
        super().set_params(params | {"epochs": self.total_epochs})

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.monotonic()
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, self._short(logs))

    def on_epoch_end(self, epoch, logs=None):
        if self.verbose == 1:
            super().on_epoch_end(epoch, self._short(logs))
        values = [f"{name} {value:.4g}" for name, value in logs.items()]
        left = self.epochs - epoch - 1
        # The last epoch is the best guess: the first one carries the tracing.
        ending = f"about {duration(left * (time.monotonic() - self.start))} left"
        line = ", ".join([f"epoch {epoch + 1}/{self.epochs}", *values, *([ending] * bool(left))])
        print(textwrap.fill(line, 79, subsequent_indent="  "), file=sys.stderr)

    def _short(self, logs):
        return {short: logs[name] for name, short in SHORT.items() if name in logs}


class WorkerLog(keras.callbacks.Callback):
    """Each epoch's values, in this worker's own log."""

    def on_epoch_end(self, epoch, logs=None):
        values = (f"{name} {float(value):.9g}" for name, value in logs.items())
        worker_log.info("epoch %d: %s", epoch + 1, ", ".join(values))


def duration(seconds) -> str:
    """17 s, 4 min 10 s, 2 h 05 min."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
