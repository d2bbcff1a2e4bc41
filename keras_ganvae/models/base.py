"""What the two kinds of model share: networks, optimizers, noise seeds, metrics, saving."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ganvae.distributed.batch import ReplicaBatch
from keras_ganvae.distributed.keras_patches import (
    ReplicatedMean,
    ReplicatedModel,
    skip_gradient_reduction,
)
from keras_ganvae.equations import Tensor


class GenerativeModel(ReplicatedModel):
    """A `keras.Model` of two networks with its own `train_step`.

    Args:
        seed: random seed of the noise. Training and validation draw from separate streams, so
            that validating does not change what is learned.

    Attributes:
        kind: "adversarial" or "variational".
        network_names: attributes that hold the networks, also arguments of `__init__`.
        optimizer_names: attributes that hold the optimizers, also arguments of `compile`.
        logged_names: names of the logged metrics, which are keys of `terms()`.
    """

    kind = ""
    network_names: tuple[str, ...] = ()
    optimizer_names: tuple[str, ...] = ()
    logged_names: tuple[str, ...] = ()

    def __init__(self, *, seed: int = 0, name: str | None = None, **kwargs: Any):
        super().__init__(name=name or type(self).__name__, **kwargs)
        self.seed = seed
        self.noise_seed = keras.random.SeedGenerator(seed, name="noise_seed")
        self.validation_noise_seed = keras.random.SeedGenerator(
            seed + 1, name="validation_noise_seed"
        )
        self.epoch_means = [ReplicatedMean(name) for name in self.logged_names]

    def _build_optimizers(self):
        """Create the optimizers' variables, so that a checkpoint can be restored into them."""
        for optimizer, weights in zip(self.optimizers, self._weights_by_optimizer(), strict=True):
            optimizer.build(weights)
            skip_gradient_reduction(optimizer)

    def _weights_by_optimizer(self) -> list[list[Any]]:
        """The weights that each optimizer updates, in the order of `optimizer_names`."""
        raise NotImplementedError

    def _apply_gradients(
        self, batch: ReplicaBatch, gradients: list[list[Tensor]], terms: dict[str, Tensor]
    ) -> Sequence[Tensor]:
        """Update all weights with the gradients of the global batch.

        Gradients and metrics are summed over the replicas in one all-reduce.

        Args:
            batch: this replica's part of the global batch.
            gradients: of this replica's losses, for each optimizer.
            terms: (B,) by logged name.

        Returns:
            The sums of the terms over the global batch, for `_log`.
        """
        flat = [gradient for each in gradients for gradient in each]
        sums = batch.all_reduce([*flat, *self._sums(terms)])
        for optimizer, weights in zip(self.optimizers, self._weights_by_optimizer(), strict=True):
            optimizer.apply(sums[: len(weights)], weights)
            sums = sums[len(weights) :]
        return sums

    def _sums(self, terms):
        return [ops.sum(terms[name]) for name in self.logged_names]

    def _log(self, batch: ReplicaBatch, sums: Sequence[Tensor]) -> dict[str, Tensor]:
        """Update the means of the epoch with the sums over a global batch.

        Returns:
            The means so far, by name, as Keras expects from a step.
        """
        size = ops.cast(batch.total, "float32")
        for mean, total in zip(self.epoch_means, sums, strict=True):
            # Weighted by the batch size, as the last batch of an epoch may be smaller.
            mean.update_state(total / size, sample_weight=size)
        return self.get_metrics_result()

    @property
    def networks(self) -> list[keras.Model]:
        return [getattr(self, name) for name in self.network_names]

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        return [getattr(self, name) for name in self.optimizer_names]

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        # Without Keras's own loss tracker, which stays at zero under a custom step.
        return self.epoch_means

    def get_config(self):
        networks = zip(self.network_names, self.networks, strict=True)
        config = {name: keras.saving.serialize_keras_object(each) for name, each in networks}
        return config | {"seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        for name in cls.network_names:
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)

    def get_compile_config(self) -> dict[str, Any]:
        optimizers = zip(self.optimizer_names, self.optimizers, strict=True)
        return {name: keras.saving.serialize_keras_object(each) for name, each in optimizers}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})
