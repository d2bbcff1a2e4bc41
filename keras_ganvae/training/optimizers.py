"""Optimizers and learning-rate schedule, as a config sets them."""

from typing import Any

import keras

from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.models import FusedAdam

# The cosine ends above zero, so that an extended run still learns.
FINAL_SHARE = 0.01


def make_optimizer(config: ResolvedConfig, steps_per_epoch: int, name: str) -> Any:
    """Adam or plain SGD with the config's schedule, and loss scaling under float16."""
    rate = learning_rate(config, steps_per_epoch)
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, name=name)
    else:
        optimizer = FusedAdam(rate, beta_1=config.beta_1, name=name)
    if config.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_scale")
    return optimizer


def learning_rate(config: ResolvedConfig, steps_per_epoch: int) -> Any:
    """A constant, or a cosine over `schedule_epochs` that stays at its final value."""
    if config.schedule == "constant":
        return config.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.schedule_epochs * steps_per_epoch, alpha=FINAL_SHARE
    )


def compile_model(model: Any, config: ResolvedConfig, steps_per_epoch: int) -> None:
    """Compile a model with one optimizer for each name in `model.optimizer_names`."""
    optimizers = {
        name: make_optimizer(config, steps_per_epoch, name) for name in model.optimizer_names
    }
    # What `fit` runs is compiled by training/loop.py. Keras would refuse XLA here, because of op
    # determinism.
    model.compile(**optimizers, jit_compile=False)
