"""What a comparison shows of each model: the panels of the paper's figures and the latent space."""

import base64
import io

import numpy as np
from PIL import Image

from keras_ganvae.models import latents
from keras_ganvae.plots import images
from keras_ganvae.plots.latent_paths import traversals, walks

PANEL = 64  # images of a grid, 8 by 8
COLUMNS = 8
WALKS, STEPS = 5, 10
DIMENSIONS = 6
FIXED_SEED, FRESH_SEED = 0, 1  # the paper watched the same latents through training


def of_run(run, model, test_images) -> dict:
    """Name -> grid of images as uint8 (H, W, C), 2 pixels between images.

    From N(0, I), as in the paper, and for VAEs from the mixture too.

    Args:
        test_images: uint8 (N, H, W, C); the first of them are reconstructed.
    """
    normal = run.prior("normal")

    def decoded(z):
        return images.to_uint8(latents.decode(model, z.reshape(-1, normal.latent_dim)))

    found = {
        "fixed": images.grid(decoded(normal.sample(PANEL, FIXED_SEED)), COLUMNS),
        "fresh": images.grid(decoded(normal.sample(PANEL, FRESH_SEED)), COLUMNS),
        "walks": images.grid(decoded(walks(normal, WALKS, STEPS, FRESH_SEED)), STEPS),
        "traversals": images.grid(
            decoded(traversals(model, normal, DIMENSIONS, STEPS, FRESH_SEED)[1]), STEPS
        ),
    }
    if run.is_variational:
        originals = test_images[:PANEL]
        mean, _ = latents.encode(model, originals, run.config.seed)
        found |= {
            "originals": images.grid(originals, COLUMNS),
            "reconstructions": images.grid(decoded(mean), COLUMNS),
            "mixture": images.grid(
                decoded(run.prior("mixture").sample(PANEL, FRESH_SEED)), COLUMNS
            ),
        }
    return found


def data_uri(picture) -> str:
    """A uint8 picture (H, W, C) as a PNG inside a URI."""
    file = io.BytesIO()
    Image.fromarray(np.squeeze(picture)).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
