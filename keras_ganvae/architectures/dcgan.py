"""DCGAN: the generator and the discriminator are convolutional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_ganvae.architectures import ResolvedConfig, gan, lazy_module

if TYPE_CHECKING:
    import keras

    from keras_ganvae.models import AdversarialNetwork

layers = lazy_module("keras.layers")
nn = lazy_module("keras_ganvae.models.layers")

KIND = gan.KIND

PAPER = gan.PAPER | {"latent_dim": 128}

DEFAULT = gan.DEFAULT | {
    # R1 regularizes D better than dropout. Fréchet distance (features of a digit classifier)
    # after two epochs: 36 with R1 at gamma 1, 63 with dropout; after three: 21 at gamma 1, 16
    # at .3.
    "dropout": False,
    "gradient_penalty": 0.3,
    # More steps per epoch matter more than larger batches: after one epoch the distance was
    # 72, and 119 and 193 at batch sizes of 64 and 128.
    "batch_size": 32,
    "epochs": 20,
}

PRESETS = {"default": DEFAULT, "paper": PAPER}

WEIGHTS_PER_PIXEL = {"default": 896, "paper": 512}


def build(config: ResolvedConfig, image_shape: tuple[int, int, int]) -> AdversarialNetwork:
    """Build the model of a resolved config, not compiled."""
    if config.preset == "paper":
        return gan.assemble(config, image_shape, paper_generator, paper_discriminator)
    return gan.assemble(config, image_shape, generator, discriminator)


def generator(image_shape: tuple[int, int, int], latent_dim: int) -> keras.Model:
    """z (B, J) -> images (B, H, W, C) in [0, 1].

    Two dense layers give the digit its global structure, for which the paper's single one is
    too little. No convolution runs above half the resolution, where the paper's cost most.
    """
    height, width = nn.quarter(image_shape, "dcgan")
    return nn.network(
        "generator",
        (latent_dim,),
        layers.Dense(128, use_bias=False, kernel_initializer="he_normal"),
        *_normalized(),
        layers.Dense(height * width * 48, use_bias=False, kernel_initializer="he_normal"),
        *_normalized(),
        layers.Reshape((height, width, 48)),  # H/4, W/4, 48
        _conv(64),
        *_normalized(),
        nn.DepthToSpace(),  # H/2, W/2, 16
        _conv(64),
        *_normalized(),
        layers.Conv2D(4 * image_shape[-1], 3, padding="same", activation="tanh"),
        nn.DepthToSpace(),  # H, W, C
        nn.from_tanh_range(),
    )


def _conv(filters):
    return layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")


def _normalized():
    # At Keras's momentum of .99 the statistics lag behind the weights: pale samples.
    return [layers.BatchNormalization(momentum=0.9), layers.ReLU()]


def discriminator(image_shape: tuple[int, int, int], dropout: bool) -> keras.Model:
    """Images (B, H, W, C) in [0, 1] -> logits (B, 1).

    The dense layer sees the digit as a whole: without it G drew good strokes, but no digits.
    """
    nn.quarter(image_shape, "dcgan")

    def activate():
        return [layers.LeakyReLU(0.2), *([nn.Dropout(0.3)] if dropout else [])]

    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Conv2D(32, 4, strides=2, padding="same"),  # H/2, W/2, 32
        *activate(),
        layers.Conv2D(64, 4, strides=2, padding="same"),  # H/4, W/4, 64
        *activate(),
        layers.Flatten(),
        layers.Dense(128),
        *activate(),
        layers.Dense(1),
    )


def paper_generator(image_shape: tuple[int, int, int], latent_dim: int) -> keras.Model:
    """The paper's generator: dense H/4 W/4 256, transposed conv 128, 64, C (3x3).

    With batch norm and LeakyReLU between them.
    """
    height, width = nn.quarter(image_shape, "dcgan")

    def up(filters, strides, **kwargs):
        return layers.Conv2DTranspose(
            filters, 3, strides=strides, padding="same", use_bias=False, **kwargs
        )

    return nn.network(
        "generator",
        (latent_dim,),
        layers.Dense(height * width * 256),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.Reshape((height, width, 256)),  # H/4, W/4, 256
        up(128, 1),  # H/4, W/4, 128
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        up(64, 2),  # H/2, W/2, 64
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        up(image_shape[-1], 2, activation="tanh"),  # H, W, C
        nn.from_tanh_range(),
    )


def paper_discriminator(image_shape: tuple[int, int, int], dropout: bool) -> keras.Model:
    """The paper's discriminator: conv 64 BN, conv 128 (3x3, stride 2, no padding), dense 64, 1."""
    nn.quarter(image_shape, "dcgan", least=8)

    def drop(rate):
        return [nn.Dropout(rate)] if dropout else []

    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Conv2D(64, 3, strides=2),  # (H - 1) // 2, (W - 1) // 2, 64
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        *drop(0.3),
        layers.Conv2D(128, 3, strides=2),  # about H/4, W/4, 128: 6, 6 for 28, 28
        layers.LeakyReLU(),
        *drop(0.2),
        layers.Flatten(),
        layers.Dense(64),
        *drop(0.1),
        layers.Dense(1),
    )
