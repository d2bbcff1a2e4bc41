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

from keras_ganvae.data.position import Position
from keras_ganvae.errors import InputError

READERS = 4  # batches fetched at a time, when TensorFlow does not hold the images
MOST_COPIED = 64 << 20  # bytes; TensorFlow's copy of larger arrays would double their memory


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches in one epoch; the last one may be partial, and every image is used once."""
    return math.ceil(images / batch_size)


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

    steps = steps_per_epoch(len(images), batch_size)
    take = _taker(images)

    def of_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        first = tf.where(epoch == start.epoch, tf.constant(start.step, tf.int64), 0)
        return _in_batches(order, batch_size, take, replicas, first, steps)

    made = tf.data.Dataset.range(start.epoch, tf.int64.max).flat_map(of_epoch)
    # Or a strategy would ask all replicas before each step whether there is one.
    made = made.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return _ahead(made, replicas)


def batches(images, batch_size: int, replicas: Replicas = ONE):
    """Every image once, in order: what `training_batches` gives, with an end."""
    steps = steps_per_epoch(len(images), batch_size)
    order = tf.range(len(images))
    return _ahead(_in_batches(order, batch_size, _taker(images), replicas, 0, steps), replicas)


def _in_batches(order, batch_size, take, replicas, first, steps):
    """The batches `first` to `steps` of the images `order`, in shares of `replicas`.

    Cut and taken in one function, for a call of one costs as much as what it does here.
    """
    fetch, calls = take

    def share(number):
        number = tf.cast(number, tf.int32)
        step, replica = number // replicas.local, replicas.first + number % replicas.local
        size = tf.minimum(batch_size, tf.size(order) - step * batch_size)
        begin, end = bounds(size, replica, replicas.total)
        images = fetch(tf.slice(order, [step * batch_size + begin], [end - begin]))
        return (images, size) if replicas.total > 1 else images

    numbers = tf.data.Dataset.range(first * replicas.local, steps * replicas.local)
    return numbers.map(share, num_parallel_calls=calls)


def bounds(size, replica, replicas: int):
    """First and one past the last image of a replica's share of a batch of `size` images.

    Shares differ by one image at most; one of a partial batch may be empty.
    """
    return size * replica // replicas, size * (replica + 1) // replicas


def _ahead(made, replicas):
    options = tf.data.Options()
    options.deterministic = True
    return made.prefetch(2 * replicas.local).with_options(options)


def _taker(images):
    """(from indices (B,) to float32 images (B, H, W, C) in [0, 1], calls at a time)."""
    fetch, calls = _fetcher(images)

    def take(index):
        batch = tf.cast(fetch(index), tf.float32) / 255.0
        return tf.ensure_shape(batch, (None, *images.shape[1:]))

    return take, calls


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
