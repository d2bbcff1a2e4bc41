"""Encode and decode NumPy arrays of any length, in batches."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_ganvae.data.lazy_images import Images
from keras_ganvae.equations import Tensor
from keras_ganvae.models.base import GenerativeModel
from keras_ganvae.models.variational import VariationalAutoencoder

BATCH = 500

# A latent dimension is active if its posterior mean varies by more than this over the data
# (Burda et al. 2015, "Importance Weighted Autoencoders").
ACTIVE_VARIANCE = 0.01


def encode(
    model: VariationalAutoencoder, images: Images, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of q(z|x).

    Args:
        model: a VAE; its `binarization` applies.
        images: uint8 (N, H, W, C).
        seed: random seed of the binarization.

    Returns:
        mean and log-variance, float32 (N, J) each.
    """
    draws = keras.random.SeedGenerator(seed)
    parts = []
    for start in range(0, len(images), BATCH):
        x = tf.constant(images[start : start + BATCH], tf.float32) / 255.0
        parts.append([np.asarray(part) for part in model.encode(model.binarize(x, draws))])
    mean, log_var = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, log_var


def active_dimensions(mean: np.ndarray) -> int:
    """Number of latent dimensions that the encoder uses, given the means (N, J) of q(z|x)."""
    return int((mean.var(axis=0) > ACTIVE_VARIANCE).sum())


def decode(model: GenerativeModel, latents: np.ndarray) -> np.ndarray:
    """z (N, J) -> float32 images (N, H, W, C) in [0, 1]."""
    return _in_batches(model.decode, latents)


def logits(model: VariationalAutoencoder, latents: np.ndarray) -> np.ndarray:
    """z (N, J) -> float32 logits (N, H, W, C) of p(x|z)."""
    return _in_batches(model.logits, latents)


def _in_batches(function: Callable[[Tensor], Tensor], latents: np.ndarray) -> np.ndarray:
    latents = np.asarray(latents, np.float32)
    parts = [
        np.asarray(function(tf.constant(latents[start : start + BATCH])))
        for start in range(0, len(latents), BATCH)
    ]
    return np.concatenate(parts)


def draw_posterior(model: VariationalAutoencoder, images: Images, seed: int) -> np.ndarray:
    """One sample z ~ q(z|x) per image.

    Args:
        model: a VAE.
        images: uint8 (N, H, W, C).
        seed: random seed of the binarization and of the samples.

    Returns:
        float32 (N, J).
    """
    mean, log_var = encode(model, images, seed)
    noise = np.random.default_rng(seed).standard_normal(mean.shape, dtype=np.float32)
    return mean + np.exp(0.5 * log_var) * noise
