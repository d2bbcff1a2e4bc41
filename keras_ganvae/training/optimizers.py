"""The optimizers and the learning-rate schedule that a config names."""

import keras

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


def use_xla(config) -> bool:
    """Resolve `--jit auto`."""
    return config.jit == "on"
