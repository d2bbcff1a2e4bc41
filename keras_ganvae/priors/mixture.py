"""The Gaussian mixture that a VAE's samples are drawn from, and its file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.files import readable, replacing
from keras_ganvae.priors import random

MAX_WEIGHT_ERROR = 1e-3  # of the sum of float32 weights
HELD_OUT = "held_out_"  # prefix of the array names of `held_out` in the file


@dataclass(frozen=True)
class MixturePrior:
    """A Gaussian mixture: z = means[k] + factors[k] @ epsilon with probability weights[k].

    Args:
        weights: (K,), float32, sum 1.
        means: (K, J), float32.
        factors: Cholesky factors of the covariances, (K, J, J), float32, lower triangular.
        held_out: log-likelihood of validation images' latents, nats per latent, under
            "mixture" and under "normal".
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    held_out: dict
    name = "mixture"

    @property
    def description(self) -> str:
        """A few words for captions."""
        return f"prior: mixture of {self.components} Gaussians"

    @property
    def latent_dim(self) -> int:
        """J."""
        return self.means.shape[1]

    @property
    def components(self) -> int:
        """K."""
        return len(self.weights)

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Draw z, float32 (count, latent_dim); z[i] depends on `seed` and i only."""
        return self.draw(random.image_seeds(seed, count))

    def draw(self, seeds: np.ndarray) -> np.ndarray:
        """Draw one z for each image seed, int32 (N,): float32 (N, latent_dim)."""
        work = self.latent_dim**2 + self.components
        return random.in_blocks(self._draw, seeds, self.latent_dim, work)

    def _draw(self, seeds):
        thresholds = random.choice_thresholds(self.weights)
        component = random.choices(seeds, thresholds, self.latent_dim)
        epsilon = random.normals(seeds, self.latent_dim)
        spread = np.einsum("nij,nj->ni", self.factors[component], epsilon)
        return self.means[component] + spread

    def save(self, path: str | Path) -> None:
        """Write `prior.npz`: the parameters and the held-out log-likelihoods."""
        held_out = {f"{HELD_OUT}{name}": nats for name, nats in self.held_out.items()}
        with replacing(path) as beside, open(beside, "wb") as file:
            np.savez(file, weights=self.weights, means=self.means, factors=self.factors, **held_out)

    @classmethod
    def load(cls, path: str | Path) -> "MixturePrior":
        """Read `prior.npz`.

        Raises:
            OSError: the file cannot be read.
            ValueError, KeyError: it is not a mixture.
        """
        # np.load(path) would leave a truncated archive open.
        with open(readable(path), "rb") as file, np.load(file, allow_pickle=False) as arrays:
            held_out = {
                name.removeprefix(HELD_OUT): float(arrays[name])
                for name in arrays
                if name.startswith(HELD_OUT)
            }
            prior = cls(arrays["weights"], arrays["means"], arrays["factors"], held_out)
        components, latent_dim = prior.means.shape
        expected = (components,), (components, latent_dim, latent_dim)
        if (prior.weights.shape, prior.factors.shape) != expected:
            raise ValueError("the shapes of weights, means and factors do not match")
        if any(each.dtype.kind != "f" for each in (prior.weights, prior.means, prior.factors)):
            raise ValueError("weights, means or factors are not floats")
        if not all(np.isfinite(each).all() for each in (prior.means, prior.factors)):
            raise ValueError("means or factors are not finite")
        if not (prior.weights >= 0).all() or not abs(prior.weights.sum() - 1) < MAX_WEIGHT_ERROR:
            raise ValueError("the weights do not sum to 1")
        return prior
