"""The latent of a seed in C: hash, Box-Muller transform and mixture.

The int8 file computes in integers alone, with errors of about 1e-8, less than float32 has. The
random words, and so the component of the mixture, are those of `priors/random.py`.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_ganvae.c.text import Array, narrowed, rendered
from keras_ganvae.priors import MixturePrior, Prior
from keras_ganvae.priors import random as noise

NORMAL_BITS = 28  # of the fraction of a normal
LARGEST_NORMAL = 5.8  # sqrt(-2 ln 2^-24)
DECIMALS = 4  # that a fitted mixture is rounded to (`priors/fit.py`)
FRACTION_BITS = 24  # of a mixture that is not: at most


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
    arrays: list[Array] = []
    unit = 2.0**-12
    if isinstance(prior, MixturePrior):
        unit, means, factors = in_units(prior)
        arrays = [_thresholds(prior), Array("means", means), Array("factors", factors)]
    code = rendered(
        "latent_int8.c",
        **_common(prior),
        **{each.name: each.definition for each in arrays},
        unit=f"{unit:g}",
        normal=round(1 / unit),
        scale=f"{scale:.6g}",
        step=round(scale / unit * 2**NORMAL_BITS),
        zero=zero_point,
        ln2_58=round(math.log(2) * 2**58),
        ln2_32=round(math.log(2) * 2**32),
        two_pi_30=round(2 * math.pi * 2**30),
    )
    pairs = math.ceil(prior.latent_dim / 2)
    return LatentSource(code, arrays, 8 * pairs + prior.latent_dim)


def float32(prior: Prior) -> LatentSource:
    """`void ganvae_latent_float(int32_t seed, float *z)`, with math.h."""
    arrays: list[Array] = []
    if isinstance(prior, MixturePrior):
        arrays = [
            _thresholds(prior),
            Array("means", prior.means.astype(np.float32)),
            Array("factors", _lower(prior).astype(np.float32)),
        ]
    code = rendered(
        "latent_float.c",
        **_common(prior),
        **{each.name: each.definition for each in arrays},
        two_pi=str(np.float32(2 * math.pi)),
    )
    pairs = math.ceil(prior.latent_dim / 2)
    return LatentSource(code, arrays, 8 * pairs + 4 * prior.latent_dim)


def in_units(prior: MixturePrior) -> tuple[float, np.ndarray, np.ndarray]:
    """(unit, means (K, J), lower triangles (K, J (J + 1) / 2)): integers times a unit.

    The unit is 10^-4 if that is exact, else a power of 2 so small that the sums of the C just
    fit in 64 bits. The integers have the narrowest of 8, 16 and 32 bits.
    """
    values = prior.means, _lower(prior)
    if all(np.array_equal(np.round(each, DECIMALS).astype(np.float32), each) for each in values):
        unit = 10.0**-DECIMALS
    else:
        largest = np.abs(prior.means).max() + LARGEST_NORMAL * np.abs(prior.factors).sum(2).max()
        bits = 62 - NORMAL_BITS - math.ceil(math.log2(float(largest) + 1))
        unit = 2.0 ** -min(bits, FRACTION_BITS)
    means, factors = (narrowed(np.rint(each.astype(np.float64) / unit)) for each in values)
    return unit, means, factors


def _common(prior):
    return {
        "size": prior.latent_dim,
        "pairs": math.ceil(prior.latent_dim / 2),
        "mixture": isinstance(prior, MixturePrior),
        "components": prior.components if isinstance(prior, MixturePrior) else 0,
        "bits": noise.BITS,
        "half": 2 ** (noise.BITS - 1),
        "shifts": noise.SHIFTS,
        "multipliers": [f"0x{each:08X}" for each in noise.MULTIPLIERS],
        "golden": f"0x{noise.GOLDEN:08X}",
    }


def _lower(prior):
    """The lower triangles of the factors, row by row: (K, J (J + 1) / 2)."""
    return prior.factors[:, *np.tril_indices(prior.latent_dim)]


def _thresholds(prior):
    """The boundaries between components as unsigned words, and one that none reaches."""
    half = 2 ** (noise.BITS - 1)
    words = np.append(noise.choice_thresholds(prior.weights).astype(np.int64) + half, 2 * half)
    return Array("thresholds", words.astype(np.uint32))
