"""The distribution of the latents: what a card says of it, and the draws that prove it."""

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.priors import random as noise

DRAWS = 4  # of each component; one draw misses an error times an epsilon near 0
MAX_ERROR = 1e-5  # of the draws, between numpy's prior and every file's


def record(prior: NormalPrior | MixturePrior) -> dict:
    """The `latent` of a card."""
    latent = {"size": prior.latent_dim, "distribution": prior.name}
    if isinstance(prior, NormalPrior):
        return latent
    rows, columns = np.tril_indices(prior.latent_dim)
    mixture = {
        "weights": _numbers(prior.weights),
        "means": _numbers(prior.means),
        "factors": _numbers(prior.factors[:, rows, columns]),
    }
    return latent | {"components": prior.components, "mixture": mixture}


def check(latent: dict) -> None:
    """Check what the schema can't say of a card's `latent`.

    Raises:
        InputError: keys of a mixture are missing or too many, or their lengths do not match.
    """
    if latent["distribution"] == "normal":
        if "mixture" in latent:
            raise InputError("card.latent.mixture is for the distribution mixture only")
        return
    for name in ("components", "mixture"):
        if name not in latent:
            raise InputError(f"card.latent.{name} is missing")
    size, components, mixture = latent["size"], latent["components"], latent["mixture"]
    if len(mixture["weights"]) != components:
        raise InputError(f"card.latent.mixture.weights must have {components} numbers")
    for name, length in (("means", size), ("factors", size * (size + 1) // 2)):
        if [len(row) for row in mixture[name]] != [length] * components:
            raise InputError(
                f"card.latent.mixture.{name} must have {components} rows of {length} numbers"
            )


def mixture(latent: dict) -> MixturePrior:
    """The mixture of a card's `latent`.

    Raises:
        InputError: its numbers are no mixture's.
    """
    size = latent["size"]
    with np.errstate(over="ignore"):  # too large a number becomes infinite
        weights, means, lower = (
            np.asarray(latent["mixture"][name], np.float32)
            for name in ("weights", "means", "factors")
        )
    if not (weights >= 0).all() or not abs(weights.sum() - 1) < 1e-3:
        raise InputError("the mixture's weights do not sum to 1")
    rows, columns = np.tril_indices(size)
    factors = np.zeros((len(weights), size, size), np.float32)
    factors[:, rows, columns] = lower
    if not (np.isfinite(means).all() and np.isfinite(factors).all()):
        raise InputError("the mixture is not finite")
    return MixturePrior(weights, means, factors, {})


def component_seeds(prior: MixturePrior) -> np.ndarray:
    """Seeds that draw from every component, at both ends of its probability: int32 (N,)."""
    thresholds = noise.choice_thresholds(prior.weights)
    return noise.seeds_of_choices(thresholds, prior.latent_dim, DRAWS)


def first_difference(drawn: np.ndarray, latents: np.ndarray) -> int | None:
    """The index of the draw that is farthest from what it should be; None if none is far.

    Args:
        drawn, latents: (N, J).
    """
    # Far from 0, float32 itself is coarser than the limit.
    excess = np.abs(drawn - latents) - MAX_ERROR - 2**-22 * np.abs(latents)
    return None if excess.max() <= 0 else int(excess.max(axis=1).argmax())


def _numbers(array):
    """An array as nested lists of the shortest decimals that give the same float32."""
    if array.ndim > 1:
        return [_numbers(row) for row in array]
    return [float(str(value)) for value in array.astype(np.float32)]
