"""VAE: the encoder and the decoder are multilayer perceptrons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from keras_ganvae.architectures import ResolvedConfig, lazy_module

if TYPE_CHECKING:
    import keras

    from keras_ganvae.models import VariationalAutoencoder

layers = lazy_module("keras.layers")
models = lazy_module("keras_ganvae.models")
nn = lazy_module("keras_ganvae.models.layers")

KIND = "variational"

PAPER = {
    "latent_dim": 3,
    "batch_size": 64,
    "epochs": 200,
    "learning_rate": 1e-4,
    "optimizer": "adam",
    "beta_1": 0.9,
    "schedule": "constant",
    "beta": 1.0,
    "binarize": "threshold",
    "sampling_prior": "normal",
    "match_contrast": False,
}

DEFAULT = PAPER | {
    # Three dimensions encode about 10 nats per image; digits need about 25. Of 32 dimensions
    # only 17 were active, and each makes the mixture prior of an app larger.
    "latent_dim": 20,
    # Larger batches use the cores better; the higher rate makes up for fewer steps.
    "batch_size": 128,
    "learning_rate": 1e-3,
    # Small last steps average out the noise of the gradients.
    "schedule": "cosine",
    # Under half of the paper's; the validation loss has levelled off by then.
    "epochs": 80,
    # The protocol of the literature, and a regularizer. Colour images are not binarized (see
    # training/setup.py).
    "binarize": "stochastic",
    # The aggregate posterior is not N(0, I).
    "sampling_prior": "mixture",
    # The mean of p(x|z) has less contrast than samples of x.
    "match_contrast": True,
}

PRESETS = {"default": DEFAULT, "paper": PAPER}

WEIGHTS_PER_PIXEL = {"default": 640, "paper": 512}

# Widths of the encoder's hidden layers, reversed in the decoder, and their activation. Where the
# paper has one layer, two learn strokes, then digits. 512 units instead of 320 reached the same
# 94.4 nats per image in fewer epochs, for a download 1.6 times as large.
HIDDEN: dict[str, tuple[list[int], str]] = {
    "paper": ([256], "tanh"),
    "default": ([320, 256], "relu"),
}


def build(config: ResolvedConfig, image_shape: tuple[int, int, int]) -> VariationalAutoencoder:
    """Build the model of a resolved config, not compiled."""
    widths, activation = HIDDEN[config.preset]
    return assemble(
        config,
        encoder(image_shape, config.latent_dim, widths, activation),
        decoder(image_shape, config.latent_dim, widths, activation),
    )


def assemble(
    config: ResolvedConfig, encoder: keras.Model, decoder: keras.Model
) -> VariationalAutoencoder:
    """Build a VAE from its two networks and the settings that all VAEs share."""
    return models.VariationalAutoencoder(
        encoder,
        decoder,
        beta=config.beta,
        binarization=config.binarize,
        seed=config.seed,
    )


def encoder(
    image_shape: tuple[int, int, int], latent_dim: int, widths: list[int], activation: str
) -> keras.Model:
    """Pixels (B, H, W, C) -> mean and log-variance of q(z|x), (B, 2 J)."""
    return nn.network(
        "encoder",
        image_shape,
        layers.Flatten(),  # H W C
        *[layers.Dense(width, activation=activation) for width in widths],
        layers.Dense(2 * latent_dim),
    )


def decoder(
    image_shape: tuple[int, int, int], latent_dim: int, widths: list[int], activation: str
) -> keras.Model:
    """z (B, J) -> logits (B, H, W, C) of p(x|z)."""
    return nn.network(
        "decoder",
        (latent_dim,),
        *[layers.Dense(width, activation=activation) for width in reversed(widths)],
        layers.Dense(math.prod(image_shape)),
        layers.Reshape(image_shape),  # H, W, C
    )
