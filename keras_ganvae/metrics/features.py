"""The feature networks that metrics compare images by, and the choice among them.

A Fréchet distance means nothing without its features, so `Features` has a name, a checksum
of its weights, and a note on its accuracy.
"""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganvae import runtime
from keras_ganvae.config import nearest
from keras_ganvae.data import Dataset
from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import cache_folder, readable, replacing, sha256_of
from keras_ganvae.metrics import classifier, inception

# Names of features with their dimensions.
DIMENSIONS = {
    "digits": classifier.FEATURES,
    "classifier": classifier.FEATURES,
    "inception": inception.DIMENSIONS,
}
CHOICES = ("auto", *DIMENSIONS)

DIGITS_FILE = Path(__file__).with_name("digits.keras")  # made by scripts/train_classifier.py
DIGITS_SHAPE = (28, 28, 1)

CLASSIFIER_BATCH = 250
INCEPTION_BATCH = 32  # 34 MB of resized images

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class Features:
    """A network from images (H, W, C) to feature vectors.

    Args:
        name: a key of `DIMENSIONS`.
        hash: SHA-256 of the weights file, hexadecimal.
        dimensions: D, the length of a vector.
        classes: K, the number of classes, or None.
        note: one line about the network.
        image_shape: (H, W, C).
        batch: static batch size of `network`.
        network: from float32 images (batch, H, W, C) in [0, 1] to features (batch, D) and
            class probabilities (batch, K) or None.
    """

    name: str
    hash: str
    dimensions: int
    classes: int | None
    note: str
    image_shape: tuple[int, int, int]
    batch: int = field(repr=False, compare=False)
    network: Callable = field(repr=False, compare=False)

    def extract(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Compute features and class probabilities, batch by batch.

        Args:
            images: (N, H, W, C), uint8 or float in [0, 1].

        Returns:
            Features, float32 (N, D), and probabilities, float32 (N, K), or None if there
            are no classes.

        Raises:
            InputError: the images have another shape than `image_shape`.
            ValueError: a pixel is outside [0, 1] or not finite, or the dtype is another.
        """
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise InputError(
                f"the {self.name} features need {_by(self.image_shape)} images,"
                f" not {_by(images.shape[1:])}"
            )
        outputs = [np.empty((len(images), self.dimensions), np.float32)]
        if self.classes is not None:
            outputs.append(np.empty((len(images), self.classes), np.float32))
        # The last batch is padded, so that one graph serves all.
        batch = np.zeros((self.batch, *self.image_shape), np.float32)
        for start in range(0, len(images), self.batch):
            chunk = _to_float(images[start : start + self.batch])
            batch[: len(chunk)] = chunk
            for output, values in zip(outputs, self.network(tf.constant(batch)), strict=False):
                output[start : start + len(chunk)] = values[: len(chunk)]
        return outputs[0], outputs[1] if len(outputs) > 1 else None


def resolve(dataset: Dataset, requested: str | None = None) -> str:
    """The name of the features for a data set, a key of `DIMENSIONS`; loads nothing.

    Args:
        dataset: the data set.
        requested: one of `CHOICES`. "auto", like None, is "digits" for MNIST and
            "classifier" for other data.

    Raises:
        InputError: the name is unknown, or a classifier needs labels and there are none.
    """
    name = requested or "auto"
    if name not in CHOICES:
        raise InputError(f"unknown `features` '{name}'{nearest(name, CHOICES)}")
    if name == "auto":
        # The names of folder: and npz: data sets start with their kind.
        is_mnist = dataset.name == "mnist" and dataset.image_shape == DIGITS_SHAPE
        name = "digits" if is_mnist else "classifier"
    if name == "classifier":
        classifier.check_labels(dataset)
    return name


def load(dataset: Dataset, requested: str | None = None) -> Features:
    """Load the features for a data set.

    "digits" is the MNIST classifier that this package ships. "classifier" is trained on
    the data set once and cached under its fingerprint. "inception" needs no labels.

    Args:
        dataset: the data set.
        requested: see `resolve`.

    Raises:
        InputError: see `resolve`; or the features do not fit the images, or the weights
            cannot be downloaded or cached.
    """
    loaders = {"digits": _load_digits, "classifier": _load_classifier, "inception": _load_inception}
    return loaders[resolve(dataset, requested)](dataset)


def _load_digits(dataset):
    if dataset.image_shape != DIGITS_SHAPE:
        raise InputError(
            f"the digits features need {_by(DIGITS_SHAPE)} images, not"
            f" {_by(dataset.image_shape)}; use `features=classifier` or `features=inception`"
        )
    record = json.loads(DIGITS_FILE.with_suffix(".json").read_text())
    note = (
        f"classifier of MNIST's digits, {record['test_errors']} of"
        f" {record['test_images']:,} test images wrong"
    )
    return _classifier_features("digits", DIGITS_FILE, _load_model(DIGITS_FILE), note)


def _load_classifier(dataset):
    path = cache_folder("classifiers", f"{dataset.fingerprint}.keras")
    model = _load_cached(path, dataset) or _train(path, dataset)
    errors = classifier.count_errors(model, dataset.validation)
    note = (
        f"classifier trained on {dataset.name}, {errors:,} of {len(dataset.validation):,}"
        " validation images wrong"
    )
    return _classifier_features("classifier", path, model, note)


def _load_inception(dataset):
    weights = inception.weights_file()
    return Features(
        name="inception",
        hash=sha256_of(weights),
        dimensions=inception.DIMENSIONS,
        classes=None,
        note="InceptionV3 with Keras's ImageNet weights, which are not those of published FIDs",
        image_shape=dataset.image_shape,
        batch=INCEPTION_BATCH,
        network=inception.load(weights, dataset.image_shape),
    )


def _classifier_features(name: str, path: Path, model: Any, note: str) -> Features:
    @tf.function(jit_compile=False)
    def network(images):
        features, logits = model(images, training=False)
        return features, tf.nn.softmax(logits)

    return Features(
        name=name,
        hash=sha256_of(path),
        dimensions=classifier.FEATURES,
        classes=model.output_shape[1][-1],
        note=note,
        image_shape=tuple(model.input_shape[1:]),
        batch=CLASSIFIER_BATCH,
        network=network,
    )


def _load_cached(path, dataset):
    """The cached classifier, or None, with a warning if the file is unusable."""
    if not path.exists():
        return None
    try:
        model = _load_model(path)
        _check_architecture(model, dataset)
    except Exception as error:  # Keras raises whatever its zip and HDF5 readers raise
        _log.warning("%s is unusable (%s); retraining the classifier", path, first_line(error))
        return None
    _log.info("using the cached classifier %s", path)
    return model


def _check_architecture(model, dataset):
    """ValueError unless the model has the architecture that training would build now."""
    expected = (
        classifier.RECIPE,
        dataset.image_shape,
        [classifier.FEATURES, len(dataset.classes)],
    )
    if (model.name, model.input_shape[1:], [s[-1] for s in model.output_shape]) != expected:
        raise ValueError("written by another version")


def _train(path, dataset):
    try:
        # Checked before training, which takes minutes.
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise InputError(
            f"can't write to {path.parent}, the cache of trained classifiers; set"
            " XDG_CACHE_HOME to a writable folder"
        )
    _log.info(
        "training a classifier on the %s images of %s for its features, cached as %s",
        f"{len(dataset.train):,}",
        dataset.name,
        path,
    )
    model = classifier.train_classifier(dataset)
    with replacing(path) as beside:
        model.save(beside)
    return model


def _load_model(path):
    with runtime.dtype_policy("float32"):
        return keras.saving.load_model(readable(path), compile=False)


def _to_float(images):
    """uint8, or float in [0, 1], to float32 in [0, 1]."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 255
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be uint8 or float, not {images.dtype}")
    # Also false for NaN. Rounding in a rescaled tanh may exceed 1 by an ulp or two.
    if not ((images >= -1e-6) & (images <= 1 + 1e-6)).all():
        raise ValueError(f"pixels must be in [0, 1], not {images.min()} to {images.max()}")
    return images.astype(np.float32)


def _by(shape):
    return "x".join(map(str, shape))
