"""The signatures of `tflite/signatures.py` as TensorFlow functions with static shapes."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from keras_ganvae import equations
from keras_ganvae.models import DepthToSpace
from keras_ganvae.models.base import GenerativeModel
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.tflite import random as noise
from keras_ganvae.tflite.signatures import DECODE_BATCH, SIGNATURES, Signature


@dataclass(frozen=True)
class ExportedModel:
    """A trained model and its prior, with its signatures as functions that compute in float32.

    variables: the weights that the functions read.
    """

    model: GenerativeModel
    prior: NormalPrior | MixturePrior
    functions: dict[str, Any]
    variables: list


def exported(model: GenerativeModel, prior: NormalPrior | MixturePrior) -> ExportedModel:
    """Make the signatures of a trained model, which stays unchanged.

    Args:
        prior: distribution that `sample` draws from.
    """
    copy = in_float32(model)
    decode = image_network(copy)

    def sample(seed):
        latent = noise.draw(prior, seed)
        return {"image": decode(latent), "latent": latent}

    def encode(image):
        mean, log_variance = copy.encode(encoder_input(model, image))
        return {"mean": mean, "log_variance": log_variance}

    def reconstruct(image):
        mean, _ = copy.encode(encoder_input(model, image))
        return {"reconstruction": decode(mean)}

    calls = {
        "decode": _decoding(decode),
        f"decode_{DECODE_BATCH}": _decoding(decode),
        "sample": sample,
        "encode": encode,
        "reconstruct": reconstruct,
    }
    functions = {
        name: function(calls[name], each, model)
        for name, each in SIGNATURES.items()
        if has_encoder(model) or not each.needs_encoder
    }
    return ExportedModel(model, prior, functions, _variables(copy))


def for_int8(exported: ExportedModel) -> ExportedModel:
    """`decode` alone, its logits bounded below by -8, where a pixel is black to 8 bits.

    The logits of a background reach -100 and less. With 255 steps over such a range the
    images of a vae had a PSNR of 38 dB to float32's; with the bound, 44 dB.
    """
    copy = in_float32(exported.model)
    call = _decoding(image_network(copy, min_logit=-8.0))
    functions = {"decode": function(call, SIGNATURES["decode"], copy)}
    return ExportedModel(exported.model, exported.prior, functions, _variables(copy))


def has_encoder(model: GenerativeModel) -> bool:
    """Whether the model has an encoder, and the signatures that need one."""
    return model.kind == "variational"


def image_decoder(model: GenerativeModel) -> keras.Model:
    """The network that makes images from latents: the decoder of a VAE, the generator of a
    GAN, with its EMA weights if there are any."""
    return model.decoder if has_encoder(model) else model.sampling_generator


def in_float32(model: GenerativeModel) -> GenerativeModel:
    """A copy of the model that computes in float32, whatever its precision."""
    copy = type(model).from_config(_float32(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def encoder_input(model: GenerativeModel, images: Any) -> Any:
    """Images in [0, 1] as the encoder of a VAE takes them: rounded if it trained on 0 and 1."""
    return images if model.binarization == "none" else equations.binarize(images, 0.5)


def image_network(model: GenerativeModel, min_logit: float | None = None) -> Callable[[Any], Any]:
    """z (B, J) -> images (B, H, W, C) in [0, 1]: `model.decode` in operators that suit a phone.

    Changes the layers of `model`: pass a copy.

    Args:
        min_logit: lower bound of the pixels' logits; None for none.
    """
    network = image_decoder(model)
    for layer in network.layers:
        if _is_transposed(layer) and layer.activation is keras.activations.relu:
            layer.activation = _unfused_relu
    ending = _up_to_logits(model, network.layers)
    if ending is None:
        return model.decode
    stack, factor = ending
    head = _last_with_weights(stack)
    relu = _unfused_relu if _is_transposed(head) else tf.nn.relu

    def pixels(x):
        logits = factor * x
        if min_logit is not None:
            # An addition, unlike a subtraction, folds into the bias of the layer.
            logits = relu(logits + -min_logit) + min_logit
        return tf.sigmoid(logits)

    head.activation = pixels
    return lambda latents: functools.reduce(lambda x, layer: layer(x), stack, latents)


def function(call: Callable, signature: Signature, model: GenerativeModel) -> Any:
    """A `tf.function` with the static shapes of a signature."""
    name, spec = signature.input
    shape = spec.shape(signature.batch, model.latent_dim, model.image_shape)
    tensor = tf.TensorSpec(shape, tf.dtypes.as_dtype(spec.dtype), name=name)
    return tf.function(call, input_signature=[tensor])


def _decoding(decode):
    return lambda latent: {"image": decode(latent)}


def _up_to_logits(model, stack):
    """(layers, factor): factor times the output of the last layer with weights is the logits.

    (tanh(l) + 1) / 2 = sigmoid(2 l), with fewer operators and finer steps in int8. Returns
    None if the network ends in another way than this package's own.
    """
    head, activation = _last_with_weights(stack), keras.activations.linear
    if has_encoder(model):
        factor = model.contrast
    else:
        *stack, last = stack
        if not isinstance(last, keras.layers.Rescaling) or (last.scale, last.offset) != (0.5, 0.5):
            return None
        activation, factor = keras.activations.tanh, 2.0
    after = stack[stack.index(head) + 1 :]
    reshapes = all(isinstance(layer, keras.layers.Reshape | DepthToSpace) for layer in after)
    return (stack, factor) if reshapes and head.activation is activation else None


def _last_with_weights(stack):
    return [layer for layer in stack if hasattr(layer, "kernel")][-1]


def _is_transposed(layer):
    return isinstance(layer, keras.layers.Conv2DTranspose)


def _unfused_relu(x):
    """A ReLU as a separate operator: a leaky ReLU without a leak.

    The converter would fuse a plain ReLU into a TRANSPOSE_CONV of version 4, which GPU
    delegates refuse.
    """
    return tf.nn.leaky_relu(x, alpha=0.0)


def _variables(model):
    networks = [image_decoder(model), *([model.encoder] if has_encoder(model) else [])]
    return [weight.value for network in networks for weight in network.weights]


def _float32(config):
    """A serialized Keras object with every dtype policy set to float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return config | {"config": {"name": "float32"}}
        return {key: _float32(value) for key, value in config.items()}
    return [_float32(each) for each in config] if isinstance(config, list) else config
