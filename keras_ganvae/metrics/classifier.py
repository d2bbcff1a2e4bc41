"""A small convolutional classifier, whose last hidden layer gives the features of metrics.

Training with random shifts makes the features depend on the class rather than on the exact
position in the image.
"""

import logging
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_ganvae import runtime
from keras_ganvae.data import Dataset, Split
from keras_ganvae.errors import InputError

FEATURES = 128
# Version of architecture and training, and the Keras name of the model: cached models of
# another name are retrained.
RECIPE = "classifier_1"

FILTERS = (24, 48, 64)  # per block; further blocks repeat the last number
MIN_SIDE = 4  # feature maps are halved until their larger side is at most this

LEARNING_RATE = 2e-3
SHIFT = 0.08  # of the side, in each direction: 2 pixels of 28

# 200 images take a few seconds, 55,000 a few minutes.
EPOCHS, MAX_EPOCHS = 10, 15
MIN_IMAGES_SHOWN = 20_000  # images times epochs, within MAX_EPOCHS
LARGE = 10_000  # training images from which the larger batch size gives enough steps

EVALUATION_BATCH = 500

_log = logging.getLogger("keras_ganvae")


def build(image_shape: tuple[int, int, int], classes: int, seed: int = 0) -> keras.Model:
    """Build the untrained network.

    Args:
        image_shape: (H, W, C).
        classes: K, the number of classes.
        seed: random seed of the weights and the dropout.

    Returns:
        A model from float32 images (B, H, W, C) in [0, 1] to the last hidden layer after
        its ReLU (B, 128) and logits (B, K).
    """
    random = np.random.default_rng(seed)

    def new_seed():
        return int(random.integers(2**31))

    def initializer():
        return keras.initializers.HeNormal(seed=new_seed())

    with runtime.dtype_policy("float32"):
        images = x = keras.Input(image_shape, name="images", dtype="float32")
        for i in range(_blocks(image_shape)):
            filters = FILTERS[min(i, len(FILTERS) - 1)]
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=initializer(),
                name=f"convolution_{i}",
            )(x)
            x = layers.MaxPooling2D(2, padding="same", name=f"pooling_{i}")(x)
        x = layers.Flatten(name="flat")(x)
        x = layers.Dropout(0.3, seed=new_seed(), name="flat_dropout")(x)
        features = layers.Dense(
            FEATURES, activation="relu", kernel_initializer=initializer(), name="features"
        )(x)
        x = layers.Dropout(0.5, seed=new_seed(), name="features_dropout")(features)
        logits = layers.Dense(classes, kernel_initializer=initializer(), name="logits")(x)
        return keras.Model(images, [features, logits], name=RECIPE)


def train_classifier(dataset: Dataset, seed: int = 0, epochs: int | None = None) -> keras.Model:
    """Train `build`'s network on `dataset.train` with Adam, cosine decay and random shifts.

    The weights are those of the epoch with the lowest loss on `dataset.validation`;
    `dataset.test` is not used. Neither the global seed nor the dtype policy changes.

    Args:
        dataset: a data set with labels.
        seed: random seed of weights, order, shifts and dropout.
        epochs: passes over the training images; None takes 10, and up to 15 for small sets.

    Raises:
        InputError: see `check_labels`.
    """
    check_labels(dataset)
    count = len(dataset.train)
    epochs = epochs or min(MAX_EPOCHS, max(EPOCHS, math.ceil(MIN_IMAGES_SHOWN / count)))
    batch_size = 128 if count >= LARGE else 32
    assert dataset.classes is not None, "set wherever there are labels"
    model = build(dataset.image_shape, len(dataset.classes), seed)
    with runtime.dtype_policy("float32"):
        trainer = _trainer(model, seed, steps=epochs * math.ceil(count / batch_size))
        keep_best = keras.callbacks.EarlyStopping(
            "val_loss", mode="min", patience=epochs, restore_best_weights=True
        )
        trainer.fit(
            _batches(dataset.train, batch_size, seed),
            validation_data=_batches(dataset.validation, batch_size),
            epochs=epochs,
            callbacks=[keep_best, _LogAccuracy(epochs)],
            shuffle=False,  # the batches are shuffled already
            verbose=0,  # Keras would print to stdout
        )
    return model


def check_labels(dataset: Dataset) -> None:
    """Check that a classifier can be trained on a data set.

    Raises:
        InputError: training or validation images have no labels, or there is one class.
    """
    remedy = "use `features=inception`, which needs no labels"
    if dataset.train.labels is None or dataset.validation.labels is None:
        raise InputError(
            f"{dataset.name} has no labels to train a feature classifier on; add labels,"
            f" or {remedy}"
        )
    if len(np.unique(dataset.train.labels)) < 2:
        raise InputError(
            f"the training images of {dataset.name} are all of one class, which cannot train a"
            f" feature classifier; add labels of several classes, or {remedy}"
        )


def count_errors(model: keras.Model, split: Split) -> int:
    """Count the labelled images that the model misclassifies."""
    wrong = 0
    for images, labels in _batches(split, EVALUATION_BATCH):
        _, logits = model(images, training=False)
        wrong += int((np.argmax(logits, axis=-1) != labels.numpy()).sum())
    return wrong


def _blocks(image_shape):
    """The number of halvings down to `MIN_SIDE`, at least one."""
    return max(1, math.ceil(math.log2(max(image_shape[:2]) / MIN_SIDE)))


def _trainer(model, seed, steps):
    """The compiled model with random shifts before it and logits as its only output."""
    shift = layers.RandomTranslation(SHIFT, SHIFT, fill_mode="nearest", seed=seed)
    images = keras.Input(model.input_shape[1:], dtype="float32")
    _, logits = model(shift(images))
    trainer = keras.Model(images, logits)
    trainer.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # not deterministic under XLA
    )
    return trainer


def _batches(split, batch_size, seed=None):
    """Batches of float32 images in [0, 1] and labels, reshuffled each epoch if seeded."""
    pixels, labels = tf.constant(split.images), tf.constant(split.labels)
    indices = tf.data.Dataset.range(len(split))
    if seed is not None:
        indices = indices.shuffle(len(split), seed=seed)

    def take(index):
        return tf.cast(tf.gather(pixels, index), tf.float32) / 255.0, tf.gather(labels, index)

    return indices.batch(batch_size).map(take).prefetch(2)


class _LogAccuracy(keras.callbacks.Callback):
    """Log the validation accuracy every five epochs: a large data set takes minutes."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % 5 == 0 or epoch + 1 == self.epochs:
            _log.info(
                "classifier: epoch %d/%d, validation accuracy %.2f %%",
                epoch + 1,
                self.epochs,
                100 * logs["val_accuracy"],
            )
