"""Golden numbers: what the Keras model itself makes, for verify's and the app's own tests."""

import numpy as np

from keras_ganvae.files import replacing
from keras_ganvae.models import latents
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite import functions as signatures

COUNT = 16
LATENTS_SEED = 1
IMAGES_SEED = 2


def make(model, prior) -> dict[str, np.ndarray]:
    """Inputs and outputs of every signature, by the Keras model in float32.

    Returns:
        latents (16, J) and images (16, H, W, C); seeds (16,) int32, seed_latents and
        seed_images. VAEs: encode_images (16, H, W, C), which the model drew itself,
        means and log_variances (16, J), and reconstructions. Float32 but for the seeds;
        images are in [0, 1].
    """
    model = signatures.in_float32(model)
    z = prior.sample(COUNT, LATENTS_SEED)
    seeds = noise.image_seeds(0, COUNT)  # 0 to 15
    seed_latents = prior.draw(seeds)
    arrays = {
        "latents": z,
        "images": latents.decode(model, z),
        "seeds": seeds,
        "seed_latents": seed_latents,
        "seed_images": latents.decode(model, seed_latents),
    }
    if signatures.is_variational(model):
        # Of 256 levels, as the images that an app has.
        levels = to_uint8(latents.decode(model, prior.sample(COUNT, IMAGES_SEED)))
        images = levels.astype(np.float32) / 255
        mean, log_variance = map(np.asarray, model.encode(signatures.seen(model, images)))
        arrays |= {
            "encode_images": images,
            "means": mean,
            "log_variances": log_variance,
            "reconstructions": latents.decode(model, mean),
        }
    return arrays


def write(path, arrays):
    """Write `golden.npz`, compressed."""
    with replacing(path) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, **arrays)
