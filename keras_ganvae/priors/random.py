"""Counter-based random numbers: the same on every device.

Each image has its own 32-bit seed. A random word is a hash of the seed and a counter;
the Box-Muller transform (1958) turns words into normals. Exported models compute the same
with integer operators (`tflite/random.py`) and so does the web app, so that a seed gives
the same image everywhere. This module is the definition, in numpy.
"""

import math
from collections.abc import Callable

import numpy as np

GOLDEN = 0x9E3779B1  # odd, near 2^32 / golden ratio: its multiples spread over all words
# lowbias32, a 32-bit hash with little bias: C. Wellons, "Prospecting for Hash Functions",
# 2018.
SHIFTS = (16, 15, 16)
MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
BITS = 23  # of a word that make a uniform; with the added half, float32 holds it exactly

BLOCK = 2**22  # numbers at a time, 16 MB


def image_seeds(seed: int, count: int) -> np.ndarray:
    """Seeds of `count` images: seed * GOLDEN + i modulo 2^32, int32 (count,)."""
    seeds = np.uint32(seed * GOLDEN % 2**32) + np.arange(count, dtype=np.uint32)
    return seeds.view(np.int32)


def words(seeds: np.ndarray, start: int, count: int) -> np.ndarray:
    """Hash (seed, counter) for the counters start to start + count - 1.

    Args:
        seeds: image seeds, int32 (N,).
        start: the first counter.
        count: number of counters.

    Returns:
        uint32 (N, count).
    """
    counters = np.arange(start, start + count, dtype=np.uint32) * np.uint32(GOLDEN)
    return mix(mix(np.asarray(seeds, np.int32).view(np.uint32))[:, None] + counters)


def mix(x: np.ndarray) -> np.ndarray:
    """Hash uint32 to uint32, one to one."""
    first, second, last = SHIFTS
    x = (x ^ (x >> first)) * np.uint32(MULTIPLIERS[0])
    x = (x ^ (x >> second)) * np.uint32(MULTIPLIERS[1])
    return x ^ (x >> last)


def _unmix(x: np.ndarray) -> np.ndarray:
    """The inverse of `mix`."""
    first, second, last = SHIFTS
    inverses = [np.uint32(pow(each, -1, 2**32)) for each in MULTIPLIERS]
    x = (x ^ (x >> last)) * inverses[1]
    x = (x ^ (x >> second) ^ (x >> 2 * second)) * inverses[0]
    return x ^ (x >> first)


def in_blocks(
    draw: Callable[[np.ndarray], np.ndarray], seeds: np.ndarray, dimensions: int, work: int
) -> np.ndarray:
    """Draw for a part of the seeds at a time, so that `draw` takes bounded memory.

    Args:
        draw: from image seeds, int32 (n,), to float32 (n, dimensions).
        seeds: int32 (N,).
        dimensions: of the result.
        work: numbers that `draw` needs at once for each seed.

    Returns:
        float32 (N, dimensions), the same as `draw` of all seeds.
    """
    result = np.empty((len(seeds), dimensions), np.float32)
    block = max(1, BLOCK // work)
    for start in range(0, len(seeds), block):
        result[start : start + block] = draw(seeds[start : start + block])
    return result


def integers(seeds: np.ndarray, start: int, count: int) -> np.ndarray:
    """Uniform integers in [-2^22, 2^22), the upper bits of `words`: int32 (N, count)."""
    return words(seeds, start, count).view(np.int32) >> (32 - BITS)


def centred(integers: np.ndarray) -> np.ndarray:
    """Scale `integers` to uniforms in the open interval (-1/2, 1/2), float32."""
    return (integers.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-BITS)


def normals(seeds: np.ndarray, dimensions: int) -> np.ndarray:
    """N(0, I) draws, float32 (N, dimensions), from words 0 to 2 ceil(dimensions / 2) - 1."""
    pairs = math.ceil(dimensions / 2)
    uniform = centred(integers(seeds, 0, 2 * pairs))
    radius = np.sqrt(np.float32(-2) * np.log(uniform[:, :pairs] + np.float32(0.5)))
    angle = np.float32(2 * math.pi) * uniform[:, pairs:]
    z = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return z[:, :dimensions]


def choices(seeds: np.ndarray, thresholds: np.ndarray, dimensions: int) -> np.ndarray:
    """The mixture component that each seed draws from, int64 (N,).

    Uses the word after those of `normals`.

    Args:
        seeds: image seeds, int32 (N,).
        thresholds: result of `choice_thresholds`, (K - 1,).
        dimensions: number of normals drawn from the same seeds.
    """
    word = integers(seeds, 2 * math.ceil(dimensions / 2), 1)
    return (word >= thresholds).sum(axis=1)


def seeds_of_choices(thresholds: np.ndarray, dimensions: int, count: int) -> np.ndarray:
    """Seeds for which `choices` chooses each component of nonzero probability, int32 (N,).

    Args:
        thresholds, dimensions: those of `choices`.
        count: seeds of each component, at least 2: the first and the last of the words that
            choose it, and others evenly between.
    """
    edge = 2 ** (BITS - 1)
    edges = np.array([-edge, *thresholds, edge], np.int64)
    first, last = edges[:-1], edges[1:] - 1
    chosen = first <= last
    integers = np.linspace(first[chosen], last[chosen], count, dtype=np.int64).ravel()
    words = (integers << (32 - BITS)).astype(np.uint32)
    counter = 2 * math.ceil(dimensions / 2)
    return _unmix(_unmix(words) - np.uint32(counter * GOLDEN % 2**32)).view(np.int32)


def choice_thresholds(weights: np.ndarray) -> np.ndarray:
    """Boundaries between mixture components on the scale of `integers`.

    Args:
        weights: probabilities of the K components, (K,).

    Returns:
        int32 (K - 1,), ascending.
    """
    cumulative = np.cumsum(np.asarray(weights, np.float64))[:-1] / np.sum(weights, dtype=np.float64)
    return np.rint(cumulative * 2**BITS - 2 ** (BITS - 1)).astype(np.int32)
