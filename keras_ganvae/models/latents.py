"""Numpy in, numpy out, a batch at a time: the ways in and out of the latent space."""

import keras
import numpy as np
import tensorflow as tf

BATCH = 500


def encode(model, images, seed):
    """q(z|x) of uint8 images under the model's own binarization.

    Args:
        images: uint8 (N, H, W, C).
        seed: of the binarization's draws.

    Returns:
        mean, log-variance: float32 (N, J) each.
    """
    draws = keras.random.SeedGenerator(seed)
    parts = []
    for start in range(0, len(images), BATCH):
        x = tf.constant(images[start : start + BATCH], tf.float32) / 255.0
        parts.append([np.asarray(part) for part in model.encode(model.binarize(x, draws))])
    mean, log_var = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, log_var


# A dimension carries information when its posterior mean varies over the data; the
# threshold is Burda et al. 2015's.
ACTIVE_VARIANCE = 0.01


def active_dimensions(mean) -> int:
    """How many latent dimensions the encoder uses, from the means (N, J) of q(z|x)."""
    return int((mean.var(axis=0) > ACTIVE_VARIANCE).sum())


def decode(model, latents):
    """z (N, J) -> float32 images (N, H, W, C) in [0, 1]."""
    return _in_batches(model.decode, latents)


def logits(model, latents):
    """z (N, J) -> float32 logits (N, H, W, C) of a VAE's p(x|z)."""
    return _in_batches(model.logits, latents)


def _in_batches(function, latents):
    latents = np.asarray(latents, np.float32)
    parts = [
        np.asarray(function(tf.constant(latents[start : start + BATCH])))
        for start in range(0, len(latents), BATCH)
    ]
    return np.concatenate(parts)


def draw_posterior(model, images, seed):
    """One z ~ q(z|x) for each uint8 image, (N, J) float32."""
    mean, log_var = encode(model, images, seed)
    noise = np.random.default_rng(seed).standard_normal(mean.shape, dtype=np.float32)
    return mean + np.exp(0.5 * log_var) * noise
