"""Nearest-neighbour metrics: precision, recall, density, coverage, and memorization.

Distances are Euclidean and computed in float32, block by block: memory does not grow with
the number of pairs.
"""

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.metrics.distances import as_features
from keras_ganvae.metrics.estimate import Estimate, of_mean

BLOCK = 2**24  # distances in memory at a time, 64 MB


def precision_recall_density_coverage(
    real: np.ndarray, generated: np.ndarray, k: int = 5, block: int = BLOCK
) -> dict[str, Estimate]:
    """Fidelity and diversity of generated features.

    The ball of an image reaches to its k-th nearest neighbour in its own set.

    - precision: share of generated images in the ball of a real one, in [0, 1]
      (Kynkäänniemi et al. 2019, eq. 2).
    - recall: share of real images in the ball of a generated one, in [0, 1].
    - density: number of real balls around a generated image, divided by k; its expectation
      is 1 for equal distributions, and it may exceed 1 (Naeem et al. 2020, eq. 3).
    - coverage: share of real images whose ball contains a generated one, in [0, 1]
      (Naeem et al. 2020, eq. 4).

    The standard errors are over redrawn generated images with the real ones fixed. With
    both redrawn, recall varies about 1.3 times as much and density 1.5 times.

    Args:
        real: features of real images, (N, D).
        generated: features of generated images, (M, D).
        k: the neighbour that sets the radius, from 1 to min(N, M) - 1.
        block: distances in memory at a time; no result depends on it.

    Raises:
        InputError: k is out of range, or a feature is not finite.
    """
    real, generated = _centred(real, generated)
    if not 1 <= k < min(len(real), len(generated)):
        raise InputError(
            f"`neighbours` is {k}; it must be at least 1 and less than the number of images,"
            f" {len(real)} real and {len(generated)} generated"
        )
    real_radii, generated_radii = _radii(real, k, block), _radii(generated, k, block)
    balls_around = np.zeros(len(generated), int)
    recalled = np.empty(len(real), bool)
    covered = np.empty(len(real), bool)
    for part, squares in _squares(real, generated, block):
        inside = squares <= real_radii[part, None]
        balls_around += inside.sum(axis=0)
        covered[part] = inside.any(axis=1)
        recalled[part] = (squares <= generated_radii).any(axis=1)
    return {
        "precision": of_mean(balls_around > 0),
        "recall": of_mean(recalled),
        "density": of_mean(balls_around / k),
        "coverage": of_mean(covered),
    }


def nearest_distances(queries: np.ndarray, reference: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """Euclidean distance of each query (N, D) to its nearest row of (M, D): float32 (N,).

    Raises:
        InputError: a value is not finite.
    """
    queries, reference = _centred(queries, reference)
    nearest = np.empty(len(queries), int)
    # |q - r|^2 = |q|^2 + 2 (|r|^2 / 2 - q.r), and |q|^2 does not change the nearest r.
    half_norms = np.einsum("md,md->m", reference, reference) / 2
    for part in _parts(queries, reference, block):
        nearest[part] = (half_norms - queries[part] @ reference.T).argmin(axis=1)
    return np.linalg.norm(queries - reference[nearest], axis=1)


def _centred(first, second):
    """Both minus the second's mean, float32: smaller values, smaller rounding errors."""
    first, second = as_features(first, np.float32), as_features(second, np.float32)
    mean = second.mean(axis=0)
    return first - mean, second - mean


def _radii(points, k, block):
    """Squared distance of each point to its k-th nearest other."""
    radii = np.empty(len(points), np.float32)
    for part, squares in _squares(points, points, block):
        squares[np.arange(len(squares)), np.arange(len(points))[part]] = np.inf
        radii[part] = np.partition(squares, k - 1, axis=1)[:, k - 1]
    return radii


def _squares(queries, reference, block):
    """Yield slices of the queries with their squared distances, float32 (slice, M)."""
    norms = np.einsum("nd,nd->n", reference, reference)
    for part in _parts(queries, reference, block):
        squares = queries[part] @ reference.T
        squares *= -2
        squares += (queries[part] ** 2).sum(axis=1)[:, None]
        squares += norms
        yield part, squares


def _parts(queries, reference, block):
    """Slices of the queries with at most `block` distances to the reference each."""
    step = max(1, block // len(reference))
    return (slice(start, start + step) for start in range(0, len(queries), step))
