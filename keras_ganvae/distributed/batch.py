"""A replica's part of a global batch, so that N replicas take the step that one device would.

Under a `tf.distribute.Strategy` every replica runs the same step on its own images. The result
equals that of one device because

- a loss is divided by the size of the global batch: summed over the replicas, gradients are
  those of the mean loss;
- metrics are means over the global batch;
- each image gets the noise that it would get on one device.

Without a strategy there is one replica, and its part is the whole batch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae.data.pipeline import bounds
from keras_ganvae.equations import Tensor

# Philox produces random numbers in groups of four (Salmon et al. 2011, "Parallel random
# numbers: as easy as 1, 2, 3"), so a draw can start at any multiple of four.
PHILOX_GROUP = 4
# What TensorFlow chooses on CPUs and GPUs; left to choose, XLA took ten times as long on a CPU.
ALGORITHM = "philox"


def replica_count() -> int:
    """Number of replicas of the strategy in scope; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def next_seed(generator: keras.random.SeedGenerator) -> Tensor:
    """The seed (2,) of one stateless draw, int32, as `keras.random` derives it."""
    return tf.cast(tf.math.floormod(generator.next(), tf.int32.max - 1), tf.int32)


@dataclass(frozen=True)
class ReplicaBatch:
    """The images of one replica, and their place in the global batch.

    Args:
        images: this replica's images, (B, H, W, C).
        total: size of the global batch, a scalar.
        index: which replica this is, from 0.
        replicas: number of replicas.
    """

    images: Tensor
    total: Tensor
    index: Tensor = 0
    replicas: int = 1

    @classmethod
    def of(cls, data: Tensor) -> "ReplicaBatch":
        """The batch of the current replica.

        Args:
            data: what `data.pipeline` yields: images (B, H, W, C); under a strategy, images
                and the size of the global batch.
        """
        replicas = replica_count()
        if replicas == 1:
            return cls(data, ops.shape(data)[0])
        images, total = data
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        return cls(images, total, index, replicas)

    @property
    def start(self) -> Tensor:
        """Place of the first image in the global batch."""
        return bounds(self.total, self.index, self.replicas)[0] if self.replicas > 1 else 0

    def mean(self, values: Tensor) -> Tensor:
        """This replica's term of the mean of `values` (B,) over the global batch, a scalar.

        Summed over the replicas, the terms are the mean.
        """
        return ops.sum(values) / ops.cast(self.total, "float32")

    def every(self, nth: int) -> tuple[Tensor, Tensor]:
        """Select the images at multiples of `nth` in the global batch.

        Returns:
            Those of this replica, and their number over all replicas.
        """
        return self.images[-self.start % nth :: nth], -(-self.total // nth)

    def all_reduce(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Sum each tensor over the replicas.

        One collective for all of them: for small models, each costs as much as the arithmetic.
        """
        if self.replicas == 1:
            return tensors
        flat = tf.concat([tf.reshape(each, [-1]) for each in tensors], axis=0)
        context = tf.distribute.get_replica_context()
        flat = context.all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(flat, [math.prod(each.shape) for each in tensors])
        return [tf.reshape(part, each.shape) for part, each in zip(parts, tensors, strict=True)]

    def normal(self, shape: Sequence[int], seed: keras.random.SeedGenerator) -> Tensor:
        """N(0, 1), (B, *shape): the rows of these images in one draw for the global batch."""
        return self._draw(
            shape, seed, tf.random.stateless_normal, tf.raw_ops.StatelessRandomNormalV2
        )

    def uniform(self, shape: Sequence[int], seed: keras.random.SeedGenerator) -> Tensor:
        """U[0, 1), (B, *shape): the rows of these images in one draw for the global batch."""
        return self._draw(
            shape, seed, tf.random.stateless_uniform, tf.raw_ops.StatelessRandomUniformV2
        )

    def _draw(self, shape, seed, draw_all, draw_part):
        rows, shape = ops.shape(self.images)[0], tuple(shape)
        key = next_seed(seed)
        if self.replicas == 1:
            return draw_all((rows, *shape), seed=key, alg=ALGORITHM)
        size = math.prod(shape)
        flat = _draw_from(self.start * size, rows * size, key, draw_part)
        return ops.reshape(flat, (rows, *shape))


def _draw_from(start: Tensor, length: Tensor, seed: Tensor, draw: Callable[..., Tensor]) -> Tensor:
    """Numbers `start` to `start + length` of the sequence that one stateless draw yields.

    The numbers before `start` are not computed: the Philox counter starts there.
    """
    algorithm = tf.random.experimental.Algorithm.PHILOX.value
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seed)
    groups, skipped = tf.cast(start // PHILOX_GROUP, tf.uint64), start % PHILOX_GROUP
    counter = tf.stack([counter[0] + groups, counter[1]])
    numbers = draw(shape=[length + PHILOX_GROUP], key=key, counter=counter, alg=algorithm)
    return numbers[skipped : skipped + length]
