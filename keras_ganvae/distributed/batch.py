"""One batch on many replicas: what each does so that all together equal one device.

Under a `tf.distribute.Strategy` a step runs once on each replica, with its share of the
global batch. A loss is divided by the size of the whole batch, so that the gradients, summed
over the replicas, are that of the mean; what is logged is the mean over the whole batch,
undivided; noise is drawn so that each image gets the numbers it would get on one device.
Exchanges are few, because each costs small models as much as their arithmetic. Without a
strategy the share is the batch.
"""

import functools
import math

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae.data.pipeline import bounds

# Philox makes four numbers at a time (Salmon et al. 2011, "Parallel random numbers: as
# easy as 1, 2, 3"): a draw can begin at any multiple of four.
GROUP = 4
# Between the dropout seeds of two replicas; layers of one model draw theirs at random.
SEED_STRIDE = 1_000_003


def count() -> int:
    """Replicas of the strategy in scope; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


class Share:
    """A replica's part of a global batch.

    Args:
        batch: images (B, H, W, C); under a strategy with them the size of the global
            batch, a scalar, as `data.pipeline` gives them.
    """

    def __init__(self, batch):
        self.replicas = count()
        self.images, self.total = batch if self.replicas > 1 else (batch, ops.shape(batch)[0])

    def mean(self, values):
        """This replica's part of the mean of `values` (B,) over the global batch, a scalar.

        The parts of all replicas sum to it.
        """
        return ops.sum(values) / ops.cast(self.total, "float32")

    def every(self, nth):
        """Those of these images whose place in the global batch is a multiple of `nth`, and how
        many there are on all replicas."""
        first, _ = self._bounds() if self.replicas > 1 else (0, None)
        return self.images[-first % nth :: nth], -(-self.total // nth)

    def sums(self, tensors):
        """These tensors summed over the replicas, on every replica, in one exchange for all."""
        if self.replicas == 1:
            return tensors
        flat = tf.concat([tf.reshape(each, [-1]) for each in tensors], axis=0)
        flat = _context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
        parts = tf.split(flat, [math.prod(each.shape) for each in tensors])
        return [tf.reshape(part, each.shape) for part, each in zip(parts, tensors, strict=True)]

    def normal(self, shape, seed):
        """N(0, 1), (B, *shape): the rows of these images in the draw for the global batch."""
        return self._draw(shape, seed, keras.random.normal, tf.raw_ops.StatelessRandomNormalV2)

    def uniform(self, shape, seed):
        """U[0, 1), (B, *shape): the rows of these images in the draw for the global batch."""
        return self._draw(shape, seed, keras.random.uniform, tf.raw_ops.StatelessRandomUniformV2)

    def _bounds(self):
        return bounds(self.total, _context().replica_id_in_sync_group, self.replicas)

    def _draw(self, shape, seed, whole, part):
        rows, shape = ops.shape(self.images)[0], tuple(shape)
        if self.replicas == 1:
            return whole((rows, *shape), seed=seed)
        first, _ = self._bounds()
        size = math.prod(shape)
        flat = _from(first * size, rows * size, seed.next(), part)
        return ops.reshape(flat, (rows, *shape))


def _from(start, length, seed, draw):
    """The numbers `start` to `start + length` of what `tf.random.stateless_*` draws from a seed.

    They cost no more than their own number: the counter begins where they do.
    """
    algorithm = tf.random.experimental.Algorithm.PHILOX.value
    key, counter = tf.raw_ops.StatelessRandomGetKeyCounter(seed=tf.cast(seed, tf.int32))
    groups, lead = tf.cast(start // GROUP, tf.uint64), start % GROUP
    counter = tf.stack([counter[0] + groups, counter[1]])
    numbers = draw(shape=[length + GROUP], key=key, counter=counter, alg=algorithm)
    return numbers[lead : lead + length]


def leave_sums_to_share(optimizer):
    """Make an optimizer take gradients that `Share.sums` has summed, under a strategy.

    Keras's sums them itself, an exchange for each optimizer, and after its loss scaling
    has asked the first replica alone whether they are finite: one that overflows elsewhere
    would reach the weights, and workers would disagree on whether there is a step.
    """
    if count() > 1:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner._all_reduce_sum_gradients = lambda gradients_and_weights: gradients_and_weights


def synchronise_batch_norm(model):
    """Batch-norm's statistics from here on are those of the whole batch, not of a share.

    As Keras's `synchronized` does, with one exchange instead of three.
    """
    if model.distribute_strategy.num_replicas_in_sync > 1:
        for layer in _layers(model, keras.layers.BatchNormalization):
            layer._moments = functools.partial(_global_moments, layer.axis)


def _global_moments(axis, inputs, mask=None):
    """Mean and variance (C,) over all replicas, of float32 inputs whose channels are on `axis`."""
    others = [i for i in range(len(inputs.shape)) if i != axis % len(inputs.shape)]
    sums = [tf.reduce_sum(inputs, others), tf.reduce_sum(tf.square(inputs), others)]
    size = tf.cast(tf.size(inputs) // inputs.shape[axis], tf.float32)
    flat = _context().all_reduce(tf.distribute.ReduceOp.SUM, tf.concat([*sums, [size]], axis=0))
    mean, square = tf.split(flat[:-1] / flat[-1], 2)
    return mean, tf.maximum(square - tf.square(mean), 0.0)


def guard_convolutions(model):
    """Let the convolutions from here on take no images at all, as a replica has of a small
    last batch: oneDNN's fail at that (TensorFlow 2.21, "input depth must be evenly ...")."""
    for layer in _layers(model, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
        layer.call = functools.partial(_with_an_image, layer.call)


def _with_an_image(call, images):
    """`call` of a batch to which a black image is added, and taken off again, if it has none."""
    count = ops.shape(images)[0]
    added = ops.cast(count == 0, "int32")
    return call(tf.pad(images, [[0, added], [0, 0], [0, 0], [0, 0]]))[:count]


def spread_dropout(model):
    """Give each replica dropout masks of its own; from equal seeds they would all be the same.

    To be called, outside of a step, after the seeds were made or restored: a saved state
    holds those of the first replica, which keeps them as they are.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return
    states = [layer.seed_generator.state for layer in _layers(model, keras.layers.Dropout)]

    @tf.function
    def spread():
        replica = _context().replica_id_in_sync_group
        for state in states:
            # The first word is the seed, the second counts the draws.
            state.assign_add(ops.cast(ops.stack([replica * SEED_STRIDE, 0]), state.dtype))

    model.distribute_strategy.run(spread)


def _layers(model, kind):
    layers = [layer for network in model.networks for layer in network.layers]
    return [layer for layer in layers if isinstance(layer, kind)]


def _context():
    return tf.distribute.get_replica_context()
