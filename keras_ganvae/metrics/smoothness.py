"""How smooth a latent space is, which no sample shows."""

import numpy as np

from keras_ganvae.metrics.estimate import Estimate, of_mean
from keras_ganvae.models import latents
from keras_ganvae.plots.latent_paths import walks

WALKS = 200
STEPS = 50  # of the coarse walk; the fine one has twice as many


def smoothness(model, prior, seed) -> Estimate:
    """How the largest change along a walk shrinks when its steps are halved (section 3.2).

    The base-2 logarithm of the largest change between neighbours on walks of `STEPS`
    steps over that on the same walks with twice as many, changes as the Euclidean
    distance of images. 1 where images move in proportion to z, 0 where they jump.

    Args:
        prior: whose draws the walks join; what `Run.prior` gives.
    """
    fine = walks(prior, WALKS, 2 * STEPS + 1, seed)  # (WALKS, 2 STEPS + 1, J)
    ratios = [_largest_change(each[::2]) / _largest_change(each) for each in _decoded(model, fine)]
    return of_mean(np.log2(ratios))


def _decoded(model, paths):
    for path in paths:
        images = latents.decode(model, path)
        yield images.reshape(len(images), -1)


def _largest_change(images):
    return np.linalg.norm(np.diff(images, axis=0), axis=1).max()
