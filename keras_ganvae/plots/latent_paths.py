"""Paths through a latent space: interpolations, traversals, a plane."""

from typing import Any

import numpy as np

from keras_ganvae.models import latents
from keras_ganvae.priors import Prior

DRAWS = 5000  # from which percentiles are taken


def walks(prior: Prior, count: int, steps: int, seed: int) -> np.ndarray:
    """Interpolate between pairs of draws from a prior.

    Under N(0, I) by `slerp`, which keeps the norm typical of the prior; under a mixture
    by `lerp`.

    Args:
        prior: where both ends are drawn from.
        count: number of walks.
        steps: latents per walk, both ends included.
        seed: random seed of the draws.

    Returns:
        float32 (count, steps, J).
    """
    starts, ends = np.split(prior.sample(2 * count, seed), 2)
    between = slerp if prior.name == "normal" else lerp
    fractions = np.linspace(0, 1, steps, dtype=np.float32)
    return np.stack([between(starts, ends, fraction) for fraction in fractions], axis=1)


def lerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    """Linear interpolation."""
    return (1 - fraction) * start + fraction * end


def slerp(start: np.ndarray, end: np.ndarray, fraction: float) -> np.ndarray:
    """Spherical linear interpolation along great circles; linear if a pair is parallel.

    Args:
        start: (N, J).
        end: (N, J).
        fraction: position in [0, 1].
    """
    cosine = (start * end).sum(-1) / np.linalg.norm(start, axis=-1) / np.linalg.norm(end, axis=-1)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]
    if np.any(np.sin(angle) < 1e-3):  # parallel vectors span no plane
        return lerp(start, end, fraction)
    return (np.sin((1 - fraction) * angle) * start + np.sin(fraction * angle) * end) / np.sin(angle)


def traversals(
    model: Any, prior: Prior, dimensions: int, steps: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vary one latent dimension at a time, the most active first.

    Each goes from its 1st to its 99th percentile under the prior; the others stay at the
    values of one draw.

    Args:
        model: a model with `decode`.
        prior: source of the percentiles and of the draw.
        dimensions: how many dimensions, at most J.
        steps: latents per dimension.
        seed: random seed of the draws.

    Returns:
        The dimensions, int (dimensions,), and z, float32 (dimensions, steps, J).
    """
    draws = prior.sample(DRAWS, seed)
    chosen = most_active(model, draws)[:dimensions]
    percentiles = np.percentile(draws, np.linspace(1, 99, steps), axis=0)
    z = np.repeat(draws[:1], len(chosen) * steps, axis=0).reshape(len(chosen), steps, -1)
    for row, j in zip(z, chosen, strict=True):
        row[:, j] = percentiles[:, j]
    return chosen, z


def plane(model: Any, prior: Prior, side: int, seed: int) -> tuple[int, int, np.ndarray]:
    """The plane of the two most active dimensions, from the 1st to the 99th percentile.

    The other dimensions stay at the prior's mean.

    Args:
        model: a model with `decode`.
        prior: source of percentiles and mean, with at least two dimensions.
        side: latents along each axis.
        seed: random seed of the draws.

    Returns:
        The horizontal and the vertical dimension, and z, float32 (side * side, J), row by row.
    """
    draws = prior.sample(DRAWS, seed)
    across, down = most_active(model, draws)[:2]
    percentiles = np.percentile(draws, np.linspace(1, 99, side), axis=0)
    z = np.repeat(draws.mean(axis=0, keepdims=True), side * side, axis=0)
    z[:, across] = np.tile(percentiles[:, across], side)
    z[:, down] = np.repeat(percentiles[:, down], side)
    return across, down, z


def most_active(model: Any, draws: np.ndarray, bases: int = 16) -> np.ndarray:
    """Sort the latent dimensions by how much they change the image, the largest first.

    The change is the mean squared pixel difference between the 5th and the 95th
    percentile of a dimension, averaged over a few draws of the others.

    Args:
        model: a model with `decode`.
        draws: z from the prior, (N, J).
        bases: number of draws for the other dimensions.

    Returns:
        int (J,).
    """
    low, high = np.percentile(draws, [5, 95], axis=0)
    latent_dim = draws.shape[1]
    z = np.repeat(draws[None, :bases], latent_dim, axis=0)  # (J, bases, J)
    j = np.arange(latent_dim)
    ends = []
    for value in (low, high):
        z[j, :, j] = value[:, None]
        ends.append(latents.decode(model, z.reshape(-1, latent_dim)))
    change = ((ends[1] - ends[0]) ** 2).reshape(latent_dim, -1).mean(axis=1)
    return np.argsort(-change, kind="stable")
