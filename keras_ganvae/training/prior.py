"""The mixture prior of a finished VAE."""

import logging
from typing import Any

from keras_ganvae.data import Dataset
from keras_ganvae.data.lazy_images import first
from keras_ganvae.models import latents
from keras_ganvae.priors import MixturePrior
from keras_ganvae.priors.fit import fit_mixture

log = logging.getLogger("keras_ganvae")

# Posterior draws that the mixture is fitted to, one per image: all of MNIST's. From 20,000 to
# 55,000 draws a mixture of 75 gained half a nat per held-out latent.
DRAWS = 60_000


def fit_prior(model: Any, dataset: Dataset, seed: int) -> MixturePrior:
    """Fit a Gaussian mixture to the aggregate posterior of the training images."""
    log.info("fitting the mixture prior to the aggregate posterior")
    train = latents.draw_posterior(model, first(dataset.train.images, DRAWS), seed)
    held_out = latents.draw_posterior(model, dataset.validation.images, seed + 1)
    prior = fit_mixture(train, held_out, seed)
    log.info(
        "mixture of %d full Gaussians: %.2f nats per held-out latent, N(0, I) %.2f",
        prior.components,
        prior.held_out["mixture"],
        prior.held_out["normal"],
    )
    return prior
