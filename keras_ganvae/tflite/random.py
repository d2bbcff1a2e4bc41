"""`keras_ganvae.priors.random` and the priors as a TensorFlow graph for phones.

Only built-in TFLite operators. Conversion to float16 weights rounds every float32 constant,
so each one here is exact in float16; the others are stored as integers.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganvae.priors import MixturePrior, Prior
from keras_ganvae.priors import random as noise

# 2 pi = NEARLY_TWO_PI (1 + REST): REST is so small that float32 hides its rounding error.
NEARLY_TWO_PI = 6.28125
REST = float(np.float16(2 * math.pi / NEARLY_TWO_PI - 1))
STEP = 12  # bits; 2^-12 is a normal number in float16, 2^-24 is not


def draw(prior: Prior, seeds: Any) -> Any:
    """The graph of `prior.draw`: int32 (N,) -> float32 (N, J), with N static."""
    z = normals(seeds, prior.latent_dim)
    return _in_mixture(prior, seeds, z) if isinstance(prior, MixturePrior) else z


def normals(seeds: Any, dimensions: int) -> Any:
    """The graph of `noise.normals`: int32 (N,) -> float32 (N, dimensions)."""
    pairs = math.ceil(dimensions / 2)
    uniform = _centred(integers(seeds, 0, 2 * pairs))
    radius = tf.sqrt(2.0 * _minus_log(uniform[:, :pairs]))
    angle = NEARLY_TWO_PI * uniform[:, pairs:]
    angle += angle * REST
    z = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=1)
    return z[:, :dimensions]


def integers(seeds: Any, start: int, count: int) -> Any:
    """The graph of `noise.integers`: int32 (N,) -> int32 (N, count)."""
    counters = np.arange(start, start + count, dtype=np.uint32) * np.uint32(noise.GOLDEN)
    words = _mix(_mix(seeds)[:, None] + counters.view(np.int32))
    return _shifted(words, 32 - noise.BITS)


def _mix(x):
    first, second, last = noise.SHIFTS
    multipliers = np.array(noise.MULTIPLIERS, np.uint32).view(np.int32)
    x = _xor_shifted(x, first) * multipliers[0]
    x = _xor_shifted(x, second) * multipliers[1]
    return _xor_shifted(x, last)


def _xor_shifted(x, bits):
    """x ^ (x >> bits) with a logical shift, while int32's own shift keeps the sign."""
    sign = _shifted(x, 31) * np.int32(2 ** (32 - bits))  # the upper bits set, or none
    return tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(x, _shifted(x, bits)), sign)


def _shifted(x, bits):
    return tf.bitwise.right_shift(x, np.int32(bits))


def _centred(integers):
    """The graph of `noise.centred`; 2^-23 itself is not a normal number in float16."""
    near = tf.cast(integers, tf.float32) * 2.0**-STEP + 2.0 ** -(STEP + 1)
    return near * 2.0 ** (STEP - noise.BITS)


def _minus_log(centred):
    """-log(centred + 1/2), with a small relative error even where the argument is near 1.

    XNNPACK's logarithm has an absolute error of 1e-7 there, which the square root would
    turn into 1e-4 for the smallest values.
    """
    below_one = 0.5 - centred  # exact
    series = below_one + 0.5 * below_one * below_one
    return tf.where(below_one < 2.0**-10, series, -tf.math.log(centred + 0.5))


def _in_mixture(prior, seeds, normals):
    """Choose a component for each seed, and apply its affine map to the normals."""
    dimensions = prior.latent_dim
    # The last threshold is never reached, so that one component needs no special case.
    thresholds = np.append(noise.choice_thresholds(prior.weights), 2 ** (noise.BITS - 1))
    word = integers(seeds, 2 * math.ceil(dimensions / 2), 1)
    above = tf.cast(word >= thresholds.astype(np.int32), tf.int32)
    component = tf.reduce_sum(above, axis=1)

    table, bits = _fixed_point(_packed(prior))
    row = tf.cast(tf.gather(table, component), tf.float32) * 2.0**-STEP
    # The other half of the scale comes before the sum: after it, the converter would fuse it
    # into a second, scaled copy of the decoder's first weights.
    rest = 2.0 ** (STEP - bits)
    factor = tf.gather(row, _places(dimensions), axis=1)  # (N, J, J)
    spread = tf.reduce_sum(factor * (normals * rest)[:, None, :], axis=2)
    return row[:, 1 : dimensions + 1] * rest + spread


def _packed(prior):
    """One row per component: 0, the mean, the lower triangle of the factor; (K, ...)."""
    lower = np.tril_indices(prior.latent_dim)
    zero = np.zeros((prior.components, 1))
    return np.concatenate([zero, prior.means, prior.factors[:, *lower]], axis=1)


def _places(dimensions):
    """Index in a packed row of each entry of the factor, int32 (J, J); 0 above the diagonal."""
    lower = np.tril_indices(dimensions)
    places = np.zeros((dimensions, dimensions), np.int32)
    places[lower] = 1 + dimensions + np.arange(len(lower[0]))
    return places


def _fixed_point(table):
    """(int32 table, bits): the table times 2^bits, with as many bits as fit, at most 24."""
    largest = math.ceil(math.log2(np.abs(table).max() + 1))
    bits = min(2 * STEP, 30 - largest)
    return np.rint(table * 2.0**bits).astype(np.int32), bits
