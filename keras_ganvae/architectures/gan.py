"""GAN: the generator and the discriminator are multilayer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_ganvae.architectures import ResolvedConfig, lazy_module

if TYPE_CHECKING:
    import keras

    from keras_ganvae.models import AdversarialNetwork

initializers = lazy_module("keras.initializers")
layers = lazy_module("keras.layers")
models = lazy_module("keras_ganvae.models")
nn = lazy_module("keras_ganvae.models.layers")

KIND = "adversarial"

PAPER = {
    "latent_dim": 100,
    "batch_size": 128,
    "epochs": 200,
    "learning_rate": 2e-4,
    "optimizer": "adam",
    "beta_1": 0.9,
    "schedule": "constant",
    "generator_loss": "non_saturating",
    "dropout": True,
    "gradient_penalty": 0.0,
    "average_decay": 0.0,
}

DEFAULT = PAPER | {
    # Enough for ten digits and their styles, with fewer weights to download to a phone.
    "latent_dim": 64,
    # Radford et al. 2016 (DCGAN): training oscillates at 0.9.
    "beta_1": 0.5,
    # Stable, as dropout slows D down, and saves epochs.
    "learning_rate": 1e-3,
    # GAN training oscillates instead of converging; the EMA gives cleaner samples.
    "average_decay": 0.999,
    # Small last steps dampen the oscillation.
    "schedule": "cosine",
    # Half of the paper's.
    "epochs": 100,
}

PRESETS = {"default": DEFAULT, "paper": PAPER}

WEIGHTS_PER_PIXEL = {"default": 608, "paper": 1024}


def build(config: ResolvedConfig, image_shape: tuple[int, int, int]) -> AdversarialNetwork:
    """Build the model of a resolved config, not compiled."""
    if config.preset == "paper":
        return assemble(config, image_shape, paper_generator, paper_discriminator)
    return assemble(config, image_shape, generator, discriminator)


def assemble(
    config: ResolvedConfig,
    image_shape: tuple[int, int, int],
    make_generator: Callable[[tuple[int, int, int], int], keras.Model],
    make_discriminator: Callable[[tuple[int, int, int], bool], keras.Model],
) -> AdversarialNetwork:
    """Build a GAN from its two networks and the settings that all GANs share."""
    return models.AdversarialNetwork(
        make_generator(image_shape, config.latent_dim),
        make_discriminator(image_shape, config.dropout),
        generator_loss=config.generator_loss,
        # None in runs that are older than the setting.
        gradient_penalty=config.gradient_penalty or 0.0,
        average_decay=config.average_decay,
        seed=config.seed,
    )


def generator(image_shape: tuple[int, int, int], latent_dim: int) -> keras.Model:
    """z (B, J) -> images (B, H, W, C) in [0, 1].

    The last hidden layer is narrow: a combination of 96 patterns has none of the isolated
    wrong pixels that one of 512 has. Without batch norm, one digit made up a third of the
    samples of a trial.
    """
    hidden = []
    for width in (256, 320, 96):
        hidden += [
            layers.Dense(width, use_bias=False, kernel_initializer="he_normal"),
            # At Keras's momentum of .99 the statistics lag behind the weights: pale samples.
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    # Most pixels are background, near -1: start there, not at grey.
    dark = initializers.Constant(-2.0)
    return nn.network(
        "generator",
        (latent_dim,),
        *hidden,
        layers.Dense(math.prod(image_shape), activation="tanh", bias_initializer=dark),
        layers.Reshape(image_shape),  # H, W, C
        nn.from_tanh_range(),
    )


def discriminator(image_shape: tuple[int, int, int], dropout: bool) -> keras.Model:
    """Images (B, H, W, C) in [0, 1] -> logits (B, 1).

    Two hidden layers instead of the paper's four, and more dropout: a D that memorizes the
    training images gives G nothing to learn from.
    """
    hidden = []
    for width in (512, 256):
        hidden += [layers.Dense(width), layers.LeakyReLU(0.2)]
        hidden += [nn.Dropout(0.4)] if dropout else []
    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Flatten(),  # H W C
        *hidden,
        layers.Dense(1),
    )


def paper_generator(image_shape: tuple[int, int, int], latent_dim: int) -> keras.Model:
    """The paper's generator: dense 128, 256, 512 ReLU, dense H W C tanh."""
    return nn.network(
        "generator",
        (latent_dim,),
        *[layers.Dense(width, activation="relu") for width in (128, 256, 512)],
        layers.Dense(math.prod(image_shape), activation="tanh"),
        layers.Reshape(image_shape),  # H, W, C
        nn.from_tanh_range(),
    )


def paper_discriminator(image_shape: tuple[int, int, int], dropout: bool) -> keras.Model:
    """The paper's discriminator: dense 512, 512, 256, 128, 1; dropout .3, .3, .2 before ReLU."""
    hidden = []
    for width, rate in ((512, 0.3), (512, 0.3), (256, 0.2)):
        hidden += [layers.Dense(width)]
        hidden += [nn.Dropout(rate)] if dropout else []
        hidden += [layers.ReLU()]
    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Flatten(),  # H W C
        *hidden,
        layers.Dense(128, activation="relu"),
        layers.Dense(1),
    )
