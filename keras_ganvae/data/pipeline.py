"""The input pipeline: uint8 images in blocks of batches, which a graph turns into float32 batches.

Only indices are shuffled, and whole batches are gathered, so an epoch costs one permutation
and one copy of each image. The order in an epoch is a pure function of (seed, epoch): a
resumed run gets the batches that an uninterrupted one would have. Every image is used once
per epoch, whatever the number of replicas and workers, and of batches in a block.
"""

import contextlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_ganvae.data.lazy_images import Images
from keras_ganvae.data.position import Position
from keras_ganvae.errors import InputError

READERS = 4  # blocks fetched in parallel from images that are not a constant
# Bytes of images that become a TensorFlow constant: copies of larger arrays take too much memory.
MAX_CONSTANT = 64 << 20
# Images in a block that is fetched: several blocks are in memory at the same time.
MAX_BLOCK_BYTES = 8 << 20
MAX_BLOCK_STEPS = 1000


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


class Block(NamedTuple):
    """A replica's part of several batches of the same size, as scalars and one array.

    Attributes:
        rows: indices of images (S, b), int32, if the images are a constant, else the images
            (S, b, H, W, C), uint8. Padded with zeros beyond `steps`.
        steps: the number of batches, at most S.
        total: images in each global batch.
        more: whether the next block belongs to the same execution. The partial batch at the
            end of an epoch has a block of its own, so that all sizes are static.
    """

    rows: Any
    steps: Any
    total: Any
    more: Any


class Feed:
    """The images of a split, in blocks for the steps of one execution.

    Args:
        images: uint8 (N, H, W, C).
        batch_size: images in a global batch; the last one of an epoch may have fewer.
        width: S of `Block`, batches; None takes as many as an epoch or a block may have.
    """

    def __init__(self, images: Images, batch_size: int, width: int | None = None):
        self.images = images
        self.batch_size = batch_size
        self.is_constant = isinstance(images, np.ndarray) and images.nbytes <= MAX_CONSTANT
        self.width = min(width or MAX_BLOCK_STEPS, self._most_steps())

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return steps_per_epoch(len(self.images), self.batch_size)

    def _most_steps(self):
        most = min(MAX_BLOCK_STEPS, self.steps)
        if not self.is_constant:
            batch_bytes = self.batch_size * math.prod(self.images.shape[1:])
            most = min(most, MAX_BLOCK_BYTES // batch_bytes)
        return max(1, most)

    def constant(self) -> tf.Tensor | None:
        """The images on the current device, or None if blocks hold them."""
        return tf.constant(self.images) if self.is_constant else None

    def batch(self, constant: tf.Tensor | None, rows: tf.Tensor) -> tf.Tensor:
        """One batch of a block as float32 images (b, H, W, C) in [0, 1].

        Args:
            constant: from `constant`.
            rows: `Block.rows[i]`.
        """
        pixels = rows if constant is None else tf.gather(constant, rows)
        return tf.ensure_shape(tf.cast(pixels, tf.float32) / 255.0, (None, *self.images.shape[1:]))

    def training_blocks(
        self,
        steps: int,
        seed: int,
        start: Position,
        replicas: Replicas = SINGLE,
    ) -> tf.data.Dataset:
        """Blocks of shuffled batches of endless epochs.

        Args:
            steps: batches of an execution, which may be several blocks; the last execution of
                an epoch may have fewer.
            seed: random seed of the order, together with the epoch.
            start: the first batch.
            replicas: the replicas to feed: elements are a `Block` for each of them in turn.
        """

        def one_epoch(epoch):
            order = tf.random.experimental.stateless_shuffle(
                tf.range(len(self.images)), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
            )
            first = tf.where(epoch == start.epoch, tf.constant(start.step, tf.int64), 0)
            return self._epoch(order, first, steps, replicas)

        dataset = tf.data.Dataset.range(start.epoch, tf.int64.max).flat_map(one_epoch)
        # Otherwise a strategy synchronizes all replicas before each step to check for the end.
        dataset = dataset.apply(
            tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
        )
        return _prefetched(dataset, replicas)

    def blocks(self, steps: int, replicas: Replicas = SINGLE) -> tf.data.Dataset:
        """Blocks of one epoch of batches in the order of the images; see `training_blocks`."""
        order = tf.range(len(self.images))
        return _prefetched(self._epoch(order, 0, steps, replicas), replicas)

    def batches(self, blocks: tf.data.Dataset, replicas: Replicas) -> tf.data.Dataset:
        """The batches of blocks of one step each, as `train_step` takes them."""
        constant = self.constant()

        def batch(block):
            images = self.batch(constant, block.rows[0])
            return (images, block.total) if replicas.total > 1 else images

        return blocks.map(batch)

    def _epoch(self, order, first, steps, replicas):
        """The blocks of one epoch from batch `first` on, one element for each of the replicas."""
        size, whole = self.batch_size, len(self.images) // self.batch_size
        left = len(self.images) - whole * size  # images in the partial batch
        batches = tf.reshape(order[: whole * size], (whole, size))
        first = tf.cast(first, tf.int32)
        remaining = tf.maximum(whole - first, 0)
        width = min(steps, self.width)
        blocks_of_execution = -(-steps // width)

        def whole_batches(number):
            index, replica = _place(number, replicas)
            execution, block = index // blocks_of_execution, index % blocks_of_execution
            start = execution * steps + block * width
            end = tf.minimum(tf.minimum(start + width, (execution + 1) * steps), remaining)
            low, high = bounds(size, replica, replicas.total)
            rows = batches[first + start : first + end, low:high]
            more = end < tf.minimum((execution + 1) * steps, remaining + bool(left))
            return Block(self._fetched(rows, self.width), end - start, size, more)

        def partial_batch(number):
            _, replica = _place(number, replicas)
            low, high = bounds(left, replica, replicas.total)
            rows = order[None, whole * size :][:, low:high]
            return Block(self._fetched(rows, 1), 1, left, False)

        count = remaining // steps * blocks_of_execution + -(-(remaining % steps) // width)
        # A position after the last batch of an epoch is the start of the next.
        partial = tf.cast(first <= whole, tf.int32) * bool(left)
        parallel = None if self.is_constant else READERS
        dataset = _numbers(count * replicas.local).map(whole_batches, num_parallel_calls=parallel)
        return dataset.concatenate(_numbers(partial * replicas.local).map(partial_batch))

    def _fetched(self, rows, width):
        """`Block.rows` for the indices (s, b), padded to `width` batches."""
        count = tf.shape(rows)[0]
        if not self.is_constant:
            # Files may have to be read or decoded, so several blocks are fetched in parallel.
            # Without `stateful=False`, op determinism would run the calls one at a time.
            flat = tf.numpy_function(
                self.images.__getitem__, [tf.reshape(rows, [-1])], tf.uint8, stateful=False
            )
            rows = tf.reshape(flat, tf.concat([tf.shape(rows), self.images.shape[1:]], axis=0))
        return tf.pad(rows, [[0, width - count], *([[0, 0]] * (len(rows.shape) - 1))])


def _numbers(count):
    return tf.data.Dataset.range(tf.cast(count, tf.int64))


def _place(number, replicas):
    """The index of an element's block in the epoch, and the element's replica."""
    number = tf.cast(number, tf.int32)
    return number // replicas.local, replicas.first + number % replicas.local


def training_batches(
    images: Images, batch_size: int, seed: int, start: Position, replicas: Replicas = SINGLE
) -> tf.data.Dataset:
    """Shuffled batches of endless epochs, one at a time.

    Args: those of `Feed` and `Feed.training_blocks`.

    Returns:
        For a single replica, batches (B, H, W, C) of float32 in [0, 1]. Otherwise pairs, one
        for each replica fed here in turn: its slice (b, H, W, C) of a global batch, and the
        size B of the global batch, a scalar int32.
    """
    feed = Feed(images, batch_size, width=1)
    return feed.batches(feed.training_blocks(1, seed, start, replicas), replicas)


def batches(images: Images, batch_size: int, replicas: Replicas = SINGLE) -> tf.data.Dataset:
    """One epoch of batches in the order of the images, as `training_batches` yields them."""
    feed = Feed(images, batch_size, width=1)
    return feed.batches(feed.blocks(1, replicas), replicas)


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
