"""A small convolutional classifier: what it sees in images is what they are compared by.

Trained as classifiers commonly are, so that its last hidden layer keeps what tells the
classes apart and forgets where exactly an image lies on its canvas.
"""

import contextlib
import logging
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_ganvae.errors import InputError

FEATURES = 128
# Also the Keras name of the model: a cached one of another name is of another recipe.
RECIPE = "classifier_1"

FILTERS = (24, 48, 64)  # of the blocks in turn; further blocks repeat the last
LEAST_SIDE = 4  # a map no larger than this is not halved again

LEARNING_RATE = 2e-3
SHIFT = 0.08  # of the side, each way: 2 pixels of 28

# 200 images take a few seconds, 55,000 a few minutes.
EPOCHS, MOST_EPOCHS = 10, 15
IMAGES_SEEN = 20_000  # at least, if MOST_EPOCHS allows it
LARGE = 10_000  # images from which larger batches still make enough steps

EVALUATION_BATCH = 500

_log = logging.getLogger("keras_ganvae")


def build(image_shape, classes: int, seed: int = 0) -> keras.Model:
    """The network, untrained.

    Args:
        image_shape: (H, W, C).
        classes: K.
        seed: of the weights.

    Returns:
        A model from float32 images (B, H, W, C) in [0, 1] to its last hidden layer
        (B, 128), as its ReLU leaves it, and logits (B, K).
    """
    random = np.random.default_rng(seed)

    def new_seed():
        return int(random.integers(2**31))

    def weights():
        return keras.initializers.HeNormal(seed=new_seed())

    with float32_policy():
        images = x = keras.Input(image_shape, name="images", dtype="float32")
        for i in range(_blocks(image_shape)):
            filters = FILTERS[min(i, len(FILTERS) - 1)]
            x = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=weights(),
                name=f"convolution_{i}",
            )(x)
            x = layers.MaxPooling2D(2, padding="same", name=f"pooling_{i}")(x)
        x = layers.Flatten(name="flat")(x)
        x = layers.Dropout(0.3, seed=new_seed(), name="flat_dropout")(x)
        features = layers.Dense(
            FEATURES, activation="relu", kernel_initializer=weights(), name="features"
        )(x)
        x = layers.Dropout(0.5, seed=new_seed(), name="features_dropout")(features)
        logits = layers.Dense(classes, kernel_initializer=weights(), name="logits")(x)
        return keras.Model(images, [features, logits], name=RECIPE)


def train_classifier(dataset, seed: int = 0, epochs: int | None = None) -> keras.Model:
    """`build`, trained on `dataset.train`; the weights of the best epoch on
    `dataset.validation`. The test images have no say.

    Adam with a cosine schedule; images are shifted at random by a few pixels. Neither the
    global seed nor the dtype policy is changed.

    Args:
        dataset: a `data.Dataset` with labels.
        seed: of the weights, the order, the shifts and the dropout.
        epochs: passes over the training images; None for 10, or up to 15 of a small set.

    Raises:
        InputError: training or validation images have no labels, or there is one class.
    """
    check_labels(dataset)
    count = len(dataset.train)
    epochs = epochs or min(MOST_EPOCHS, max(EPOCHS, math.ceil(IMAGES_SEEN / count)))
    batch_size = 128 if count >= LARGE else 32
    model = build(dataset.image_shape, len(dataset.classes), seed)
    with float32_policy():
        trainer = _trainer(model, seed, steps=epochs * math.ceil(count / batch_size))
        best = keras.callbacks.EarlyStopping(
            "val_loss", mode="min", patience=epochs, restore_best_weights=True
        )
        trainer.fit(
            _batches(dataset.train, batch_size, seed),
            validation_data=_batches(dataset.validation, batch_size),
            epochs=epochs,
            callbacks=[best, _Told(epochs)],
            shuffle=False,  # the batches are
            verbose=0,  # Keras would print to stdout
        )
    return model


def check_labels(dataset):
    """InputError unless a classifier can be trained on the data set."""
    cure = "compare by --features inception, which needs no labels"
    if dataset.train.labels is None or dataset.validation.labels is None:
        raise InputError(
            f"{dataset.name} has no labels to train a classifier on, by whose features images"
            f" are compared; give labels, or {cure}"
        )
    if len(np.unique(dataset.train.labels)) < 2:
        raise InputError(
            f"the training images of {dataset.name} are all of one class, which teaches a"
            f" classifier nothing; give labels of several classes, or {cure}"
        )


def errors(model, split) -> int:
    """How many labelled images of a `data.Split` the model takes for another class."""
    wrong = 0
    for images, labels in _batches(split, EVALUATION_BATCH):
        _, logits = model(images, training=False)
        wrong += int((np.argmax(logits, axis=-1) != labels.numpy()).sum())
    return wrong


@contextlib.contextmanager
def float32_policy():
    """Layers made inside compute in float32, whatever the precision of a loaded run."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _blocks(image_shape) -> int:
    """Halvings that bring the larger side to `LEAST_SIDE` or below; at least one."""
    return max(1, math.ceil(math.log2(max(image_shape[:2]) / LEAST_SIDE)))


def _trainer(model, seed, steps) -> keras.Model:
    """The model behind random shifts, with its logits as the only output."""
    shift = layers.RandomTranslation(SHIFT, SHIFT, fill_mode="nearest", seed=seed)
    images = keras.Input(model.input_shape[1:], dtype="float32")
    _, logits = model(shift(images))
    trainer = keras.Model(images, logits)
    trainer.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # XLA can't be deterministic
    )
    return trainer


def _batches(split, batch_size, seed=None):
    """Batches (float32 images in [0, 1], labels); in another order each epoch with a seed."""
    pixels, labels = tf.constant(split.images), tf.constant(split.labels)
    indices = tf.data.Dataset.range(len(split))
    if seed is not None:
        indices = indices.shuffle(len(split), seed=seed)

    def take(index):
        return tf.cast(tf.gather(pixels, index), tf.float32) / 255.0, tf.gather(labels, index)

    return indices.batch(batch_size).map(take).prefetch(2)


class _Told(keras.callbacks.Callback):
    """A line in the log now and then: a large data set takes minutes."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % 5 == 0 or epoch + 1 == self.epochs:
            _log.info(
                "classifier: epoch %d/%d, %.2f %% of the validation images right",
                epoch + 1,
                self.epochs,
                100 * logs["val_accuracy"],
            )
