"""What images are compared by: features, and which of them suit a data set.

A number made of features means nothing without them, so they carry a name, the hash of
their weights, and a line that says how good they are.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_ganvae.config import nearest
from keras_ganvae.errors import InputError
from keras_ganvae.files import replacing
from keras_ganvae.metrics import classifier, inception

CHOICES = ("auto", "digits", "classifier", "inception")

DIGITS_FILE = Path(__file__).with_name("digits.keras")  # by scripts/train_classifier.py
DIGITS_SHAPE = (28, 28, 1)

DIMENSIONS = {  # of each choice but "auto"
    "digits": classifier.FEATURES,
    "classifier": classifier.FEATURES,
    "inception": inception.DIMENSIONS,
}

CLASSIFIER_BATCH = 250
INCEPTION_BATCH = 32  # 34 MB of resized images

_log = logging.getLogger("keras_ganvae")


@dataclass(frozen=True)
class Features:
    """A network that turns images (H, W, C) into vectors.

    `hash` is the SHA-256 of its weights file, in hexadecimal; `dimensions` the length D of
    a vector; `classes` the number K that it tells apart, or None; `note` one line for
    people. `network` takes a full batch of float32 images in [0, 1] and returns
    (features, probabilities or None).
    """

    name: str
    hash: str
    dimensions: int
    classes: int | None
    note: str
    image_shape: tuple[int, int, int]
    batch: int = field(repr=False, compare=False)
    network: Callable = field(repr=False, compare=False)

    def extract(self, images):
        """Features of images, a batch at a time.

        Args:
            images: (N, H, W, C), uint8, or floats in [0, 1].

        Returns:
            features float32 (N, D), and probabilities float32 (N, K), or None where there
            are no classes.

        Raises:
            InputError: the images are not of the shape that the features are for.
            ValueError: a pixel is outside [0, 1] or not finite, or is of another type.
        """
        if images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise InputError(
                f"these {self.name} features are of {_by(self.image_shape)} images,"
                f" not {_by(images.shape[1:])}"
            )
        outputs = [np.empty((len(images), self.dimensions), np.float32)]
        if self.classes is not None:
            outputs.append(np.empty((len(images), self.classes), np.float32))
        # Always a full batch, so that one graph serves all.
        batch = np.zeros((self.batch, *self.image_shape), np.float32)
        for start in range(0, len(images), self.batch):
            chosen = _unit(images[start : start + self.batch])
            batch[: len(chosen)] = chosen
            for output, values in zip(outputs, self.network(tf.constant(batch)), strict=False):
                output[start : start + len(chosen)] = values[: len(chosen)]
        return outputs[0], outputs[1] if len(outputs) > 1 else None


def choose(dataset, requested: str | None = None) -> Features:
    """The features that images of a data set are compared by.

    Args:
        dataset: a `data.Dataset`.
        requested: one of `CHOICES`. "auto", as None, is "digits" for MNIST itself and
            "classifier" for other data. "digits" is the classifier of MNIST that this
            package ships. "classifier" is one trained on the data set, once, and kept in
            the user's cache under the data's fingerprint. "inception" needs no labels.

    Raises:
        InputError: the name is unknown, the features don't suit the images, labels are
            lacking, or weights can't be had; the message says which.
    """
    makers = {"digits": _digits, "classifier": _classifier, "inception": _inception}
    return makers[named(dataset, requested)](dataset)


def named(dataset, requested: str | None = None) -> str:
    """The choice that `choose` makes, a key of `DIMENSIONS`, before anything is done for it.

    Raises:
        InputError: the name is unknown, or labels are lacking.
    """
    requested = requested or "auto"
    if requested not in CHOICES:
        raise InputError(f"unknown features '{requested}'{nearest(requested, CHOICES)}")
    if requested == "auto":
        requested = "digits" if _is_mnist(dataset) else "classifier"
    if requested == "classifier":
        classifier.check_labels(dataset)
    return requested


def cache_folder() -> Path:
    """Where trained classifiers are kept: below XDG_CACHE_HOME, or ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path("~", ".cache").expanduser()
    return Path(cache, "keras_ganvae", "classifiers")


def _is_mnist(dataset) -> bool:
    # folder: and npz: data sets have their kind in front of their names.
    return dataset.name == "mnist" and dataset.image_shape == DIGITS_SHAPE


def _digits(dataset) -> Features:
    if dataset.image_shape != DIGITS_SHAPE:
        raise InputError(
            f"the digits features are of {_by(DIGITS_SHAPE)} images, not"
            f" {_by(dataset.image_shape)}; use --features classifier or inception"
        )
    record = json.loads(DIGITS_FILE.with_suffix(".json").read_text())
    note = (
        f"classifier of MNIST's digits, {record['test_errors']} of"
        f" {record['test_images']:,} test images wrong"
    )
    return _of_classifier("digits", DIGITS_FILE, _load(DIGITS_FILE), note)


def _classifier(dataset) -> Features:
    path = cache_folder() / f"{dataset.fingerprint}.keras"
    model = _cached(path, dataset) or _trained(path, dataset)
    errors = classifier.errors(model, dataset.validation)
    note = (
        f"classifier trained on {dataset.name}, {errors:,} of {len(dataset.validation):,}"
        " validation images wrong"
    )
    return _of_classifier("classifier", path, model, note)


def _inception(dataset) -> Features:
    weights = inception.weights_file()
    return Features(
        name="inception",
        hash=inception.digest(weights),
        dimensions=inception.DIMENSIONS,
        classes=None,
        note="InceptionV3 with Keras's ImageNet weights, which are not those of published FIDs",
        image_shape=dataset.image_shape,
        batch=INCEPTION_BATCH,
        network=_graph(inception.load(weights, dataset.image_shape)),
    )


def _of_classifier(name, path, model, note) -> Features:
    def run(images):
        features, logits = model(images, training=False)
        return features, tf.nn.softmax(logits)

    return Features(
        name=name,
        hash=hashlib.sha256(path.read_bytes()).hexdigest(),
        dimensions=classifier.FEATURES,
        classes=model.output_shape[1][-1],
        note=note,
        image_shape=tuple(model.input_shape[1:]),
        batch=CLASSIFIER_BATCH,
        network=_graph(run),
    )


def _graph(run):
    return tf.function(run, jit_compile=False)


def _cached(path, dataset):
    """The classifier that was trained before; None, with a warning, if it can't be used."""
    if not path.exists():
        return None
    try:
        model = _load(path)
        _check_fits(model, dataset)
    except Exception as error:  # Keras raises whatever its zip and HDF5 readers do
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        _log.warning("%s can't be used (%s): the classifier is trained again", path, reason)
        return None
    _log.info("comparing by the classifier trained before, %s", path)
    return model


def _check_fits(model, dataset):
    """ValueError unless the model is what training on the data set would give today."""
    found = (model.name, model.input_shape[1:], [shape[-1] for shape in model.output_shape])
    wanted = (
        classifier.RECIPE,
        dataset.image_shape,
        [classifier.FEATURES, len(dataset.classes)],
    )
    if found != wanted:
        raise ValueError("it was made by another version")


def _trained(path, dataset):
    try:
        # Known before minutes are spent.
        path.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(path.parent, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise InputError(
            f"can't write to {path.parent}, where trained classifiers are kept; set"
            " XDG_CACHE_HOME to a folder that you can write to"
        )
    _log.info(
        "training a classifier on the %s images of %s, to compare images by; kept as %s",
        f"{len(dataset.train):,}",
        dataset.name,
        path,
    )
    model = classifier.train_classifier(dataset)
    with replacing(path) as beside:
        model.save(beside)
    return model


def _load(path):
    with classifier.float32_policy():
        return keras.saving.load_model(path, compile=False)


def _unit(images):
    """uint8, or floats in [0, 1], to float32 in [0, 1]."""
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 255
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be uint8 or floats, not {images.dtype}")
    # False for NaN too. Float rounding in a rescaled tanh may pass 1 by an ulp or two.
    if not ((images >= -1e-6) & (images <= 1 + 1e-6)).all():
        raise ValueError(f"pixels must be in [0, 1], not {images.min()} to {images.max()}")
    return images.astype(np.float32)


def _by(shape) -> str:
    return "x".join(map(str, shape))
