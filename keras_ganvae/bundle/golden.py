"""Golden numbers: outputs of the Keras model, which `verify` and apps compare with."""

import os

import numpy as np

from keras_ganvae.bundle.latent import component_seeds
from keras_ganvae.files import replacing
from keras_ganvae.models import latents
from keras_ganvae.models.base import GenerativeModel
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite.functions import encoder_input, has_encoder, in_float32
from keras_ganvae.tflite.signatures import GOLDEN_COUNT

LATENTS_SEED = 1
IMAGES_SEED = 2


def make(model: GenerativeModel, prior: NormalPrior | MixturePrior) -> dict[str, np.ndarray]:
    """Inputs and outputs of every signature, computed by the Keras model in float32.

    Returns:
        latents (16, J) and images (16, H, W, C); seeds (16,) int32, seed_latents and
        seed_images. VAEs also: encode_images (16, H, W, C), drawn by the model itself,
        means and log_variances (16, J), and reconstructions. Mixtures also:
        component_seeds (N,) int32, which draw from every component, and component_latents
        (N, J). All are float32 except the seeds; images are in [0, 1].
    """
    model = in_float32(model)
    z = prior.sample(GOLDEN_COUNT, LATENTS_SEED)
    seeds = noise.image_seeds(0, GOLDEN_COUNT)  # 0 to 15
    seed_latents = prior.draw(seeds)
    arrays = {
        "latents": z,
        "images": latents.decode(model, z),
        "seeds": seeds,
        "seed_latents": seed_latents,
        "seed_images": latents.decode(model, seed_latents),
    }
    if has_encoder(model):
        # Rounded to 256 levels, as images in an app are.
        levels = to_uint8(latents.decode(model, prior.sample(GOLDEN_COUNT, IMAGES_SEED)))
        images = levels.astype(np.float32) / 255
        mean, log_variance = map(np.asarray, model.encode(encoder_input(model, images)))
        arrays |= {
            "encode_images": images,
            "means": mean,
            "log_variances": log_variance,
            "reconstructions": latents.decode(model, mean),
        }
    if isinstance(prior, MixturePrior):
        # 16 seeds miss most components. Their latents are enough: the decoder is the same.
        seeds = component_seeds(prior)
        arrays |= {"component_seeds": seeds, "component_latents": prior.draw(seeds)}
    return arrays


def write(path: str | os.PathLike, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed golden.npz."""
    with replacing(path) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # stubs see allow_pickle
