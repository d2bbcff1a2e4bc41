"""The contrast of a VAE: a factor on the logits that gives samples the variance of the data.

`decode` returns the mean of p(x|z), and a mean varies less than the data: of
Var x = Var E[x|z] + E Var[x|z] it lacks the second term. On MNIST a factor of 1.5 to 1.75 gives
the default presets' samples the data's variance, and raises the sharpness of their edges from
.54 to .72; the data's is .68.
"""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from keras_ganvae.models import latents
from keras_ganvae.plots import images

SAMPLES = 2000
MAX_IMAGES = 5000
LIMITS = (0.5, 4.0)
BLOCK = 100  # images


def fit_contrast(model: Any, prior: Any, real: np.ndarray, seed: int) -> float:
    """Find the contrast at which samples have the total variance of real images.

    The total variance is the sum of the variances of all pixels. Likelihoods do not depend on
    the contrast.

    Args:
        model: a VAE.
        prior: the distribution to sample latents from.
        real: uint8 (N, H, W, C); the first `MAX_IMAGES` are used.
        seed: random seed of the latents.

    Returns:
        A factor within `LIMITS`, rounded to two decimals.
    """
    logits = latents.logits(model, prior.sample(SAMPLES, seed))
    target = _total_variance(real[:MAX_IMAGES])

    def distance(contrast):
        samples = images.to_uint8(expit(np.float32(contrast) * logits))
        return abs(_total_variance(samples) - target)

    return round(float(minimize_scalar(distance, bounds=LIMITS, method="bounded").x), 2)


def _total_variance(pixels):
    """Of uint8 (N, H, W, C), in squared levels. In blocks, as `var` would copy all to float64."""
    blocks = [pixels[start : start + BLOCK] for start in range(0, len(pixels), BLOCK)]
    squares = sum(np.square(block, dtype=np.float64).sum(axis=0) for block in blocks)
    return (squares / len(pixels) - pixels.mean(axis=0, dtype=np.float64) ** 2).sum()
