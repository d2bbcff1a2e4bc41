"""Whether a model.keras is the model of its run.

Sizes alone do not tell: a GAN and a DCGAN take the same latents to the same images.
"""

from pathlib import Path
from typing import Any

from keras_ganvae import architectures, runtime
from keras_ganvae.architectures import ResolvedConfig
from keras_ganvae.files import sha256_of

KEY = "model_sha256"  # in config.json; older runs lack it


def check_file(file: Path, recorded: object) -> None:
    """Compare a model.keras with its entry in config.json.

    Raises:
        ValueError: it is another file than training wrote.
    """
    if recorded is not None and sha256_of(file) != recorded:
        raise ValueError("it is not the file that training wrote: its SHA-256 differs")


def check_model(model: Any, config: ResolvedConfig, image_shape: tuple[int, ...]) -> None:
    """Compare a loaded model with a run's settings, as far as its inputs and outputs show.

    Raises:
        ValueError: it is of another kind or size.
    """
    kind = getattr(model, "kind", "other")
    if kind != architectures.kind_of(config.arch):
        raise ValueError(f"it holds no {config.arch}, but a model of kind {kind}")
    if (model.latent_dim, tuple(model.image_shape)) != (config.latent_dim, image_shape):
        raise ValueError("its latents or images have another size than config.json says")


def check_layers(model: Any, config: ResolvedConfig, image_shape: tuple[int, ...]) -> None:
    """Compare the layers of a model with those of a run's architecture, for an older run.

    Of its layers only whether they are convolutions: their number may have been another when
    the run was trained.

    Raises:
        ValueError: it is a model of another architecture.
    """
    module = architectures.load(config.arch)
    with runtime.dtype_policy(config.precision):
        expected = module.build(config, image_shape)
    if type(model) is not type(expected) or _convolutional(model) != _convolutional(expected):
        raise ValueError(f"it holds no {config.arch}, but a model of other layers")


def _convolutional(model):
    """Whether each network has convolutions."""
    return [
        any("Conv" in type(layer).__name__ for layer in network.layers)
        for network in model.networks
    ]
