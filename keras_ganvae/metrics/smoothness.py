"""Smoothness of a latent space, which samples do not show."""

from typing import Any

import numpy as np

from keras_ganvae.metrics.estimate import Estimate, of_mean
from keras_ganvae.models import latents
from keras_ganvae.plots.latent_paths import walks
from keras_ganvae.priors import Prior

WALKS = 200
STEPS = 50  # of a coarse walk; a fine one has twice as many


def smoothness(model: Any, prior: Prior, seed: int) -> Estimate:
    """How the largest change along a walk shrinks when its steps are halved (section 3.2).

    The base-2 logarithm of the largest change on walks of `STEPS` steps over that on the
    same walks with twice as many. A change is the Euclidean distance of consecutive images.
    1 where images change in proportion to z, 0 where they jump.

    Args:
        model: a model with `decode`.
        prior: the walks join draws from it.
        seed: random seed of the draws.
    """
    fine = walks(prior, WALKS, 2 * STEPS + 1, seed)  # (WALKS, 2 STEPS + 1, J)
    ratios = []
    for path in fine:
        images = latents.decode(model, path).reshape(len(path), -1)
        ratios.append(_largest_change(images[::2]) / _largest_change(images))
    return of_mean(np.log2(ratios))


def _largest_change(images):
    return np.linalg.norm(np.diff(images, axis=0), axis=1).max()
