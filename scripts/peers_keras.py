"""The Keras sides of `benchmark_peers`: our loop, and `fit` as a user of Keras would call it.

A process for each of them: ours runs with op determinism, which a process can't turn off again.
"""

import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from peers_process import rate

from keras_ganvae import architectures, equations, runtime
from keras_ganvae.config import TrainConfig
from keras_ganvae.data.pipeline import Feed
from keras_ganvae.data.position import Position
from keras_ganvae.distributed.placement import ONE_DEVICE
from keras_ganvae.files import replacing, write_json
from keras_ganvae.models.adversarial import PENALTY_EVERY
from keras_ganvae.training import loop
from keras_ganvae.training.compilation import LEAST_SPEEDUP
from keras_ganvae.training.cost import multiply_adds
from keras_ganvae.training.optimizers import FINAL_SHARE, compile_model, make_optimizer

IMAGE_SHAPE = (28, 28, 1)
IMAGES = 60_000
STEPS_PER_EPOCH = 1000  # of the learning rate's schedule; random images need no real one
CHECKED = 16  # images
WARM_UP = 3  # executions
EXECUTION = 32  # steps, of the second `fit`
SETTINGS = (
    *("latent_dim", "batch_size", "learning_rate", "optimizer", "beta_1", "schedule"),
    *("gradient_penalty", "average_decay", "generator_loss", "beta", "binarize"),
)
# What describes a layer, where it has them.
ATTRIBUTES = (
    *("units", "filters", "use_bias", "padding", "rate", "momentum", "epsilon", "scale"),
    *("offset", "negative_slope", "target_shape"),
)


class Ours:
    """Our `Loop`, as `fit` calls it, with op determinism.

    Args:
        arch: name of the architecture.
        preset: name of its preset.
        jit: "on" or "off".
    """

    def __init__(self, arch: str, preset: str, jit: str):
        self.config = architectures.resolve(TrainConfig(arch=arch, preset=preset, jit=jit))
        runtime.prepare(self.config.seed, self.config.precision)
        self.model = architectures.build(self.config, IMAGE_SHAPE)
        compile_model(self.model, self.config, STEPS_PER_EPOCH)
        self.feed = feed = Feed(random_images(self.config.batch_size), self.config.batch_size)
        loop.install(self.model, feed, feed, "auto", ONE_DEVICE, xla=jit == "on")
        self.epoch, self.position = feed.steps, 0
        self.blocks = iter(feed.training_blocks(self.steps, 0, Position()))

    @property
    def steps(self) -> int:
        return self.model.steps_per_execution

    def load(self, folder: str) -> dict:
        """Write the model for PyTorch into a folder, warm up, and describe the model."""
        write_model(Path(folder), self.model, self.config)
        for _ in range(WARM_UP):
            self.execute()
        speedup = loop.speedup_of_xla(self.model, self.feed, ONE_DEVICE)
        xla = self.config.jit == "off" and speedup >= LEAST_SPEEDUP
        return described(self.model) | {"steps": self.steps, "auto_picks_xla": xla}

    def time(self, contender: str, seconds: float) -> dict:
        """Images per second."""
        return {"rate": rate(self.execute, seconds)}

    def execute(self) -> int:
        """Run an execution, and return its number of images. The last of an epoch is shorter."""
        steps = min(self.steps, self.epoch - self.position)
        check_finite(self.model.train_function(self.blocks))
        self.position = (self.position + steps) % self.epoch
        return steps * self.config.batch_size


class Fit:
    """Keras's `fit` with a plain model, at one and at several steps per execution.

    Args: those of `Ours`.
    """

    def __init__(self, arch: str, preset: str, jit: str):
        self.config = architectures.resolve(TrainConfig(arch=arch, preset=preset, jit=jit))
        keras.utils.set_random_seed(self.config.seed)
        self.models = {f"fit {steps}": plain_model(self.config, steps) for steps in (1, EXECUTION)}
        size = self.config.batch_size
        images = tf.constant(random_images(size))
        self.epoch = len(images) // size // EXECUTION * EXECUTION
        # Indices are shuffled instead of images: copying images one by one takes longer.
        rows = tf.data.Dataset.range(len(images)).shuffle(len(images)).repeat().batch(size, True)
        batches = rows.map(lambda each: tf.cast(tf.gather(images, each), tf.float32) / 255.0)
        self.batches = batches.prefetch(tf.data.AUTOTUNE)
        for contender in self.models:
            self.time(contender, 0.0)

    def load(self, folder: str) -> dict:
        """Describe the model; `Ours` writes it."""
        return described(self.models["fit 1"])

    def time(self, contender: str, seconds: float) -> dict:
        """Images per second."""
        model = self.models[contender]
        clock = Clock(model.steps_per_execution * self.config.batch_size, seconds)
        model.fit(
            self.batches,
            epochs=10**6,
            steps_per_epoch=self.epoch,
            verbose=0,
            callbacks=[clock],
            shuffle=False,
        )
        return {"rate": clock.rate}


class Clock(keras.callbacks.Callback):
    """Ends `fit` after some seconds; `rate` is then its images per second.

    Args:
        images: in an execution.
        seconds: to time, after `WARM_UP` executions.
    """

    def __init__(self, images: int, seconds: float):
        super().__init__()
        self.images, self.seconds = images, seconds
        self.rate = 0.0

    def on_train_begin(self, logs=None):
        self.executions = 0

    def on_train_batch_end(self, batch, logs=None):
        self.executions += 1
        if self.executions == WARM_UP:
            self.start = time.perf_counter()
        elif self.executions > WARM_UP:
            passed = time.perf_counter() - self.start
            if passed >= self.seconds:
                check_finite(logs)
                self.rate = (self.executions - WARM_UP) * self.images / passed
                self.model.stop_training = True


class Plain(keras.Model):
    """What the two plain models share: two networks, a random seed, and the logged means."""

    logged: tuple[str, ...] = ()

    def __init__(self, first, second, config):
        super().__init__()
        self.networks = [first, second]
        self.config = config
        self.seed_generator = keras.random.SeedGenerator(config.seed)
        self.trackers = [keras.metrics.Mean(name) for name in self.logged]

    @property
    def metrics(self):
        return self.trackers

    def noise(self, images):
        shape = (tf.shape(images)[0], self.config.latent_dim)
        return keras.random.normal(shape, seed=self.seed_generator)

    def log(self, values):
        for tracker, value in zip(self.trackers, values, strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class PlainGan(Plain):
    """A GAN as a user of Keras would write it; the step of `AdversarialNetwork`."""

    logged = ("generator_loss", "discriminator_loss", "real_accuracy", "fake_accuracy", "accuracy")

    def __init__(self, generator, discriminator, config):
        super().__init__(generator, discriminator, config)
        self.generator, self.discriminator = self.networks
        self.average = keras.models.clone_model(generator) if config.average_decay else None

    def compile(self, generator_optimizer, discriminator_optimizer, **kwargs):
        super().compile(**kwargs)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer

    def train_step(self, images):
        latents = self.noise(images)
        with tf.GradientTape() as generator_tape:
            fake = self.generator(latents, training=True)
            with tf.GradientTape() as discriminator_tape:
                real_logits = self.discriminator(images, training=True)
                fake_logits = self.discriminator(fake, training=True)
                generator_loss = tf.reduce_mean(tf.nn.softplus(-fake_logits))
                discriminator_loss = tf.reduce_mean(
                    tf.nn.softplus(-real_logits) + tf.nn.softplus(fake_logits)
                )
                total = discriminator_loss
                if self.config.gradient_penalty:
                    total += self.penalty(images[::PENALTY_EVERY])
        weights = self.generator.trainable_variables
        gradients = generator_tape.gradient(generator_loss, weights)
        self.generator_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        weights = self.discriminator.trainable_variables
        gradients = discriminator_tape.gradient(total, weights)
        self.discriminator_optimizer.apply_gradients(zip(gradients, weights, strict=True))
        if self.average is not None:
            self.update_average()
        real = tf.reduce_mean(tf.cast(real_logits > 0, tf.float32))
        fake = tf.reduce_mean(tf.cast(fake_logits <= 0, tf.float32))
        return self.log([generator_loss, discriminator_loss, real, fake, (real + fake) / 2])

    def penalty(self, real):
        """R1."""
        with tf.GradientTape() as tape:
            tape.watch(real)
            logits = self.discriminator(real, training=False)
        gradients = tape.gradient(logits, real)
        squares = tf.reduce_sum(tf.square(gradients), axis=(1, 2, 3))
        return 0.5 * self.config.gradient_penalty * tf.reduce_mean(squares)

    def update_average(self):
        step = tf.cast(self.generator_optimizer.iterations, tf.float32)
        decay = tf.minimum(self.config.average_decay, (1 + step) / (10 + step))
        for average, weight in zip(self.average.weights, self.generator.weights, strict=True):
            average.assign(decay * average + (1 - decay) * weight)


class PlainVae(Plain):
    """A VAE as a user of Keras would write it; the step of `VariationalAutoencoder`."""

    logged = ("loss", "reconstruction", "kl")

    def __init__(self, encoder, decoder, config):
        super().__init__(encoder, decoder, config)
        self.encoder, self.decoder = self.networks

    def train_step(self, images):
        x = self.binarized(images)
        noise = self.noise(images)
        with tf.GradientTape() as tape:
            mean, log_var = tf.split(self.encoder(x, training=True), 2, axis=1)
            logits = self.decoder(mean + tf.exp(0.5 * log_var) * noise, training=True)
            cross_entropy = tf.reduce_sum(tf.nn.softplus(logits) - x * logits, axis=(1, 2, 3))
            reconstruction = tf.reduce_mean(cross_entropy)
            terms = 1 + log_var - tf.square(mean) - tf.exp(log_var)
            kl = -0.5 * tf.reduce_mean(tf.reduce_sum(terms, axis=1))
            loss = self.config.beta * kl + reconstruction
        weights = self.trainable_variables
        gradients = tape.gradient(loss, weights)
        self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self.log([loss, reconstruction, kl])

    def binarized(self, images):
        match self.config.binarize:
            case "stochastic":
                threshold = keras.random.uniform(tf.shape(images), seed=self.seed_generator)
            case "threshold":
                threshold = 0.5
            case _:
                return images
        return tf.cast(images > threshold, tf.float32)


def plain_model(config: TrainConfig, steps: int) -> Plain:
    """A compiled plain model with new weights.

    Args:
        config: a resolved one.
        steps: per execution.
    """
    ours = architectures.build(config, IMAGE_SHAPE)
    make = {"adversarial": PlainGan, "variational": PlainVae}[ours.kind]
    model = make(*ours.networks, config)
    names = ours.optimizer_names
    optimizers = [make_optimizer(config, STEPS_PER_EPOCH, name) for name in names]
    model.compile(*optimizers, steps_per_execution=steps)
    return model


def random_images(batch_size: int) -> np.ndarray:
    """Whole batches of random uint8 images, (N, H, W, C)."""
    count = IMAGES // batch_size * batch_size
    return np.random.default_rng(0).integers(0, 256, (count, *IMAGE_SHAPE), np.uint8)


def check_finite(logs: dict) -> None:
    """Wait for the logged means; raise ArithmeticError if one is NaN or infinite."""
    if not all(np.isfinite(float(value)) for value in logs.values()):
        raise ArithmeticError("a loss became NaN or infinite")


def described(model: keras.Model) -> dict:
    """What the sides must have in common: weights, and MACs per image of a training step."""
    return {
        "parameters": sum(network.count_params() for network in model.networks),
        "macs": multiply_adds(model, IMAGE_SHAPE),
    }


def write_model(folder: Path, model: keras.Model, config: TrainConfig) -> None:
    """Write a model for `peers_torch`: model.json, model.npz, and what it computes, keras.npz.

    That is computed with other weights: those of a new model, zeros and ones, would hide an
    error in their order.
    """
    arrays = {}
    for i, network in enumerate(model.networks):
        arrays |= {f"{i} initial {j}": each for j, each in enumerate(network.get_weights())}
    initial = [network.get_weights() for network in model.networks]
    random = np.random.default_rng(0)
    for network in model.networks:
        network.set_weights([_disturbed(each, random) for each in network.weights])
    for i, network in enumerate(model.networks):
        arrays |= {f"{i} checked {j}": each for j, each in enumerate(network.get_weights())}
    # Black and white: however they are binarized, they stay the same.
    arrays["images"] = 255 * random.integers(0, 2, (CHECKED, *IMAGE_SHAPE), np.uint8)
    arrays["noise"] = random.standard_normal((CHECKED, config.latent_dim), np.float32)
    write_arrays(folder / "keras.npz", computed(model, arrays["images"], arrays["noise"]))
    for network, weights in zip(model.networks, initial, strict=True):
        network.set_weights(weights)
    write_arrays(folder / "model.npz", arrays)
    settings = {name: getattr(config, name) for name in SETTINGS}
    settings["penalty_every"], settings["final_share"] = PENALTY_EVERY, FINAL_SHARE
    if config.schedule != "constant":
        settings["schedule_steps"] = config.schedule_epochs * STEPS_PER_EPOCH
    networks = [describe_layers(network) for network in model.networks]
    document = {"kind": model.kind, "settings": settings, "networks": networks}
    write_json(folder / "model.json", document | {"images": IMAGES})


def _disturbed(weight, random):
    value = weight.numpy()
    value = value + 0.1 * random.standard_normal(value.shape, np.float32) * (
        value.std() if value.std() > 0 else 1
    )
    return np.abs(value) if "variance" in weight.name else value


def write_arrays(path: Path, arrays: dict) -> None:
    """Write an .npz file."""
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)


def computed(model: keras.Model, images: np.ndarray, noise: np.ndarray) -> dict:
    """Outputs, losses, and norms of gradients in inference mode, by name.

    Args:
        images: uint8, black or white.
        noise: z of a GAN, epsilon of a VAE.
    """
    x = tf.constant(images, tf.float32) / 255.0
    by_kind = {"adversarial": _computed_by_gan, "variational": _computed_by_vae}
    outputs, losses, weights, tape = by_kind[model.kind](model, x, tf.constant(noise))
    found = dict(zip(("first output", "second output"), map(np.asarray, outputs), strict=True))
    for i, (loss, each) in enumerate(zip(losses, weights, strict=True)):
        found[f"loss {i}"] = np.asarray(loss)
        found[f"gradient {i}"] = np.asarray(tf.linalg.global_norm(tape.gradient(loss, each)))
    return found


def _computed_by_gan(model, x, z):
    with tf.GradientTape(persistent=True) as tape:
        fake = model.generator(z, training=False)
        terms = model.terms(x, fake, training=False)
        losses = [tf.reduce_mean(terms[f"{name}_loss"]) for name in model.network_names]
        if model.gradient_penalty:
            with tf.GradientTape() as inner:
                real = x[::PENALTY_EVERY]
                inner.watch(real)
                logits = model.discriminator(real, training=False)
            penalty = equations.gradient_penalty(
                inner.gradient(logits, real), model.gradient_penalty
            )
            losses[1] += tf.reduce_mean(penalty)
    outputs = fake, model.discriminator(x, training=False)
    weights = [network.trainable_variables for network in model.networks]
    return outputs, losses, weights, tape


def _computed_by_vae(model, x, noise):
    with tf.GradientTape(persistent=True) as tape:
        loss = tf.reduce_mean(model.terms(x, noise, training=False)["loss"])
    outputs = model.encoder(x, training=False), model.decoder(noise, training=False)
    return outputs, [loss], [model.trainable_variables], tape


def describe_layers(network: keras.Model) -> list[dict]:
    """The layers of a network as `peers_torch` builds them, in what JSON can hold."""
    return [_described(layer) for layer in network.layers]


def _described(layer):
    found = {name: getattr(layer, name) for name in ATTRIBUTES if hasattr(layer, name)}
    for name in ("kernel_size", "strides"):
        if hasattr(layer, name):
            found[name], *others = set(getattr(layer, name))
            if others:
                raise ValueError(f"{layer.name} is not square")
    if hasattr(layer, "activation"):
        found["activation"] = layer.activation.__name__
    return found | {
        "type": type(layer).__name__,
        "weights": len(layer.weights),
        "input": list(layer.input.shape[1:]),
    }


SIDES = {"ours": Ours, "fit": Fit}
