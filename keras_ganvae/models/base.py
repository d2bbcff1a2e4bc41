"""What the two kinds of model share: networks, seeds, means, and the way to a file."""

import keras
import tensorflow as tf
from keras import ops

from keras_ganvae.models import replicas


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
        self.train_function = self._logging(super().make_train_function, "train_function", force)

    def make_test_function(self, force=False):
        self.test_function = self._logging(super().make_test_function, "test_function", force)

    def _logging(self, make, name, force):
        """Keras's function for a step, which returns the logs whatever the strategy.

        Across workers Keras 3 reduces each log that a step returns over its first axis,
        which scalars do not have, and fails (keras-team/keras#20585). The replicas agree on
        them already, so there `_log` returns one stand-in of rank 1, a fifth of the exchanges,
        and the logs are read here.
        """
        made = getattr(self, name)
        if made is not None and not force:
            return made
        make(force)
        step = getattr(self, name)
        if not replicas.across_workers(self.distribute_strategy):
            return step
        read = tf.function(self.get_metrics_result)

        def step_and_logs(iterator):
            step(iterator)
            return read()

        return step_and_logs

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing: the networks are built. Keras would average a first batch over the
        replicas to see its shape, and fail where their shares differ by an image."""

    def _log(self, terms, share):
        """Add one step's values to the means of the epoch.

        Args:
            terms: values (B,) by the names of the means.
            share: the `replicas.Share` that they are of.

        Returns:
            The means so far, by name, as Keras wants a step's result.
        """
        values = share.global_means([terms[mean.name] for mean in self.means])
        for mean, value in zip(self.means, values, strict=True):
            # Weighted by the batch, so that a partial last one leaves the epoch's mean right.
            mean.update_state(value, sample_weight=share.total)
        return {"done": ops.ones(1)} if replicas.across_workers() else self.get_metrics_result()

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
