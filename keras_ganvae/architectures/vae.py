"""VAE: a multilayer perceptron as encoder and decoder."""

import math

from keras_ganvae.architectures import lazy_module

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
    # Three dimensions hold about 10 nats of an image; digits carry about 25. Of 32 only
    # 17 were used, and each unused one costs an app its share of the prior.
    "latent_dim": 20,
    # Larger matrices use the cores better; the higher rate makes up for fewer steps.
    "batch_size": 128,
    "learning_rate": 1e-3,
    # The last steps are small, which a constant rate would need averaging for.
    "schedule": "cosine",
    # Under half of the paper's; the validation loss is level by then.
    "epochs": 80,
    # Fresh draws are the protocol of the literature, and a regulariser. Colour images are
    # not binarized at all (see training/setup.py).
    "binarize": "stochastic",
    # N(0, I) is not where the encoder puts the data.
    "sampling_prior": "mixture",
    # A mean over what x may be is greyer than any x.
    "match_contrast": True,
}

PRESETS = {"default": DEFAULT, "paper": PAPER}

# (hidden widths of the encoder, mirrored in the decoder; their activation).
# Two layers where the paper has one: pixels first become strokes, then a digit. 512 units
# instead of 320, in fewer epochs, reached the same 94.4 nats and were 1.6 times the download.
HIDDEN = {"paper": ([256], "tanh"), "default": ([320, 256], "relu")}


def build(config, image_shape):
    widths, activation = HIDDEN[config.preset]
    return assemble(
        config,
        encoder(image_shape, config.latent_dim, widths, activation),
        decoder(image_shape, config.latent_dim, widths, activation),
    )


def assemble(config, encoder, decoder):
    """The model around two networks, with the settings that any VAE has."""
    return models.VariationalAutoencoder(
        encoder,
        decoder,
        beta=config.beta,
        binarization=config.binarize,
        seed=config.seed,
    )


def encoder(image_shape, latent_dim, widths, activation):
    """Pixels (B, H, W, C) -> mean and log-variance (B, 2 J)."""
    return nn.network(
        "encoder",
        image_shape,
        layers.Flatten(),
        *[layers.Dense(width, activation=activation) for width in widths],
        layers.Dense(2 * latent_dim),
    )


def decoder(image_shape, latent_dim, widths, activation):
    """z (B, J) -> logits (B, H, W, C)."""
    return nn.network(
        "decoder",
        (latent_dim,),
        *[layers.Dense(width, activation=activation) for width in reversed(widths)],
        layers.Dense(math.prod(image_shape)),
        layers.Reshape(image_shape),
    )
