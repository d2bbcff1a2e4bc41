"""DCGAN: a convolutional generator and discriminator."""

from keras_ganvae.architectures import gan, lazy_module

layers = lazy_module("keras.layers")
nn = lazy_module("keras_ganvae.models.layers")

KIND = "adversarial"

PAPER = gan.PAPER | {"latent_dim": 128}

DEFAULT = gan.DEFAULT | {
    # A smooth D teaches more than one that dropout holds back. The Fréchet distance of a digit
    # classifier's features was 36 after two epochs with a penalty of weight 1, 63 with
    # dropout; after three 21 at weight 1, 16 at .3.
    "dropout": False,
    "gradient_penalty": 0.3,
    # Steps count for more than images in them: it was 72 after the first epoch, but 119 and
    # 193 with 64 and 128 images in a step.
    "batch_size": 32,
    "epochs": 20,
}

PRESETS = {"default": DEFAULT, "paper": PAPER}


def build(config, image_shape):
    if config.preset == "paper":
        return gan.assemble(config, image_shape, paper_generator, paper_discriminator)
    return gan.assemble(config, image_shape, generator, discriminator)


def generator(image_shape, latent_dim):
    """z (B, J) -> images (B, H, W, C) in [0, 1].

    Two dense layers compose the digit as a whole, which the paper's single one can't;
    nothing is computed above half the resolution, where its convolutions cost most.
    """
    height, width = nn.quarter(image_shape, "dcgan")
    return nn.network(
        "generator",
        (latent_dim,),
        layers.Dense(128, use_bias=False, kernel_initializer="he_normal"),
        *_normalise(),
        layers.Dense(height * width * 48, use_bias=False, kernel_initializer="he_normal"),
        *_normalise(),
        layers.Reshape((height, width, 48)),
        _conv(64),
        *_normalise(),
        nn.DepthToSpace(),  # H/2, W/2, 16
        _conv(64),
        *_normalise(),
        layers.Conv2D(4 * image_shape[-1], 3, padding="same", activation="tanh"),
        nn.DepthToSpace(),  # H, W, C
        nn.from_tanh_range(),
    )


def _conv(filters):
    return layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")


def _normalise():
    # Momentum .9: at Keras's .99 the statistics trail the weights, and samples pale.
    return [layers.BatchNormalization(momentum=0.9), layers.ReLU()]


def discriminator(image_shape, dropout):
    """Images (B, H, W, C) in [0, 1] -> logits (B, 1).

    The dense layer judges the digit as a whole: without it strokes were right and digits
    were not.
    """
    nn.quarter(image_shape, "dcgan")

    def activate():
        return [layers.LeakyReLU(0.2), *([layers.Dropout(0.3)] if dropout else [])]

    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Conv2D(32, 4, strides=2, padding="same"),  # H/2, W/2
        *activate(),
        layers.Conv2D(64, 4, strides=2, padding="same"),  # H/4, W/4
        *activate(),
        layers.Flatten(),
        layers.Dense(128),
        *activate(),
        layers.Dense(1),
    )


def paper_generator(image_shape, latent_dim):
    """The paper's: dense H/4 W/4 256, convT 128, 64 and C (3x3), BN and LeakyReLU between."""
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
        layers.Reshape((height, width, 256)),
        up(128, 1),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        up(64, 2),  # H/2, W/2
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        up(image_shape[-1], 2, activation="tanh"),  # H, W
        nn.from_tanh_range(),
    )


def paper_discriminator(image_shape, dropout):
    """The paper's: conv 64 BN, conv 128 (3x3, stride 2, valid), dense 64, dense 1."""
    nn.quarter(image_shape, "dcgan", least=8)

    def drop(rate):
        return [layers.Dropout(rate)] if dropout else []

    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Conv2D(64, 3, strides=2),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        *drop(0.3),
        layers.Conv2D(128, 3, strides=2),
        layers.LeakyReLU(),
        *drop(0.2),
        layers.Flatten(),
        layers.Dense(64),
        *drop(0.1),
        layers.Dense(1),
    )
