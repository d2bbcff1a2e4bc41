"""What the two kinds of model share: networks, seeds, means, and the way to a file."""

import contextlib

import keras
import tensorflow as tf
from keras import ops


class GlobalMean(keras.metrics.Mean):
    """A running mean of values that are the same on every replica, each with its own copy.

    Keras's own sums the copies whenever it is read, in an exchange between all workers.
    """

    def add_variable(
        self, shape, initializer, dtype=None, aggregation="only_first_replica", name=None
    ):
        return super().add_variable(shape, initializer, dtype, aggregation, name)


class GenerativeModel(keras.Model):
    """A model made of two networks, with its own `train_step`.

    A subclass names its `network_names` and `optimizer_names`: attributes, and arguments
    of `__init__` and `compile`. It fills `self.means`, the running means that are logged.

    Args:
        seed: of the noise that training and validation draw, each from its own stream.
    """

    kind = ""  # "adversarial" or "variational"
    network_names = ()
    optimizer_names = ()

    def __init__(self, *, seed=0, name=None, **kwargs):
        super().__init__(name=name or type(self).__name__, **kwargs)
        self.seed = seed
        self.noise_seed = keras.random.SeedGenerator(seed, name="noise_seed")
        self.validation_noise_seed = keras.random.SeedGenerator(
            seed + 1, name="validation_noise_seed"
        )
        self.means = []

    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = self._of_iterator(self.train_step)

    def make_test_function(self, force=False):
        if self.test_function is None or force:
            self.test_function = self._of_iterator(self.test_step)

    def _of_iterator(self, step):
        """What `fit` and `evaluate` call: takes a batch, or `steps_per_execution`, and steps.

        The batch is taken outside of the graph, which so knows its size: one is made for
        whole batches, another for an epoch's last if it is smaller. Keras's own has a single
        one for any size, in which small models take about a tenth longer. Between workers
        there is one too: taking a batch costs Python more there than a known size saves.

        Nor are the logs reduced. Keras reduces each over its first axis, which scalars do not
        have, and so fails between workers (keras-team/keras#20585). The replicas agree on
        them already: the first's are taken.
        """
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

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: the networks are built. Keras would average a first batch over the
        replicas to see its shape, and fail where their shares differ by an image."""

    def _move(self, share, terms, moves):
        """Step every optimizer with the gradient of the global batch.

        Args:
            share: the `replicas.Share` that the step is of.
            terms: values (B,) by the names of the means.
            moves: (optimizer, gradients of the share's losses, weights) of each player.

        Returns:
            The sums of `terms` over the global batch, in the order of the means.
        """
        gradients = [gradient for _, its, _ in moves for gradient in its]
        sums = share.sums([*gradients, *self._totals(terms)])
        for optimizer, its, weights in moves:
            optimizer.apply(sums[: len(its)], weights)
            sums = sums[len(its) :]
        return sums

    def _totals(self, terms):
        return [ops.sum(terms[mean.name]) for mean in self.means]

    def _log(self, sums, share):
        """Add one step's values, summed over the global batch, to the means of the epoch.

        Returns:
            The means so far, by name, as Keras wants a step's result.
        """
        size = ops.cast(share.total, "float32")
        for mean, total in zip(self.means, sums, strict=True):
            # Weighted by the batch, so that a partial last one leaves the epoch's mean right.
            mean.update_state(total / size, sample_weight=size)
        return self.get_metrics_result()

    @property
    def networks(self):
        return [getattr(self, name) for name in self.network_names]

    @property
    def optimizers(self):
        return [getattr(self, name) for name in self.optimizer_names]

    @property
    def metrics(self):
        # Without Keras's own loss tracker, which a custom step leaves at zero.
        return self.means

    def get_config(self):
        networks = zip(self.network_names, self.networks, strict=True)
        config = {name: keras.saving.serialize_keras_object(each) for name, each in networks}
        return config | {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        for name in cls.network_names:
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)

    def get_compile_config(self):
        optimizers = zip(self.optimizer_names, self.optimizers, strict=True)
        return {name: keras.saving.serialize_keras_object(each) for name, each in optimizers}

    def compile_from_config(self, config):
        self.compile(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})
