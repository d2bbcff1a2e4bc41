"""The latent of a seed in C: hash, Box-Muller transform and mixture.

The int8 file computes in integers alone, with errors of about 1e-8, less than float32 has. The
random words, and so the component of the mixture, are those of `priors/random.py`.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_ganvae.c.text import Array, rendered
from keras_ganvae.priors import MixturePrior, Prior
from keras_ganvae.priors import random as noise

NORMAL_BITS = 28  # of the fraction of a normal; 5.8, the largest, needs three more
FACTOR_BITS = 15  # of a factor without its sign
MIN_SCALE_BITS = 12  # so that the means keep more bits than the factors


@dataclass(frozen=True)
class LatentSource:
    """C that draws a latent, its constants, and the bytes of its local arrays."""

    code: str
    arrays: list[Array]
    stack_bytes: int


def int8(prior: Prior, scale: float, zero_point: int) -> LatentSource:
    """`void ganvae_latent(int32_t seed, int8_t *z)`, without floating point.

    Args:
        prior: the distribution of z.
        scale, zero_point: of the quantized z.
    """
    mixture: dict = {}
    arrays: list[Array] = []
    z_bits = NORMAL_BITS + MIN_SCALE_BITS
    if isinstance(prior, MixturePrior):
        lower = _lower(prior)
        bits = factor_bits(prior)
        rows = np.tril_indices(prior.latent_dim)[0]
        mean_bits = 30 - _magnitude(prior.means)
        z_bits = NORMAL_BITS + int(bits.min())
        arrays = [
            _thresholds(prior),
            Array("means", _fixed(prior.means, mean_bits).astype(np.int32)),
            Array("factor_bits", bits.astype(np.int8)),
            Array("factors", _fixed(lower, bits[rows]).astype(np.int16)),
        ]
        mixture = {"mean_bits": mean_bits, "components": prior.components}
    code = rendered(
        "latent_int8.c",
        **_common(prior),
        **mixture,
        **{each.name: each.definition for each in arrays},
        z_bits=z_bits,
        scale=repr(float(scale)),
        step=round(float(scale) * 2**z_bits),
        zero=zero_point,
        ln2_58=round(math.log(2) * 2**58),
        ln2_32=round(math.log(2) * 2**32),
        two_pi_30=round(2 * math.pi * 2**30),
    )
    pairs = math.ceil(prior.latent_dim / 2)
    return LatentSource(code, arrays, 8 * pairs + prior.latent_dim)


def float32(prior: Prior) -> LatentSource:
    """`void ganvae_latent_float(int32_t seed, float *z)`, with math.h."""
    mixture: dict = {}
    arrays: list[Array] = []
    if isinstance(prior, MixturePrior):
        arrays = [
            _thresholds(prior),
            Array("means", prior.means.astype(np.float32)),
            Array("factors", _lower(prior).astype(np.float32)),
        ]
        mixture = {"components": prior.components}
    code = rendered(
        "latent_float.c",
        **_common(prior),
        **mixture,
        **{each.name: each.definition for each in arrays},
        two_pi=str(np.float32(2 * math.pi)),
    )
    pairs = math.ceil(prior.latent_dim / 2)
    return LatentSource(code, arrays, 8 * pairs + 4 * prior.latent_dim)


def factor_bits(prior: MixturePrior) -> np.ndarray:
    """The bits after the point of each row of the factors, over all components: int64 (J,)."""
    largest = np.abs(prior.factors).max(axis=(0, 2))
    bits = [FACTOR_BITS - _magnitude(each) for each in largest]
    return np.clip(bits, MIN_SCALE_BITS - 8, MIN_SCALE_BITS + 12)


def _common(prior):
    return {
        "size": prior.latent_dim,
        "pairs": math.ceil(prior.latent_dim / 2),
        "mixture": isinstance(prior, MixturePrior),
        "bits": noise.BITS,
        "half": 2 ** (noise.BITS - 1),
        "shifts": noise.SHIFTS,
        "multipliers": noise.MULTIPLIERS,
        "golden": noise.GOLDEN,
    }


def _lower(prior):
    """The lower triangles of the factors, row by row: (K, J (J + 1) / 2)."""
    return prior.factors[:, *np.tril_indices(prior.latent_dim)]


def _thresholds(prior):
    """The boundaries between components as unsigned words, and one that none reaches."""
    half = 2 ** (noise.BITS - 1)
    words = np.append(noise.choice_thresholds(prior.weights).astype(np.int64) + half, 2 * half)
    return Array("thresholds", words.astype(np.uint32))


def _magnitude(values):
    """The least n such that all values times 2^-n round to less than 1 in size."""
    return max(-8, math.ceil(math.log2(float(np.abs(values).max()) * (1 + 2**-14) + 2**-20)))


def _fixed(values, bits):
    return np.rint(values.astype(np.float64) * 2.0**bits)
