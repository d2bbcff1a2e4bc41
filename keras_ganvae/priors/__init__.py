"""What latents are drawn from: N(0, I), or a Gaussian mixture fitted to the aggregate posterior."""

from keras_ganvae.priors.mixture import MixturePrior
from keras_ganvae.priors.normal import NormalPrior

Prior = NormalPrior | MixturePrior

__all__ = ["MixturePrior", "NormalPrior", "Prior"]
