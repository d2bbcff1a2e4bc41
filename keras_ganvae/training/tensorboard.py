"""TensorBoard: scalars, images, weight histograms and hyperparameters, by epoch."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from tensorboard.plugins.hparams import api as hparams

from keras_ganvae import equations
from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.data.lazy_images import Images
from keras_ganvae.files import sync
from keras_ganvae.models import latents
from keras_ganvae.ownership import RUN, own_files
from keras_ganvae.training.collapse import CollapseWatch

VALIDATION_IMAGES = 500  # gives the KL per dimension to a few per cent

# The columns of the HParams table, for both kinds of model.
COMPARED = (
    "loss",
    "reconstruction",
    "kl",
    "generator_loss",
    "discriminator_loss",
    "real_accuracy",
    "fake_accuracy",
)
# Added by `evaluate`, for each prior.
EVALUATED = (
    *("frechet", "kernel", "precision", "recall", "density", "coverage"),
    *("modes", "class_kl", "confidence", "nearest_training"),
    *("sharpness", "isolated_pixels", "grey_share", "smoothness"),
)
EVALUATED_LIKELIHOOD = ("negative_elbo", "reconstruction", "kl", "bound", "active_units")


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise TensorFlow's errors of a full or failing disk as OSError."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, error.message.splitlines()[0], str(folder)) from error


def rewind(folder: Path, sizes: dict[str, int]) -> None:
    """Truncate the event files to their sizes at a checkpoint: no step appears twice."""
    for file in own_files(folder.parent, RUN, folder.name):
        size = sizes.get(str(file.relative_to(folder)))
        if size is None:
            file.unlink()
        elif file.stat().st_size > size:
            os.truncate(file, size)


def write_evaluation(folder: Path, numbers: dict[str, dict[str, float]], epoch: int) -> None:
    """Replace the run's evaluation scalars, shown beside its settings; other files stay.

    Args:
        folder: the run's tensorboard folder.
        numbers: group (the prior "normal" or "mixture", or a binarization) -> name -> value.
        epoch: the run's last epoch.
    """
    evaluation = folder / "evaluation"
    for file in own_files(folder.parent, RUN, f"{folder.name}/evaluation"):
        file.unlink()
        if not any(file.parent.iterdir()):
            file.parent.rmdir()
    with writing(folder):
        for group, values in numbers.items():
            writer = tf.summary.create_file_writer(str(evaluation / group))
            with writer.as_default():
                for name, value in values.items():
                    tf.summary.scalar(name, value, epoch)
            writer.close()


class TensorBoard(keras.callbacks.Callback):
    """Event files under tensorboard/: `train`, `validation`, and hparams beside them.

    Args:
        folder: the run's tensorboard folder.
        config: the resolved `TrainConfig`, shown in the HParams panel.
        history, collapse, pictures: the callbacks whose values it logs; they must run first.
        validation_images: uint8 (N, H, W, C).
    """

    def __init__(
        self,
        folder: Path,
        config: ResolvedConfig,
        history: Any,
        collapse: CollapseWatch,
        pictures: Any,
        validation_images: Images,
    ):
        super().__init__()
        self.folder = folder
        self.config = config
        self.history = history
        self.collapse = collapse
        self.pictures = pictures
        self.images = validation_images[:VALIDATION_IMAGES]
        self.writers = [
            tf.summary.create_file_writer(str(folder / name))
            for name in ("", "train", "validation")
        ]
        self.root, self.train, self.validation = self.writers

    key = "tensorboard"

    @property
    def state(self) -> dict[str, int]:
        """The size of each event file in bytes, to which a resumed run truncates it."""
        self.flush()
        files = own_files(self.folder.parent, RUN, self.folder.name)
        for file in files:
            sync(file)
        return {str(file.relative_to(self.folder)): file.stat().st_size for file in files}

    def write_hparams(self) -> None:
        """Log the run's settings for the HParams table."""
        settings = self.config.to_dict()
        # The same columns for every run: TensorBoard takes those of the first run it finds.
        columns = [hparams.HParam(name) for name in settings]
        metrics = (
            [
                hparams.Metric(name, group="validation", display_name=f"validation {name}")
                for name in COMPARED
            ]
            + [
                hparams.Metric(
                    name, group=f"evaluation/{prior}", display_name=f"{name}, {prior} prior"
                )
                for prior in ("normal", "mixture")
                for name in EVALUATED
            ]
            + [
                hparams.Metric(
                    name, group="evaluation/stochastic", display_name=f"{name}, test images"
                )
                for name in EVALUATED_LIKELIHOOD
            ]
        )
        settings = {name: value for name, value in settings.items() if value is not None}
        with self.root.as_default():
            hparams.hparams_config(columns, metrics)
            hparams.hparams(settings, trial_id=self.folder.parent.name)
        self.root.flush()

    def on_epoch_end(self, epoch, logs=None):
        with writing(self.folder):
            self._write(epoch + 1)
        self.flush()

    def _write(self, step):
        row = self.history.rows[-1]
        with self.train.as_default():
            for name in row:
                if name != "epoch" and not name.startswith("val_"):
                    tf.summary.scalar(name, row[name], step)
            # Both players of a GAN have the same rate.
            rate = float(ops.convert_to_numpy(self.model.optimizers[0].learning_rate))
            tf.summary.scalar("learning_rate", rate, step)
            for name, picture in self.pictures.latest.items():
                tf.summary.image(name, picture[None], step)
            for kind, message in self.collapse.latest.items():
                tf.summary.text(f"warning/{kind}", message, step)
            for weight in self.model.trainable_variables:
                tf.summary.histogram(weight.path, weight, step)
        with self.validation.as_default():
            for name in row:
                if name.startswith("val_"):
                    tf.summary.scalar(name.removeprefix("val_"), row[name], step)
            if self.pictures.is_variational:
                self._write_latents(step)

    def flush(self) -> None:
        with writing(self.folder):
            for writer in self.writers:
                writer.flush()

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        """Close the event files on exit, without hiding an exception."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(tf.errors.OpError):
                self._close()
            raise
        with writing(self.folder):
            self._close()

    def _close(self):
        for writer in self.writers:
            writer.close()

    def _write_latents(self, step):
        mean, log_var = latents.encode(self.model, self.images, seed=0)
        kl = np.asarray(ops.mean(equations.gaussian_kl(mean, log_var), axis=0))
        for j, nats in enumerate(kl):
            tf.summary.scalar(f"kl_of_dimension/{j:03d}", nats, step)
        tf.summary.histogram("kl_of_dimensions", kl, step)
        tf.summary.scalar("active_dimensions", latents.active_dimensions(mean), step)
