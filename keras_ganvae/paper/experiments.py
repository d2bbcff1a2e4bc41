"""An experiment of section 4.2: how G's gradient fades while D alone learns."""

import dataclasses

import numpy as np
import tensorflow as tf
from keras import ops

from keras_ganvae import equations
from keras_ganvae.data.pipeline import training_batches
from keras_ganvae.data.position import Position
from keras_ganvae.training.setup import build_model

# D is confident when it gives generated images this probability of being real.
CONFIDENT = 0.01
MOST_STEPS = 500
LATENTS = 256


def fading_gradient(config, dataset) -> list[dict]:
    """G's gradient under equations (1) and (6) while D alone learns (section 4.2).

    From the config's first weights, with its own optimizer for D, until D is confident.

    Args:
        config: of a finished run of a GAN.
        dataset: what it was trained on.

    Returns:
        One dict for each step: `fake_probability`, the mean of D(G(z)), and the norm of
        G's gradient under each loss, by its name.
    """
    # In float16 the loss would need scaling, which is not what this is about.
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
