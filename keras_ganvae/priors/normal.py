"""The standard normal prior of the paper."""

from dataclasses import dataclass

import numpy as np

from keras_ganvae.priors import random


@dataclass(frozen=True)
class NormalPrior:
    """N(0, I) in `latent_dim` dimensions."""

    latent_dim: int
    name = "normal"
    description = "prior N(0, I)"

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Draw z, float32 (count, latent_dim); z[i] depends on `seed` and i only."""
        return self.draw(random.image_seeds(seed, count))

    def draw(self, seeds: np.ndarray) -> np.ndarray:
        """Draw one z for each image seed, int32 (N,): float32 (N, latent_dim)."""
        size = self.latent_dim
        return random.in_blocks(lambda part: random.normals(part, size), seeds, size, size)

    def log_density(self, latents: np.ndarray) -> np.ndarray:
        """log N(z; 0, I) of latents (N, latent_dim): (N,), nats."""
        return -0.5 * (latents**2 + np.log(2 * np.pi)).sum(axis=1)
