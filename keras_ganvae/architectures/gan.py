"""GAN: a multilayer perceptron as generator and discriminator."""

import math

from keras_ganvae.architectures import lazy_module

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
    # Enough for ten digits and their styles, and fewer weights to send to a phone.
    "latent_dim": 64,
    # Radford et al. 2016: 0.9 makes the two players overshoot one another.
    "beta_1": 0.5,
    # Dropout holds D back, so larger steps only save time.
    "learning_rate": 1e-3,
    # The game circles rather than converges; its moving average is steadier and cleaner.
    "average_decay": 0.999,
    # It ends with small steps, between which the game hardly moves.
    "schedule": "cosine",
    # Half as many as the paper's; an epoch takes a few seconds.
    "epochs": 100,
}

PRESETS = {"default": DEFAULT, "paper": PAPER}


def build(config, image_shape):
    if config.preset == "paper":
        return assemble(config, image_shape, paper_generator, paper_discriminator)
    return assemble(config, image_shape, generator, discriminator)


def assemble(config, image_shape, make_generator, make_discriminator):
    """The model around two networks, with the settings that any GAN has."""
    return models.AdversarialNetwork(
        make_generator(image_shape, config.latent_dim),
        make_discriminator(image_shape, config.dropout),
        generator_loss=config.generator_loss,
        # Runs of before it was a setting have none.
        gradient_penalty=config.gradient_penalty or 0.0,
        average_decay=config.average_decay,
        seed=config.seed,
    )


def generator(image_shape, latent_dim):
    """z (B, J) -> images (B, H, W, C) in [0, 1].

    The last hidden layer is narrow: an image made of 96 patterns can't hold the isolated
    pixels that one of 512 does. Without batch norm a trial drew one digit
    in three images.
    """
    hidden = []
    for width in (256, 320, 96):
        hidden += [
            layers.Dense(width, use_bias=False, kernel_initializer="he_normal"),
            # Momentum .9: at Keras's .99 the statistics trail the weights, and samples pale.
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        ]
    # Most pixels of a drawing are background, near -1: start there, not at grey.
    dark = initializers.Constant(-2.0)
    return nn.network(
        "generator",
        (latent_dim,),
        *hidden,
        layers.Dense(math.prod(image_shape), activation="tanh", bias_initializer=dark),
        layers.Reshape(image_shape),
        nn.from_tanh_range(),
    )


def discriminator(image_shape, dropout):
    """Images (B, H, W, C) in [0, 1] -> logits (B, 1).

    Two hidden layers and more dropout than the paper's four: a D that can't remember the
    images is one that G can learn from.
    """
    hidden = []
    for width in (512, 256):
        hidden += [layers.Dense(width), layers.LeakyReLU(0.2)]
        hidden += [layers.Dropout(0.4)] if dropout else []
    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Flatten(),
        *hidden,
        layers.Dense(1),
    )


def paper_generator(image_shape, latent_dim):
    """The paper's: dense 128, 256, 512 ReLU, dense H W C tanh."""
    return nn.network(
        "generator",
        (latent_dim,),
        *[layers.Dense(width, activation="relu") for width in (128, 256, 512)],
        layers.Dense(math.prod(image_shape), activation="tanh"),
        layers.Reshape(image_shape),
        nn.from_tanh_range(),
    )


def paper_discriminator(image_shape, dropout):
    """The paper's: dense 512, 512, 256, 128, 1; dropout .3, .3, .2 before the ReLUs."""
    hidden = []
    for width, rate in ((512, 0.3), (512, 0.3), (256, 0.2)):
        hidden += [layers.Dense(width)]
        hidden += [layers.Dropout(rate)] if dropout else []
        hidden += [layers.ReLU()]
    return nn.network(
        "discriminator",
        image_shape,
        nn.to_tanh_range(),
        layers.Flatten(),
        *hidden,
        layers.Dense(128, activation="relu"),
        layers.Dense(1),
    )
