"""The optimizers and the learning-rate schedule that a config names."""

import logging

import keras
import tensorflow as tf

from keras_ganvae.errors import InputError

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
    xla = use_xla(config)
    model.compile(**optimizers, jit_compile=xla)
    if xla and not model.jit_compile:
        log.warning("no XLA: this process has trained without it before; start a new one")


# Images per second with XLA over without it, default presets, on a CPU with AVX-512:
# `scripts/benchmark_training.py --jit on`. No GPU has been measured.
XLA_SPEED = {
    ("cvae", "CPU"): 0.73,
    ("dcgan", "CPU"): 0.90,
    ("gan", "CPU"): 0.82,
    ("vae", "CPU"): 0.82,
}


def use_xla(config) -> bool:
    """Resolve `--jit`: `auto` is on where it was measured to be faster.

    Raises:
        InputError: it was asked for on several devices.
    """
    if config.jit == "on" and config.strategy in ("mirrored", "multi-worker"):
        raise InputError("--jit on compiles a step for one device; leave it out, or --strategy")
    if config.jit == "auto":
        return XLA_SPEED.get((config.arch, _device()), 0) > 1
    return config.jit == "on"


def described_compilation(config) -> str:
    """Whether XLA compiles the step, and why."""
    choice = "XLA" if use_xla(config) else "no XLA"
    if config.jit != "auto":
        return f"{choice}, as asked"
    speed = XLA_SPEED.get((config.arch, _device()))
    if speed is None:
        return f"{choice}: not measured for {config.arch} on a {_device()}"
    return f"{choice}: it gave {speed} times the speed for {config.arch} on a {_device()}"


def _device() -> str:
    return "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
