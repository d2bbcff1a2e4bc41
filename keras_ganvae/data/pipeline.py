"""From uint8 arrays to float32 batches.

Pixels stay uint8, in memory or wherever else they are kept. Only indices are shuffled, and
whole batches are gathered, so an epoch costs one permutation and one copy of each image. The
order within an epoch is a pure function of (seed, epoch): a run that is resumed at any step
sees the batches that it would have seen. So is each replica's share of a batch: every image
is used once an epoch, whatever the number of replicas and workers.
"""

import contextlib
import functools
import math
import re
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_ganvae.errors import InputError

READERS = 4  # batches fetched at a time, when TensorFlow does not hold the images
MOST_COPIED = 64 << 20  # bytes; TensorFlow's copy of larger arrays would double their memory


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches in one epoch; the last one may be partial, and every image is used once."""
    return math.ceil(images / batch_size)


@dataclass(frozen=True, order=True)
class Position:
    """A batch of the training data: `step` of `epoch`, both from 0."""

    epoch: int = 0
    step: int = 0

    def described(self, epochs: int) -> str:
        """For people, who count from 1, in a run of so many epochs."""
        if self.epoch >= epochs:
            return "after the last epoch"
        return f"at epoch {self.epoch + 1}, step {self.step + 1}"


@dataclass(frozen=True)
class Replicas:
    """Which replicas of a run are fed here: `local` of them from `first`, of `total`."""

    total: int = 1
    first: int = 0
    local: int = 1


ONE = Replicas()


def training_batches(images, batch_size: int, seed: int, start: Position, replicas: Replicas = ONE):
    """Shuffled batches without end.

    Args:
        images: uint8 array, (N, H, W, C), or `LazyImages`.
        batch_size: images in a batch; the last of an epoch holds what is left.
        seed: with the epoch's number, fixes the order.
        start: the first batch.
        replicas: whose shares of each batch to give.

    Returns:
        `tf.data.Dataset` of float32 batches (B, H, W, C) in [0, 1]. For more than one
        replica the shares of those fed here, one after another, each with the size of the
        whole batch.
    """

    def indices(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size)

    epochs = tf.data.Dataset.range(start.epoch, tf.int64.max)
    return _gather(epochs.flat_map(indices).skip(start.step), images, replicas)


def batches(images, batch_size: int, replicas: Replicas = ONE):
    """Every image once, in order: what `training_batches` gives, with an end."""
    indices = tf.data.Dataset.range(len(images)).batch(batch_size)
    return _gather(indices, images, replicas)


def _shares(replicas, batch):
    """(indices, size of the batch) for each replica fed here."""
    size = tf.size(batch)

    def share(replica):
        first, end = bounds(size, tf.cast(replica, tf.int32), replicas.total)
        return batch[first:end], size

    return tf.data.Dataset.range(replicas.first, replicas.first + replicas.local).map(share)


def bounds(size, replica, replicas: int):
    """First and one past the last image of a replica's share of a batch of `size` images.

    Shares differ by one image at most; one of a partial batch may be empty.
    """
    return size * replica // replicas, size * (replica + 1) // replicas


def _gather(indices, images, replicas):
    if replicas.total > 1:
        indices = indices.flat_map(functools.partial(_shares, replicas))
    fetch, threads = _fetcher(images)

    def take(index, *size):
        batch = tf.cast(fetch(index), tf.float32) / 255.0
        batch = tf.ensure_shape(batch, (None, *images.shape[1:]))
        return (batch, *size) if size else batch

    options = tf.data.Options()
    options.deterministic = True
    made = indices.map(take, num_parallel_calls=threads)
    return made.prefetch(2 * replicas.local).with_options(options)


def _fetcher(images):
    """(from indices (B,) to uint8 images (B, H, W, C) in TensorFlow, calls at a time)."""
    if isinstance(images, np.ndarray) and images.nbytes <= MOST_COPIED:
        pixels = tf.constant(images)
        # One thread is enough: a gather takes well under 2 % of a training step.
        return lambda index: tf.gather(pixels, index), None
    # Perhaps read from a file, or decoded: a few batches ahead, or training would wait. Not
    # stateful: the same index gives the same images, so calls may overlap under determinism.
    return functools.partial(_fetched, images), READERS


def _fetched(images, index):
    return tf.numpy_function(images.__getitem__, [index], tf.uint8, stateful=False)


@contextlib.contextmanager
def bad_images_told():
    """Around what takes batches: an image that can't be read is an InputError here too.

    TensorFlow makes its own error, and a traceback in its message, of what a fetch raises.

    Raises:
        InputError: an image that a batch wants is damaged or gone; it is named.
    """
    try:
        yield
    except tf.errors.OpError as error:
        told = re.search(r"InputError: (.*)", error.message)
        if told is None:
            raise
        raise InputError(told[1]) from error
