"""Changes to Keras 3.15 that replicated training needs; each names what would make it obsolete.

`ReplicatedModel` and `ReplicatedMean` are base classes, the functions change a model in place.
All of them leave training on one device as it is, except for the static batch size.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae.distributed.batch import replica_count
from keras_ganvae.equations import Tensor

# Distance between the dropout seeds of two replicas; those of a model's layers are random.
SEED_STRIDE = 1_000_003


class ReplicatedModel(keras.Model):
    """A `keras.Model` whose steps return the same logs on every replica."""

    # keras-team/keras#20585 (tensorflow/tensorflow#72388): between workers, Keras reduces each
    # log over its first axis, which scalars lack, and fails. Here all replicas agree on the
    # logs, so the first replica's are returned.
    #
    # No upstream issue known: Keras traces one function with a dynamic batch size. Here the
    # batch is taken outside of the graph, so that its size is static, with a second trace for
    # a smaller last batch. A dynamic size made the steps of small models 10 % slower. Between
    # workers one function with a dynamic size is faster, as Python fetches batches slowly.

    train_function: Callable[..., Any] | None
    test_function: Callable[..., Any] | None

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            self.train_function = self._make_iterator_function(self.train_step)

    def make_test_function(self, force: bool = False) -> None:
        if self.test_function is None or force:
            self.test_function = self._make_iterator_function(self.test_step)

    def _make_iterator_function(self, step):
        """The function that `fit` and `evaluate` call: `steps_per_execution` steps."""
        strategy = self.distribute_strategy

        def on_batch(batch):
            logs = strategy.run(step, args=(batch,))
            return {name: strategy.experimental_local_results(logs[name])[0] for name in logs}

        def on_next(iterator):
            return on_batch(next(iterator))

        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            on_next = tf.function(on_next, autograph=False)
        elif not self.run_eagerly:
            on_batch = tf.function(on_batch, autograph=False, jit_compile=self.jit_compile)

        def on_iterator(iterator):
            logs = on_next(iterator)
            with contextlib.suppress(StopIteration, tf.errors.OutOfRangeError):
                for _ in range(self.steps_per_execution - 1):
                    logs = on_next(iterator)
            return logs

        return on_iterator

    # keras-team/keras#19246 (its "AddN ... must have the same size and shape"): to infer shapes,
    # Keras averages the first batch over the replicas, and fails if their parts differ in size.
    # The networks here are built already.
    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        pass


# No upstream issue known: the sums of a `keras.metrics.Metric` are added up over all workers
# whenever they are read, one collective for each. The values here are equal on all replicas.
class ReplicatedMean(keras.metrics.Mean):
    """A running mean of values that are equal on all replicas; each keeps its own copy."""

    def add_variable(
        self, shape, initializer, dtype=None, aggregation="only_first_replica", name=None
    ):
        return super().add_variable(shape, initializer, dtype, aggregation, name)


# keras-team/keras#19308: Keras 3 dropped `skip_gradients_aggregation`; every optimizer sums its
# gradients over the replicas, one collective each. No upstream issue known:
# `LossScaleOptimizer` checks the first replica's gradients for overflow before that sum, so an
# overflow on another replica reaches the weights, and workers disagree on skipping the step.
def skip_gradient_reduction(optimizer: keras.optimizers.Optimizer) -> None:
    """Make an optimizer apply gradients as they are: `ReplicaBatch.all_reduce` has summed them."""
    if replica_count() > 1:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        inner._all_reduce_sum_gradients = lambda gradients_and_weights: gradients_and_weights


# No upstream issue known: `BatchNormalization(synchronized=True)` uses three collectives where
# one is enough (a TODO in `keras/src/backend/tensorflow/nn.py`).
def synchronize_batch_norm(model: keras.Model) -> None:
    """Make batch normalization use statistics of the global batch."""
    if model.distribute_strategy.num_replicas_in_sync > 1:
        for layer in _layers(model, keras.layers.BatchNormalization):
            layer._moments = functools.partial(_global_moments, layer.axis)


def _global_moments(axis: int, inputs: Tensor, mask: None = None) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) over all replicas of float32 inputs with channels on `axis`."""
    others = [i for i in range(len(inputs.shape)) if i != axis % len(inputs.shape)]
    sums = [tf.reduce_sum(inputs, others), tf.reduce_sum(tf.square(inputs), others)]
    size = tf.cast(tf.size(inputs) // inputs.shape[axis], tf.float32)
    flat = tf.concat([*sums, [size]], axis=0)
    flat = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flat)
    mean, square = tf.split(flat[:-1] / flat[-1], 2)
    return mean, tf.maximum(square - tf.square(mean), 0.0)


# No upstream issue known: TensorFlow 2.21's oneDNN convolutions fail on a batch of no images
# ("input depth must be evenly divisible by filter depth"), which a replica may get from a
# small last batch.
def allow_empty_batches(model: keras.Model) -> None:
    """Make convolutions accept a batch of no images."""
    for layer in _layers(model, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
        layer.call = functools.partial(_call_padded, layer.call)


def _call_padded(call: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`call` on images; an empty batch gets a black image, whose result is dropped."""
    count = ops.shape(images)[0]
    added = ops.cast(count == 0, "int32")
    return call(tf.pad(images, [[0, added], [0, 0], [0, 0], [0, 0]]))[:count]


# No upstream issue known: each replica has its own copy of a `SeedGenerator`'s state
# (keras-team/keras#20611), but all copies start equal, so all replicas drop the same units.
def decorrelate_dropout(model: keras.Model) -> None:
    """Give each replica its own dropout masks.

    Call it outside of a step, once the seeds are created or restored: a checkpoint holds the
    seeds of the first replica, which this leaves unchanged.
    """
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return
    states = [layer.seed_generator.state for layer in _layers(model, keras.layers.Dropout)]

    @tf.function
    def shift_seeds():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        for state in states:
            # The first number is the seed, the second counts the draws.
            state.assign_add(ops.cast(ops.stack([replica * SEED_STRIDE, 0]), state.dtype))

    model.distribute_strategy.run(shift_seeds)


def _layers(model, kind):
    layers = [layer for network in model.networks for layer in network.layers]
    return [layer for layer in layers if isinstance(layer, kind)]
