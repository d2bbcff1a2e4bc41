"""The contrast of a VAE's images: one factor on the logits, fitted to the data's own greys.

`decode` gives the mean of p(x|z), an average over all that x may still be, so its edges are
greyer than those of any image. On MNIST a factor of about 1.45 gives the default presets'
samples the data's own greys, and with them its sharpness and variance.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit

from keras_ganvae import images
from keras_ganvae.models import latents

MOST_IMAGES = 2000
LIMITS = (0.5, 4.0)


def fit_contrast(model, real, seed) -> float:
    """The contrast at which reconstructions have the greys of the images themselves.

    It minimises the Wasserstein distance between the pixel values of both, all pixels taken
    together; reconstructions are of draws from q(z|x). Likelihoods do not depend on it.

    Args:
        model: a VAE.
        real: uint8 (N, H, W, C); the first `MOST_IMAGES` are used.
        seed: of binarisation and draws.

    Returns:
        A factor within `LIMITS`, to two decimals.
    """
    real = real[:MOST_IMAGES]
    logits = latents.logits(model, latents.draw_posterior(model, real, seed))
    wanted = _distribution(real)

    def distance(contrast):
        drawn = images.to_uint8(expit(np.float32(contrast) * logits))
        return np.abs(_distribution(drawn) - wanted).mean()

    return round(float(minimize_scalar(distance, bounds=LIMITS, method="bounded").x), 2)


def _distribution(pixels):
    """Share of the pixels up to each of the 256 levels."""
    return np.cumsum(np.bincount(pixels.ravel(), minlength=256)) / pixels.size
