"""Encode and decode NumPy arrays of any length, in batches."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_ganvae.data.lazy_images import Images
from keras_ganvae.equations import Tensor
from keras_ganvae.models.base import GenerativeModel
from keras_ganvae.models.memory import bytes_per_image
from keras_ganvae.models.variational import VariationalAutoencoder

# Images in a batch, and the bytes of its largest layer. The size of a batch depends on the
# model alone, not on the free memory, because the last digits of the results depend on it.
BATCH = 500
BATCH_BYTES = 2**29

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
    for batch in _batches(model, len(images)):
        x = tf.constant(images[batch], tf.float32) / 255.0
        parts.append([np.asarray(part) for part in model.encode(model.binarize(x, draws))])
    mean, log_var = (np.concatenate(part) for part in zip(*parts, strict=True))
    return mean, log_var


def active_dimensions(mean: np.ndarray) -> int:
    """Number of latent dimensions that the encoder uses, given the means (N, J) of q(z|x)."""
    return int((mean.var(axis=0) > ACTIVE_VARIANCE).sum())


def decode(model: GenerativeModel, latents: np.ndarray) -> np.ndarray:
    """z (N, J) -> float32 images (N, H, W, C) in [0, 1]."""
    return _in_batches(model, model.decode, latents)


def logits(model: VariationalAutoencoder, latents: np.ndarray) -> np.ndarray:
    """z (N, J) -> float32 logits (N, H, W, C) of p(x|z)."""
    return _in_batches(model, model.logits, latents)


def _in_batches(
    model: Any, function: Callable[[Tensor], Tensor], latents: np.ndarray
) -> np.ndarray:
    latents = np.asarray(latents, np.float32)
    # Not a list of parts: to join them would take their memory twice.
    result = np.empty((len(latents), *model.image_shape), np.float32)
    for batch in _batches(model, len(latents)):
        result[batch] = function(tf.constant(latents[batch]))
    return result


def _batches(model: Any, count: int) -> Iterator[slice]:
    size = max(1, min(BATCH, BATCH_BYTES // max(1, bytes_per_image(model))))
    return (slice(start, start + size) for start in range(0, count, size))


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
