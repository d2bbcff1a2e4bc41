"""The input pipeline: float32 batches from uint8 images.

Only indices are shuffled, and whole batches are gathered, so an epoch costs one permutation
and one copy of each image. The order in an epoch is a pure function of (seed, epoch): a
resumed run gets the batches that an uninterrupted one would have. Every image is used once
per epoch, whatever the number of replicas and workers.
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganvae.data.lazy_images import Images
from keras_ganvae.data.position import Position
from keras_ganvae.errors import InputError

READERS = 4  # batches fetched in parallel from images that are not a constant
# Bytes of images that become a TensorFlow constant: copies of larger arrays take too much memory.
MAX_CONSTANT = 64 << 20


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Batches in one epoch; the last one may be partial."""
    return math.ceil(images / batch_size)


@dataclass(frozen=True)
class Replicas:
    """The replicas that this worker feeds.

    Attributes:
        total: replicas of all workers.
        first: the index of this worker's first replica.
        local: the number of this worker's replicas.
    """

    total: int = 1
    first: int = 0
    local: int = 1


SINGLE = Replicas()


def training_batches(
    images: Images, batch_size: int, seed: int, start: Position, replicas: Replicas = SINGLE
) -> tf.data.Dataset:
    """Shuffled batches of endless epochs.

    Args:
        images: uint8 (N, H, W, C).
        batch_size: images in a global batch; the last one of an epoch may have fewer.
        seed: random seed of the order, together with the epoch.
        start: the first batch.
        replicas: the replicas to feed.

    Returns:
        For a single replica, batches (B, H, W, C) of float32 in [0, 1]. Otherwise pairs, one
        for each replica fed here in turn: its slice (b, H, W, C) of a global batch, and the
        size B of the global batch, a scalar int32.
    """
    steps = steps_per_epoch(len(images), batch_size)
    gather, parallel = _gather(images)

    def one_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(images)), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
        )
        first = tf.where(epoch == start.epoch, tf.constant(start.step, tf.int64), 0)
        return _in_batches(order, batch_size, gather, parallel, replicas, first, steps)

    dataset = tf.data.Dataset.range(start.epoch, tf.int64.max).flat_map(one_epoch)
    # Otherwise a strategy synchronizes all replicas before each step to check for the end.
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return _prefetched(dataset, replicas)


def batches(images: Images, batch_size: int, replicas: Replicas = SINGLE) -> tf.data.Dataset:
    """One epoch of batches in the order of the images, as `training_batches` yields them."""
    steps = steps_per_epoch(len(images), batch_size)
    gather, parallel = _gather(images)
    order = tf.range(len(images))
    dataset = _in_batches(order, batch_size, gather, parallel, replicas, 0, steps)
    return _prefetched(dataset, replicas)


def _in_batches(order, batch_size, gather, parallel, replicas, first, steps):
    """The batches `first` to `steps` of one epoch, one element for each of the replicas.

    One `map` slices the order and gathers the images: a second one would cost as much again.
    """

    def replica_batch(number):
        number = tf.cast(number, tf.int32)
        step, replica = number // replicas.local, replicas.first + number % replicas.local
        size = tf.minimum(batch_size, tf.size(order) - step * batch_size)
        begin, end = bounds(size, replica, replicas.total)
        images = gather(tf.slice(order, [step * batch_size + begin], [end - begin]))
        return (images, size) if replicas.total > 1 else images

    numbers = tf.data.Dataset.range(first * replicas.local, steps * replicas.local)
    return numbers.map(replica_batch, num_parallel_calls=parallel)


def bounds(size: Any, replica: Any, replicas: int) -> tuple[Any, Any]:
    """The slice of a global batch that a replica gets, as (begin, end).

    Sizes differ by one image at most; in a partial batch, a slice may be empty.

    Args:
        size: images in the global batch, an integer or an integer tensor.
        replica: index of the replica, an integer or an integer tensor.
        replicas: number of replicas.
    """
    return size * replica // replicas, size * (replica + 1) // replicas


def _prefetched(dataset, replicas):
    options = tf.data.Options()
    options.deterministic = True
    return dataset.prefetch(2 * replicas.local).with_options(options)


def _gather(images: Images) -> tuple[Callable, int | None]:
    """A function from indices (B,) to float32 images (B, H, W, C) in [0, 1], and how many
    calls of it to run in parallel."""
    fetch, parallel = _fetch(images)

    def gather(index):
        batch = tf.cast(fetch(index), tf.float32) / 255.0
        return tf.ensure_shape(batch, (None, *images.shape[1:]))

    return gather, parallel


def _fetch(images: Images) -> tuple[Callable, int | None]:
    """The same, to uint8 images (B, H, W, C)."""
    if isinstance(images, np.ndarray) and images.nbytes <= MAX_CONSTANT:
        pixels = tf.constant(images)
        # One thread is enough: a gather takes well under 2 % of a training step.
        return lambda index: tf.gather(pixels, index), None
    # Files may have to be read or decoded, so several batches are fetched in parallel. Without
    # `stateful=False`, op determinism would run the calls one at a time.
    return (
        lambda index: tf.numpy_function(images.__getitem__, [index], tf.uint8, stateful=False),
        READERS,
    )


@contextlib.contextmanager
def input_errors_of_pipeline() -> Iterator[None]:
    """Turn TensorFlow's error for an unreadable image back into an `InputError`.

    An `InputError` raised while a batch is fetched reaches the consumer as a TensorFlow error
    whose message contains a traceback.

    Raises:
        InputError: an image of a batch is damaged or missing.
    """
    try:
        yield
    except tf.errors.OpError as error:
        message = re.search(r"InputError: (.*)", error.message)
        if message is None:
            raise
        raise InputError(message[1]) from error
