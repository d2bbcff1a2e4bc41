"""The pictures of each model in a comparison: the paper's figures and the latent space."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from keras_ganvae.data.lazy_images import Images
from keras_ganvae.models import latents
from keras_ganvae.plots import images
from keras_ganvae.plots.latent_paths import traversals, walks
from keras_ganvae.runs.run import Run

PANEL = 64  # images of a grid, 8 by 8
COLUMNS = 8
WALKS, STEPS = 5, 10
DIMENSIONS = 6
FIXED_SEED, FRESH_SEED = 0, 1  # the fixed latents are those that the paper watched in training


def of_run(run: Run, model: Any, test_images: Images) -> dict[str, str]:
    """Image grids as data URIs, by name.

    Samples come from N(0, I), as in the paper, and for VAEs from the mixture too.

    Args:
        run: the run that `model` comes from.
        model: its trained model.
        test_images: uint8 (N, H, W, C); the first of them are reconstructed.
    """
    normal = run.prior("normal")

    def decoded(z):
        return images.to_uint8(latents.decode(model, z.reshape(-1, normal.latent_dim)))

    grids = {
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
        mixture = run.prior("mixture").sample(PANEL, FRESH_SEED)
        grids |= {
            "originals": images.grid(originals, COLUMNS),
            "reconstructions": images.grid(decoded(mean), COLUMNS),
            "mixture": images.grid(decoded(mixture), COLUMNS),
        }
    return {name: data_uri(grid) for name, grid in grids.items()}


def data_uri(picture: np.ndarray) -> str:
    """A uint8 picture (H, W, C) as a PNG in a data URI."""
    file = io.BytesIO()
    Image.fromarray(np.squeeze(picture)).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
