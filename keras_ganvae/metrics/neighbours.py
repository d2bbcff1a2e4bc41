"""What nearest neighbours say: fidelity and diversity of samples, and copies of training images.

Distances are Euclidean, in float32 and in blocks, so that memory does not grow with the
number of pairs.
"""

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.metrics.distances import as_features
from keras_ganvae.metrics.estimate import Estimate, of_mean

BLOCK = 2**24  # distances held at a time, 64 MB


def manifold(real, generated, k=5) -> dict[str, Estimate]:
    """Precision and recall, density and coverage of generated features (M, D), real ones (N, D).

    Around each image lies a ball that reaches to its k-th nearest neighbour in its own set.

    - precision: share of generated images in the ball of a real one, in [0, 1]
      (Kynkäänniemi et al. 2019, eq. 2).
    - recall: share of real images in the ball of a generated one, in [0, 1].
    - density: real balls around a generated image, divided by k; 1 is expected for equal
      distributions, and it may exceed 1 (Naeem et al. 2020, eq. 3).
    - coverage: share of real images whose ball holds a generated one, in [0, 1]
      (Naeem et al. 2020, eq. 4).

    The errors are those of drawing the generated images again, the real ones fixed; when
    the real ones are drawn again too, recall moves by some 1.3 and density by 1.5 times as
    much.

    Raises:
        InputError: k is not in 1 to N - 1 and to M - 1, or features are not finite.
    """
    real, generated = _centred(real, generated)
    if not 1 <= k < min(len(real), len(generated)):
        raise InputError(
            f"k is {k}; it must be at least 1 and below the number of images,"
            f" {len(real)} real and {len(generated)} generated"
        )
    real_radii, generated_radii = _radii(real, k), _radii(generated, k)
    balls_around = np.zeros(len(generated), int)
    recalled = np.empty(len(real), bool)
    covered = np.empty(len(real), bool)
    for block, squares in _squares(real, generated):
        inside = squares <= real_radii[block, None]
        balls_around += inside.sum(axis=0)
        covered[block] = inside.any(axis=1)
        recalled[block] = (squares <= generated_radii).any(axis=1)
    return {
        "precision": of_mean(balls_around > 0),
        "recall": of_mean(recalled),
        "density": of_mean(balls_around / k),
        "coverage": of_mean(covered),
    }


def nearest_distances(queries, reference):
    """Euclidean distance of each query (N, D) to its nearest reference row (M, D): float32 (N,).

    Raises:
        InputError: features are not finite.
    """
    queries, reference = _centred(queries, reference)
    nearest = np.empty(len(queries), int)
    # The query's own length is the same for all of a row, so it takes no part in the search.
    half_lengths = np.einsum("md,md->m", reference, reference) / 2
    for block in _blocks(queries, reference):
        nearest[block] = (half_lengths - queries[block] @ reference.T).argmin(axis=1)
    return np.linalg.norm(queries - reference[nearest], axis=1)


def _centred(first, second):
    """Both in float32, around the second's mean: smaller numbers, smaller rounding errors."""
    first, second = as_features(first, np.float32), as_features(second, np.float32)
    mean = second.mean(axis=0)
    return first - mean, second - mean


def _radii(points, k):
    """Squared distance of each point to its k-th nearest other."""
    radii = np.empty(len(points), np.float32)
    for block, squares in _squares(points, points):
        squares[np.arange(len(squares)), np.arange(len(points))[block]] = np.inf
        radii[block] = np.partition(squares, k - 1, axis=1)[:, k - 1]
    return radii


def _squares(queries, reference):
    """Squared distances, block by block of queries: (slice, float32 (block, M))."""
    lengths = np.einsum("nd,nd->n", reference, reference)
    for block in _blocks(queries, reference):
        squares = queries[block] @ reference.T
        squares *= -2
        squares += (queries[block] ** 2).sum(axis=1)[:, None]
        squares += lengths
        yield block, squares


def _blocks(queries, reference):
    """Slices of the queries whose distances to all of the reference are held at a time."""
    step = max(1, BLOCK // len(reference))
    return (slice(start, start + step) for start in range(0, len(queries), step))
