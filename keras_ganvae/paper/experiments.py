"""The experiment of section 4.2: how G's gradient vanishes while D alone learns."""

import dataclasses

import numpy as np
import tensorflow as tf
from keras import ops

from keras_ganvae import equations
from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.data.dataset import Dataset
from keras_ganvae.data.pipeline import training_batches
from keras_ganvae.data.position import Position
from keras_ganvae.training.setup import build_model

# D is confident when it gives generated images this probability of being real.
CONFIDENT = 0.01
MOST_STEPS = 500
LATENTS = 256


def generator_gradients(config: ResolvedConfig, dataset: Dataset) -> list[dict]:
    """Norms of G's gradient under equations (1) and (6) while D alone learns (section 4.2).

    D is trained from its initial weights with the run's optimizer until it is confident.

    Args:
        config: the settings of a finished GAN run.
        dataset: the data set of that run.

    Returns:
        One dict per step: `fake_probability`, the mean of D(G(z)), and the norm of G's
        gradient under each generator loss, by the loss's name.
    """
    # float16 would need loss scaling, which has nothing to do with the experiment.
    model = build_model(dataclasses.replace(config, precision="float32"), dataset)
    batches = training_batches(
        dataset.train.images, config.batch_size, seed=config.seed, start=Position()
    )
    z = np.random.default_rng(config.seed).standard_normal((LATENTS, model.latent_dim), np.float32)
    rows = [_gradients(model, z)]
    for real in batches.take(MOST_STEPS):
        _train_discriminator(model, real)
        rows.append(_gradients(model, z))
        if rows[-1]["fake_probability"] < CONFIDENT:
            break
    return rows


def _gradients(model, z):
    logits = model.discriminator(model.generator(z, training=False), training=False)
    probability = float(ops.mean(ops.sigmoid(logits)))
    return {"fake_probability": probability, **model.generator_gradient_norms(z)}


def _train_discriminator(model, real):
    step = int(model.discriminator_optimizer.iterations)
    z = tf.random.stateless_normal((len(real), model.latent_dim), seed=(model.seed, step))
    fake = model.generator(z, training=True)
    weights = model.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        real_logits = model.discriminator(real, training=True)
        fake_logits = model.discriminator(fake, training=True)
        loss = ops.mean(equations.discriminator_loss(real_logits, fake_logits))
    model.discriminator_optimizer.apply(tape.gradient(loss, weights), weights)
