"""What the two kinds of model share: networks, seeds, means, and the way to a file."""

import keras


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
