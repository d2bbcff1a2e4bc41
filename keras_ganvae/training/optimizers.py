"""The optimizers and the learning-rate schedule that a config names."""

import logging

import keras

log = logging.getLogger("keras_ganvae")

# Where the cosine ends: not zero, so that a run that is extended still learns.
FINAL_SHARE = 0.01


def make_optimizer(config, steps_per_epoch: int, name: str):
    """Adam or plain SGD, with the config's schedule; scaling the loss under float16."""
    rate = learning_rate(config, steps_per_epoch)
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, name=name)
    else:
        optimizer = keras.optimizers.Adam(rate, beta_1=config.beta_1, name=name)
    if config.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_scale")
    return optimizer


def learning_rate(config, steps_per_epoch: int):
    """A number, or a cosine over `schedule_epochs` that then stays at its end."""
    if config.schedule == "constant":
        return config.learning_rate
    return keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.schedule_epochs * steps_per_epoch, alpha=FINAL_SHARE
    )


def compile_model(model, config, steps_per_epoch: int):
    """Compile with one optimizer for each player of the model's game."""
    optimizers = {
        name: make_optimizer(config, steps_per_epoch, name) for name in model.optimizer_names
    }
    model.compile(**optimizers, jit_compile=use_xla(config))
    if use_xla(config) and not model.jit_compile:
        log.warning("no XLA: this process has trained without it before; start a new one")


def use_xla(config) -> bool:
    """Resolve `--jit`. `auto` is off.

    Measured on a CPU with AVX-512, default presets, images per second with XLA over
    without: cvae 0.73, dcgan 0.75, gan 0.82, vae 0.82 (`scripts/benchmark_training.py
    --jit on`). It has not been measured on a GPU, and gives up op determinism.
    """
    return config.jit == "on"
