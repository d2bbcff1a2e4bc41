"""What a decoder is sampled from: N(0, I), or a mixture fitted to where the encoder puts data."""

from dataclasses import dataclass

import numpy as np

from keras_ganvae.files import replacing
from keras_ganvae.priors import random as noise

# Numbers of components, smallest first. Their covariances are full: on MNIST, of one size
# in bytes, they gain most held-out nats. In a vae's 20 dimensions, fitted to 110,000 draws,
# 50 reach -25.95 nats, 75 -25.84, 100 -25.79, for a third more to download.
CANDIDATES = (1, 10, 30, 75)
# A larger mixture must gain this much held-out log-likelihood, nats per latent, to be
# taken: less can't be seen in the samples and costs an app its download.
WORTHWHILE_NATS = 0.1
# Of means and factors: an error of 5e-5 is nothing to a decoder, and a card that writes them
# out is half as long.
DECIMALS = 4


@dataclass(frozen=True)
class NormalPrior:
    """N(0, I) in `latent_dim` dimensions, the paper's prior."""

    latent_dim: int
    name = "normal"

    def sample(self, count, seed):
        """z (count, latent_dim), float32; z[i] depends on `seed` and i alone."""
        return self.draw(noise.image_seeds(seed, count))

    def draw(self, seeds):
        """One z for each image seed, int32 (N,): float32 (N, latent_dim)."""
        return noise.normals(seeds, self.latent_dim)

    def log_density(self, latents):
        """log N(z; 0, I), (N,), nats."""
        return -0.5 * (latents**2 + np.log(2 * np.pi)).sum(axis=1)


@dataclass(frozen=True)
class MixturePrior:
    """A Gaussian mixture: z = means[k] + factors[k] @ epsilon with probability weights[k].

    weights (K,), means (K, J), factors (K, J, J) lower triangular, all float32.
    `held_out` keeps what it was chosen by: nats per latent on validation images, for
    the mixture and for N(0, I).
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    held_out: dict
    name = "mixture"

    @property
    def latent_dim(self):
        return self.means.shape[1]

    @property
    def components(self):
        return len(self.weights)

    def sample(self, count, seed):
        """z (count, latent_dim), float32; z[i] depends on `seed` and i alone."""
        return self.draw(noise.image_seeds(seed, count))

    def draw(self, seeds):
        """One z for each image seed, int32 (N,): float32 (N, latent_dim)."""
        thresholds = noise.choice_thresholds(self.weights)
        component = noise.choices(seeds, thresholds, self.latent_dim)
        epsilon = noise.normals(seeds, self.latent_dim)
        spread = np.einsum("nij,nj->ni", self.factors[component], epsilon)
        return self.means[component] + spread

    def save(self, path):
        """Write `prior.npz`: weights, means, factors and the held-out nats."""
        held_out = {f"held_out_{name}": nats for name, nats in self.held_out.items()}
        with replacing(path) as beside, open(beside, "wb") as file:
            np.savez(file, weights=self.weights, means=self.means, factors=self.factors, **held_out)

    @classmethod
    def load(cls, path):
        """Read `prior.npz`.

        Raises:
            ValueError, KeyError, OSError: the file is missing or not such a file.
        """
        # Opened here: of a truncated archive np.load leaves the file open.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            held_out = {
                name.removeprefix("held_out_"): float(arrays[name])
                for name in arrays
                if name.startswith("held_out_")
            }
            prior = cls(arrays["weights"], arrays["means"], arrays["factors"], held_out)
        components, latent_dim = prior.means.shape
        if prior.weights.shape != (components,) or prior.factors.shape != (
            components,
            latent_dim,
            latent_dim,
        ):
            raise ValueError("the mixture's arrays do not belong together")
        return prior


def fit_mixture(latents, held_out, seed) -> MixturePrior:
    """Fit the smallest worthwhile Gaussian mixture to draws from the aggregate posterior.

    Args:
        latents: z ~ q(z|x) of training images, (N, J).
        held_out: z ~ q(z|x) of validation images, (M, J); they choose the size.
        seed: of the fits' initialisation.
    """
    from sklearn.mixture import GaussianMixture

    best, best_nats = None, -np.inf
    for components in CANDIDATES:
        # Each component needs several times its own dimensions in data.
        if components > 1 and len(latents) < 5 * components * latents.shape[1]:
            break
        mixture = GaussianMixture(
            components, covariance_type="full", reg_covar=1e-4, random_state=seed, max_iter=100
        ).fit(latents.astype(np.float64))
        nats = mixture.score(held_out)
        if nats > best_nats + WORTHWHILE_NATS:
            best, best_nats = mixture, nats
    normal = NormalPrior(latents.shape[1]).log_density(held_out).mean()
    return MixturePrior(
        best.weights_.astype(np.float32),
        np.round(best.means_, DECIMALS).astype(np.float32),
        np.round(np.linalg.cholesky(best.covariances_), DECIMALS).astype(np.float32),
        {"mixture": float(best_nats), "normal": float(normal)},
    )
