"""Optimizers, learning-rate schedule and XLA, as a config sets them."""

import logging
from typing import Any

import keras
import tensorflow as tf

from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.errors import InputError

log = logging.getLogger("keras_ganvae")

# The cosine ends above zero, so that an extended run still learns.
FINAL_SHARE = 0.01


def make_optimizer(config: ResolvedConfig, steps_per_epoch: int, name: str) -> Any:
    """Adam or plain SGD with the config's schedule, and loss scaling under float16."""
    rate = learning_rate(config, steps_per_epoch)
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, name=name)
    else:
        optimizer = keras.optimizers.Adam(rate, beta_1=config.beta_1, name=name)
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
    xla = use_xla(config)
    model.compile(**optimizers, jit_compile=xla)
    if xla and not model.jit_compile:
        log.warning("XLA off: this process trained without it before; start a new one")


# Throughput with XLA relative to without, default presets, on a CPU with AVX-512:
# `scripts/benchmark_training.py --jit on`. No GPU was measured.
XLA_SPEEDUP = {
    ("cvae", "CPU"): 0.73,
    ("dcgan", "CPU"): 0.90,
    ("gan", "CPU"): 0.82,
    ("vae", "CPU"): 0.82,
}


def use_xla(config: ResolvedConfig) -> bool:
    """Whether to compile the step with XLA: `jit=auto` does where it was measured to be faster.

    Raises:
        InputError: `jit=on` with several devices.
    """
    if config.jit == "on" and config.strategy in ("mirrored", "multi-worker"):
        raise InputError("`jit=on` compiles a step for one device; remove it or `strategy`")
    if config.jit == "auto":
        return XLA_SPEEDUP.get((config.arch, _device()), 0) > 1
    return config.jit == "on"


def described_compilation(config: ResolvedConfig) -> str:
    """Whether XLA compiles the step and why, such as "XLA off (0.73x throughput)"."""
    choice = "XLA on" if use_xla(config) else "XLA off"
    if config.jit != "auto":
        return f"{choice} (`jit={config.jit}`)"
    speedup = XLA_SPEEDUP.get((config.arch, _device()))
    if speedup is None:
        return f"{choice} (not measured for {config.arch} on a {_device()})"
    return f"{choice} ({speedup}x throughput for {config.arch} on a {_device()})"


def _device() -> str:
    return "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
