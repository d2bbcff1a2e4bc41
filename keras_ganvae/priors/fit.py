"""Fit the mixture prior to the aggregate posterior, with scikit-learn."""

import numpy as np

from keras_ganvae.priors import MixturePrior
from keras_ganvae.priors.normal import NormalPrior

# Numbers of components, in the order tried. Full covariances gain the most held-out
# log-likelihood for their size: on MNIST with 20 latent dimensions, 50 components reach
# -25.95 nats, 75 -25.84, and 100 -25.79 for a file a third larger.
CANDIDATES = (1, 10, 30, 75)
# The least gain in held-out log-likelihood, nats per latent, that justifies a larger
# mixture: smaller gains are invisible in samples but enlarge the exported files.
MIN_GAIN = 0.1
# Decimals of means and factors: a decoder does not notice errors of 5e-5, and the JSON of
# the model card is half as long.
DECIMALS = 4


def fit_mixture(latents: np.ndarray, held_out: np.ndarray, seed: int) -> MixturePrior:
    """Fit the smallest mixture that no larger one improves on by `MIN_GAIN`.

    Args:
        latents: z ~ q(z|x) of training images, (N, J).
        held_out: z ~ q(z|x) of validation images, (M, J), which select the size.
        seed: random seed of the initializations.
    """
    from sklearn.mixture import GaussianMixture  # heavy

    best, best_nats = None, -np.inf
    for components in CANDIDATES:
        # Each component needs several times its own dimensions in data.
        if components > 1 and len(latents) < 5 * components * latents.shape[1]:
            break
        mixture = GaussianMixture(
            components, covariance_type="full", reg_covar=1e-4, random_state=seed, max_iter=100
        ).fit(latents.astype(np.float64))
        nats = mixture.score(held_out)
        if nats > best_nats + MIN_GAIN:
            best, best_nats = mixture, nats
    assert best is not None, "the score of a single Gaussian is finite"
    factors = np.linalg.cholesky(best.covariances_)
    normal = NormalPrior(latents.shape[1]).log_density(held_out).mean()
    return MixturePrior(
        best.weights_.astype(np.float32),
        np.round(best.means_, DECIMALS).astype(np.float32),
        np.round(factors, DECIMALS).astype(np.float32),
        {"mixture": float(best_nats), "normal": float(normal)},
    )
