"""A VAE's likelihood on images: the ELBO, its terms, and the IWAE bound on log p(x)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ganvae import equations
from keras_ganvae.config import BINARIZATIONS
from keras_ganvae.errors import InputError
from keras_ganvae.metrics.estimate import of_mean
from keras_ganvae.models import latents

CHUNK = 200  # images decoded at a time

# (x (B, ...), z (B, J)) -> log p(x|z), (B,), as TensorFlow tensors.
LogLikelihood = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Likelihood:
    """Result of `measure`: float64, nats per image.

    Args:
        binarization: how the images were binarized. Under "none" the reconstruction is a
            cross-entropy, and neither it nor the ELBO is a likelihood.
        reconstruction: equation (4), negated, for one draw of z per image, (N,).
        kl: equation (5), (N,).
        negative_elbo: equation (3), negated, with beta 1, for the same draws, (N,).
        bound: `iwae_bound` of the first images, (M,); None under "none".
        importance_samples: K of the bound.
        kl_per_dimension: mean over the images, (J,); its sum is the mean of `kl`.
        active_units: number of dimensions whose posterior mean varies over the images.
    """

    binarization: str
    reconstruction: np.ndarray
    kl: np.ndarray
    negative_elbo: np.ndarray
    bound: np.ndarray | None
    importance_samples: int
    kl_per_dimension: np.ndarray
    active_units: int

    def to_dict(self) -> dict:
        """Means over the images for JSON, as {"value", "error"}.

        The standard errors are over the images and the draws of z. Apart from them, the
        expectation of `bound` lies above -log p(x), by less the larger K is.
        """
        bound = self.bound
        return {
            "binarization": self.binarization,
            "images": len(self.negative_elbo),
            "reconstruction": of_mean(self.reconstruction).to_dict(),
            "kl": of_mean(self.kl).to_dict(),
            "negative_elbo": of_mean(self.negative_elbo).to_dict(),
            "bound": None if bound is None else of_mean(bound).to_dict(),
            # Comparable with the bound: `negative_elbo` is over all images.
            "bound_elbo": None
            if bound is None
            else of_mean(self.negative_elbo[: len(bound)]).to_dict(),
            "bound_images": 0 if bound is None else len(bound),
            "importance_samples": self.importance_samples,
            "kl_per_dimension": self.kl_per_dimension.tolist(),
            "active_units": self.active_units,
        }


def measure(
    model: Any,
    images: np.ndarray,
    *,
    binarization: str,
    importance_samples: int,
    bound_images: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Likelihood:
    """Measure a `VariationalAutoencoder` on held-out images.

    Args:
        model: the VAE.
        images: uint8 (N, H, W, C).
        binarization: "stochastic" (one Bernoulli draw per pixel, fixed by `seed` and the
            same for every term), "threshold" (rounded) or "none", whatever the model was
            trained with. Numbers of different binarizations are not comparable.
        importance_samples: K of the IWAE bound.
        bound_images: the bound is computed for the first `bound_images` images, at most N.
        seed: random seed of the binarization and of z, not negative.
        progress: called with the number of images decoded so far and in total.

    Raises:
        InputError: an argument is out of range, or the images do not fit the model.
    """
    _check(model, images, binarization, importance_samples, bound_images)
    bound_images = min(bound_images, len(images)) if binarization != "none" else 0
    total = len(images) + bound_images * importance_samples
    report = progress or (lambda done, total: None)

    def log_likelihood(x, z):
        return equations.bernoulli_log_likelihood(_scaled(x), model.logits(z))

    x = binarized(images, binarization, seed)
    mean, log_var = _encode(model, x)
    log_p, _ = next(importance_terms(log_likelihood, x, mean, log_var, samples=1, seed=seed))
    report(len(x), total)
    kl = np.asarray(equations.gaussian_kl(mean, log_var))
    bound = None
    if bound_images:
        first = slice(bound_images)
        bound = iwae_bound(
            log_likelihood,
            x[first],
            mean[first],
            log_var[first],
            samples=importance_samples,
            seed=seed,
            progress=lambda k: report(len(x) + k * bound_images, total),
        )
    return Likelihood(
        binarization=binarization,
        reconstruction=-log_p,
        kl=kl.sum(axis=1),
        negative_elbo=equations.negative_elbo(log_p, kl.sum(axis=1)),
        bound=bound,
        importance_samples=importance_samples,
        kl_per_dimension=kl.mean(axis=0),
        active_units=latents.active_dimensions(mean),
    )


def iwae_bound(
    log_likelihood: LogLikelihood,
    x: np.ndarray,
    mean: np.ndarray,
    log_var: np.ndarray,
    *,
    samples: int,
    seed: int,
    chunk: int = CHUNK,
    progress: Callable[[int], None] | None = None,
) -> np.ndarray:
    """-log (1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)), z_k ~ q(z|x), p(z) = N(0, I).

    Burda et al. 2015, "Importance Weighted Autoencoders", equation 8, negated. Its
    expectation decreases towards -log p(x) as K grows; for any K it is exact where q(z|x)
    is p(z|x). Memory does not grow with K.

    Args:
        log_likelihood: log p(x|z).
        x: observations, (N, ...).
        mean: of q(z|x), (N, J).
        log_var: log-variance of q(z|x), (N, J).
        samples: K.
        seed: random seed of z. The draws do not depend on `chunk`, and those of a smaller
            K are the first of a larger one.
        chunk: B, the number of images decoded at a time.
        progress: called with the number of samples drawn so far.

    Returns:
        float64 (N,), nats per image.
    """
    log_sum = np.full(len(x), -np.inf)
    terms = importance_terms(
        log_likelihood, x, mean, log_var, samples=samples, seed=seed, chunk=chunk
    )
    for k, (log_p, log_ratio) in enumerate(terms, start=1):
        log_sum = np.logaddexp(log_sum, log_p + log_ratio)
        if progress:
            progress(k)
    return math.log(samples) - log_sum


def importance_terms(
    log_likelihood: LogLikelihood,
    x: np.ndarray,
    mean: np.ndarray,
    log_var: np.ndarray,
    *,
    samples: int,
    seed: int,
    chunk: int = CHUNK,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw z_k ~ q(z|x) for every x, and yield the terms of its importance weight.

    Args:
        log_likelihood, x, mean, log_var, samples, seed, chunk: see `iwae_bound`.

    Yields:
        For each k, log p(x|z_k) and log p(z_k) - log q(z_k|x), float64 (N,), nats.
    """

    def terms(x, mean, log_var, noise):
        z = equations.reparameterize(mean, log_var, noise)
        # Both densities have the factor (2 pi)^(-J/2), and (z - mean) / sigma is the noise.
        log_ratio = 0.5 * tf.reduce_sum(noise**2 + log_var - z**2, axis=1)
        return [tf.cast(each, tf.float64) for each in (log_likelihood(x, z), log_ratio)]

    arrays = (x, mean, log_var)
    # One trace for chunks of any size.
    shapes = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in (*arrays, mean)]
    traced: Any = tf.function(terms).get_concrete_function(*shapes)
    parts = [slice(start, start + chunk) for start in range(0, len(x), chunk)]
    chunks = [[tf.constant(each[part]) for each in arrays] for part in parts]
    for k in range(samples):
        # Drawn for all images at once, so that the draws do not depend on `chunk`.
        noise = tf.random.stateless_normal(mean.shape, (seed, k), dtype=mean.dtype)
        found = [traced(*each, noise[part]) for each, part in zip(chunks, parts, strict=True)]
        log_p, log_ratio = (np.concatenate(part) for part in zip(*found, strict=True))
        yield log_p, log_ratio


def binarized(images: np.ndarray, binarization: str, seed: int) -> np.ndarray:
    """Binarize uint8 images (N, H, W, C) to 0 or 255; unchanged under "none"."""
    if binarization == "none":
        return images
    random = np.random.default_rng(seed)
    result = np.empty_like(images)
    for start in range(0, len(images), latents.BATCH):
        part = slice(start, start + latents.BATCH)
        x = _scaled(images[part])
        threshold = random.random(x.shape, np.float32) if binarization == "stochastic" else 0.5
        result[part] = 255 * np.asarray(equations.binarize(x, threshold))
    return result


def _encode(model, x):
    """Mean and log-variance of q(z|x), float64 (N, J), of uint8 (N, H, W, C)."""
    parts = [
        model.encode(_scaled(x[start : start + latents.BATCH]))
        for start in range(0, len(x), latents.BATCH)
    ]
    return [np.concatenate(part).astype(np.float64) for part in zip(*parts, strict=True)]


def _scaled(x):
    return tf.cast(x, tf.float32) / 255.0


def _check(model, images, binarization, importance_samples, bound_images):
    if binarization not in BINARIZATIONS:
        listed = ", ".join(BINARIZATIONS)
        raise InputError(f"`binarize` must be one of {listed}, not {binarization}")
    for name, value in (
        ("the number of images", len(images)),
        ("`importance_samples`", importance_samples),
        ("`bound_images`", bound_images),
    ):
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if images.dtype != np.uint8 or images.shape[1:] != tuple(model.image_shape):
        raise InputError(
            f"the model needs uint8 images of shape {tuple(model.image_shape)},"
            f" not {images.dtype} of {images.shape[1:]}"
        )
