"""Random numbers as a pure function of an integer: the same on every device.

An image is drawn from a seed of its own, 32 bits. Its words are hashes of the seed and a
counter, its normals are made of them by Box and Muller's transform (1958). An exported
model does the same with a phone's integer operators (`tflite/random.py`), so one seed draws
one image everywhere. Here is the definition, in numpy.
"""

import math

import numpy as np

GOLDEN = 0x9E3779B1  # odd, near 2^32 / golden ratio: steps of it spread over all words
# The two rounds of a 32-bit mixer with little bias, found by search: C. Wellons,
# "Prospecting for Hash Functions", 2018 (there: lowbias32).
SHIFTS = (16, 15, 16)
MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
BITS = 23  # of a word that make a uniform: with the half below they fit a float32 exactly


def image_seeds(seed: int, count: int):
    """The seeds of the images of one draw: seed * GOLDEN + i modulo 2^32, int32 (count,)."""
    seeds = np.uint32(seed * GOLDEN % 2**32) + np.arange(count, dtype=np.uint32)
    return seeds.view(np.int32)


def words(seeds, start: int, count: int):
    """Hashes of (seed, counter) for counters from `start`: uint32 (N, count).

    Args:
        seeds: int32 (N,).
    """
    counters = np.arange(start, start + count, dtype=np.uint32) * np.uint32(GOLDEN)
    return mix(mix(np.asarray(seeds, np.int32).view(np.uint32))[:, None] + counters)


def mix(x):
    """Scramble uint32; every input gives another output."""
    first, second, last = SHIFTS
    x = (x ^ (x >> first)) * np.uint32(MULTIPLIERS[0])
    x = (x ^ (x >> second)) * np.uint32(MULTIPLIERS[1])
    return x ^ (x >> last)


def integers(seeds, start: int, count: int):
    """The upper bits of words: int32 in [-2^22, 2^22), all equally likely, (N, count)."""
    return words(seeds, start, count).view(np.int32) >> (32 - BITS)


def centred(integers):
    """Those integers as uniforms in (-1/2, 1/2), float32; neither end is reached."""
    return (integers.astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-BITS)


def normals(seeds, dimensions: int):
    """N(0, I): float32 (N, dimensions), from the words 0 to 2 ceil(dimensions / 2) - 1."""
    pairs = math.ceil(dimensions / 2)
    uniform = centred(integers(seeds, 0, 2 * pairs))
    radius = np.sqrt(np.float32(-2) * np.log(uniform[:, :pairs] + np.float32(0.5)))
    angle = np.float32(2 * math.pi) * uniform[:, pairs:]
    z = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return z[:, :dimensions]


def choices(seeds, thresholds, dimensions: int):
    """Which component of a mixture each seed draws from, int64 (N,).

    Taken from the word after those of `normals`.

    Args:
        thresholds: of `choice_thresholds`.
        dimensions: of the normals that are drawn from the same seeds.
    """
    word = integers(seeds, 2 * math.ceil(dimensions / 2), 1)
    return (word >= thresholds).sum(axis=1)


def choice_thresholds(weights):
    """Where, among the values of `integers`, one component ends and the next begins.

    Args:
        weights: of K components, (K,).

    Returns:
        int32 (K - 1,).
    """
    cumulative = np.cumsum(np.asarray(weights, np.float64))[:-1] / np.sum(weights, dtype=np.float64)
    return np.rint(cumulative * 2**BITS - 2 ** (BITS - 1)).astype(np.int32)
