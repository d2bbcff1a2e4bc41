"""TensorBoard: scalars, pictures, weights and hyperparameters, all on the axis of epochs."""

import os

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tensorboard.plugins.hparams import api as hparams

from keras_ganvae import equations
from keras_ganvae.models import latents

VALIDATION_IMAGES = 500  # enough for the KL of each dimension to a few per cent

# The columns of the HParams table, for models of either kind.
COMPARED = (
    "loss",
    "reconstruction",
    "kl",
    "generator_loss",
    "discriminator_loss",
    "real_accuracy",
    "fake_accuracy",
)

# A dimension carries information when its posterior mean varies over the data; the
# threshold is Burda et al. 2015's.
ACTIVE_VARIANCE = 0.01


def rewind(folder, sizes):
    """Take the event files back to the sizes of a saved state: no step appears twice."""
    for file in folder.rglob("events.out.*"):
        size = sizes.get(str(file.relative_to(folder)))
        if size is None:
            file.unlink()
        else:
            os.truncate(file, size)


class TensorBoard(keras.callbacks.Callback):
    """Event files under tensorboard/: `train`, `validation`, and hparams beside them.

    Args:
        folder: the run's tensorboard folder.
        config: the resolved `TrainConfig`, shown in the HParams panel.
        history, watch, pictures: the callbacks whose values are shown; they must run first.
        validation_images: uint8 (N, H, W, C).
    """

    def __init__(self, folder, config, history, watch, pictures, validation_images):
        super().__init__()
        self.folder = folder
        self.config = config
        self.history = history
        self.watch = watch
        self.pictures = pictures
        self.images = validation_images[:VALIDATION_IMAGES]
        self.root, self.train, self.validation = (
            tf.summary.create_file_writer(str(folder / name))
            for name in ("", "train", "validation")
        )

    key = "tensorboard"

    @property
    def memory(self):
        """Size in bytes of each event file, so that a resumed run can cut off what came after."""
        self.flush()
        files = sorted(self.folder.rglob("events.out.*"))
        return {str(file.relative_to(self.folder)): file.stat().st_size for file in files}

    def write_hparams(self):
        """Register the run's settings, once, so that runs can be compared in a table."""
        settings = self.config.to_dict()
        # The same columns for every run: TensorBoard takes those of the first it finds.
        columns = [hparams.HParam(name) for name in settings]
        metrics = [
            hparams.Metric(name, group="validation", display_name=f"validation {name}")
            for name in COMPARED
        ]
        settings = {name: value for name, value in settings.items() if value is not None}
        with self.root.as_default():
            hparams.hparams_config(columns, metrics)
            hparams.hparams(settings, trial_id=self.folder.parent.name)
        self.root.flush()

    def on_epoch_end(self, epoch, logs=None):
        step = epoch + 1
        row = self.history.rows[-1]
        with self.train.as_default():
            for name in row:
                if name != "epoch" and not name.startswith("val_"):
                    tf.summary.scalar(name, row[name], step)
            rates = {o.name: o.learning_rate for o in self.model.optimizers}
            tf.summary.scalar("learning_rate", float(next(iter(rates.values()))), step)
            for name, picture in self.pictures.latest.items():
                tf.summary.image(name, picture[None], step)
            for kind, message in self.watch.latest.items():
                tf.summary.text(f"warning/{kind}", message, step)
            for weight in self.model.trainable_variables:
                tf.summary.histogram(weight.path, weight, step)
        with self.validation.as_default():
            for name in row:
                if name.startswith("val_"):
                    tf.summary.scalar(name.removeprefix("val_"), row[name], step)
            if self.pictures.is_variational:
                self._write_latents(step)
        self.flush()

    def flush(self):
        for writer in (self.root, self.train, self.validation):
            writer.flush()

    def close(self):
        for writer in (self.root, self.train, self.validation):
            writer.close()

    def _write_latents(self, step):
        mean, log_var = latents.encode(self.model, self.images, seed=0)
        kl = np.asarray(ops.mean(equations.gaussian_kl(mean, log_var), axis=0))
        for j, nats in enumerate(kl):
            tf.summary.scalar(f"kl_of_dimension/{j:03d}", nats, step)
        tf.summary.histogram("kl_of_dimensions", kl, step)
        active = int((mean.var(axis=0) > ACTIVE_VARIANCE).sum())
        tf.summary.scalar("active_dimensions", active, step)
