"""How probable a VAE finds images: the ELBO, its parts, and a tighter bound on log p(x)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_ganvae import equations
from keras_ganvae.config import BINARIZATIONS
from keras_ganvae.errors import InputError
from keras_ganvae.metrics.estimate import of_mean
from keras_ganvae.models import latents

CHUNK = 200  # images in a decoder's batch


@dataclass(frozen=True)
class Likelihood:
    """What `measure` found, in nats per image, float64.

    binarization: what the pixels were made before the model saw them. Under "none" the
        reconstruction is a cross-entropy, so neither it nor the ELBO is a likelihood.
    reconstruction, kl, negative_elbo: (N,), equations (4), (5) and (3) with beta 1, for
        one draw of z each.
    bound: `importance_bound` of the first images, (M,); None under "none".
    importance_samples: K of the bound.
    kl_per_dimension: (J,), the mean over the images; its sum is the mean of `kl`.
    active_units: dimensions whose posterior mean varies over the images.
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
        """The means over the images for JSON, as {"value", "error"}.

        The errors are of the choice of images and of the draws of z. Besides, the
        expectation of `bound` lies above -log p(x), the less so the larger K is.
        """
        bound = self.bound
        return {
            "binarization": self.binarization,
            "images": len(self.negative_elbo),
            "reconstruction": of_mean(self.reconstruction).to_dict(),
            "kl": of_mean(self.kl).to_dict(),
            "negative_elbo": of_mean(self.negative_elbo).to_dict(),
            "bound": None if bound is None else of_mean(bound).to_dict(),
            # What the bound is to be held against: the other ELBO is of all images.
            "bound_elbo": None
            if bound is None
            else of_mean(self.negative_elbo[: len(bound)]).to_dict(),
            "bound_images": 0 if bound is None else len(bound),
            "importance_samples": self.importance_samples,
            "kl_per_dimension": self.kl_per_dimension.tolist(),
            "active_units": self.active_units,
        }


def measure(
    model,
    images,
    *,
    binarization: str,
    importance_samples: int,
    bound_images: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Likelihood:
    """Measure a `VariationalAutoencoder` on images that it was not trained on.

    Args:
        images: uint8 (N, H, W, C).
        binarization: "stochastic" (one Bernoulli draw of each pixel, fixed by `seed`, that
            everything here sees), "threshold" (rounded) or "none"; whatever the model
            was trained with. Numbers under different ones do not compare.
        importance_samples: K of `importance_bound`.
        bound_images: how many images, from the first, get a bound; all if there are fewer.
        seed: of the binarization and of z, not negative.
        progress: called with the images decoded so far, and in all.

    Raises:
        InputError: an argument is out of range, or the images are not the model's.
    """
    _check(model, images, binarization, importance_samples, bound_images)
    bound_images = min(bound_images, len(images)) if binarization != "none" else 0
    total = len(images) + bound_images * importance_samples
    report = progress or (lambda done, total: None)

    def log_likelihood(x, z):
        return equations.bernoulli_log_likelihood(_scaled(x), model.logits(z))

    x = observe(images, binarization, seed)
    mean, log_var = _encode(model, x)
    log_p, _ = next(draws(log_likelihood, x, mean, log_var, 1, seed))
    report(len(x), total)
    kl = np.asarray(equations.gaussian_kl(mean, log_var))
    bound = None
    if bound_images:
        first = slice(bound_images)
        bound = importance_bound(
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


def importance_bound(
    log_likelihood, x, mean, log_var, *, samples, seed, chunk=CHUNK, progress=None
):
    """-log (1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)), z_k ~ q(z|x), p(z) = N(0, I).

    Burda et al. 2015, "Importance Weighted Autoencoders", equation 8, negated. Its
    expectation falls towards -log p(x) as K grows; it is exact for any K where q(z|x) is
    p(z|x). One sum for each image is all that is kept of the samples.

    Args:
        log_likelihood: (x (B, ...), z (B, J)) -> log p(x|z), (B,), in TensorFlow.
        x: what was observed, (N, ...).
        mean, log_var: of q(z|x), (N, J).
        samples: K.
        seed: of z. Neither `chunk` nor K changes the draws: those of a smaller K are the
            first of a larger one.
        chunk: B, how many of the N are decoded at a time.
        progress: called with k, the samples drawn so far.

    Returns:
        float64 (N,), nats.
    """
    log_sum = np.full(len(x), -np.inf)
    terms = draws(log_likelihood, x, mean, log_var, samples, seed, chunk)
    for k, (log_p, log_ratio) in enumerate(terms, start=1):
        log_sum = np.logaddexp(log_sum, log_p + log_ratio)
        if progress:
            progress(k)
    return math.log(samples) - log_sum


def draws(log_likelihood, x, mean, log_var, samples, seed, chunk=CHUNK):
    """Draw z_k ~ q(z|x) for every x, one k after the other.

    Args:
        See `importance_bound`.

    Yields:
        log p(x|z_k) and log p(z_k) - log q(z_k|x), float64 (N,) each, nats.
    """

    def terms(x, mean, log_var, noise):
        z = equations.reparameterize(mean, log_var, noise)
        # Both densities have the same (2 pi)^(-J/2), and (z - mean) / sigma is the noise.
        log_ratio = 0.5 * tf.reduce_sum(noise**2 + log_var - z**2, axis=1)
        return [tf.cast(each, tf.float64) for each in (log_likelihood(x, z), log_ratio)]

    arrays = (x, mean, log_var)
    # Traced once, for chunks of any size.
    shapes = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in (*arrays, mean)]
    terms = tf.function(terms).get_concrete_function(*shapes)
    parts = [slice(start, start + chunk) for start in range(0, len(x), chunk)]
    chunks = [[tf.constant(each[part]) for each in arrays] for part in parts]
    for k in range(samples):
        # For all images at once, so that the chunks don't decide what is drawn.
        noise = tf.random.stateless_normal(mean.shape, (seed, k), dtype=mean.dtype)
        found = [terms(*each, noise[part]) for each, part in zip(chunks, parts, strict=True)]
        yield tuple(np.concatenate(part) for part in zip(*found, strict=True))


def observe(images, binarization, seed):
    """Images as the likelihood sees them: uint8 (N, H, W, C), 0 or 255 unless "none"."""
    if binarization == "none":
        return images
    random = np.random.default_rng(seed)
    observed = np.empty_like(images)
    for start in range(0, len(images), latents.BATCH):
        part = slice(start, start + latents.BATCH)
        x = _scaled(images[part])
        threshold = random.random(x.shape, np.float32) if binarization == "stochastic" else 0.5
        observed[part] = 255 * np.asarray(equations.binarize(x, threshold))
    return observed


def _encode(model, x):
    """q(z|x) of uint8 (N, H, W, C): mean, log-variance, float64 (N, J) each."""
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
        raise InputError(f"binarization must be one of {listed}, not {binarization}")
    for name, value in (
        ("images", len(images)),
        ("importance_samples", importance_samples),
        ("bound_images", bound_images),
    ):
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value}")
    if images.dtype != np.uint8 or images.shape[1:] != tuple(model.image_shape):
        raise InputError(
            f"the model takes uint8 images of {tuple(model.image_shape)},"
            f" not {images.dtype} of {images.shape[1:]}"
        )
