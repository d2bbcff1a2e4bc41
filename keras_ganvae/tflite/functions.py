"""What an exported model can be asked: named TensorFlow functions with static shapes."""

import functools
from dataclasses import dataclass

import keras
import tensorflow as tf

from keras_ganvae import equations
from keras_ganvae.models import DepthToSpace, VariationalAutoencoder
from keras_ganvae.models.base import GenerativeModel
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.tflite import random as noise

MANY = 16  # images that decode_16 makes at once


@dataclass(frozen=True)
class Exported:
    """A trained model, its prior, and its signatures by name, which compute in float32.

    - `decode`: latent (1, J) -> image (1, H, W, C) in [0, 1]; `decode_16`: sixteen of them;
    - `sample`: seed int32 (1,) -> latent (1, J), `prior.draw` of the seed, and its image;
    - VAEs, `encode`: image (1, H, W, C) in [0, 1] -> mean and log_variance of q(z|x), (1, J);
    - VAEs, `reconstruct`: image -> reconstruction (1, H, W, C), decoded from the mean.

    All but the seed are float32. `variables` are the weights that the functions read.
    """

    model: GenerativeModel
    prior: NormalPrior | MixturePrior
    functions: dict
    variables: list


def exported(model, prior) -> Exported:
    """Make the signatures of a trained model; it is not changed.

    Args:
        prior: what `sample` draws from.
    """
    copy = in_float32(model)
    decode = image_network(copy)

    def sample(seed):
        latent = noise.draw(prior, seed)
        return {"image": decode(latent), "latent": latent}

    def encode(image):
        mean, log_variance = copy.encode(seen(model, image))
        return {"mean": mean, "log_variance": log_variance}

    def reconstruct(image):
        mean, _ = copy.encode(seen(model, image))
        return {"reconstruction": decode(mean)}

    functions = {
        "decode": _decode_function(decode, model.latent_dim, 1),
        f"decode_{MANY}": _decode_function(decode, model.latent_dim, MANY),
        "sample": function(sample, "seed", (1,), tf.int32),
    }
    if is_variational(model):
        image = (1, *model.image_shape)
        functions["encode"] = function(encode, "image", image)
        functions["reconstruct"] = function(reconstruct, "image", image)
    return Exported(model, prior, functions, _variables(copy))


def for_int8(module: Exported) -> Exported:
    """`decode` alone, its logits kept from -8 up, where a pixel is black to 8 bits.

    A background's logits reach -100 and more; 255 steps over such a range left a vae's
    images 38 dB from float32's. With the bound it was 44.
    """
    copy = in_float32(module.model)
    decode = image_network(copy, least_logit=-8.0)
    functions = {"decode": _decode_function(decode, copy.latent_dim, 1)}
    return Exported(module.model, module.prior, functions, _variables(copy))


def is_variational(model) -> bool:
    """Whether it has an encoder, and so the signatures that need one."""
    return isinstance(model, VariationalAutoencoder)


def painter(model):
    """The network that images come from: a VAE's decoder, or the generator to sample."""
    return model.decoder if is_variational(model) else model.sampling_generator


def in_float32(model):
    """A copy of the model that computes in float32, whatever it was trained in."""
    copy = type(model).from_config(_float32(model.get_config()))
    copy.set_weights(model.get_weights())
    return copy


def seen(model, images):
    """Images in [0, 1] as a VAE's encoder is to see them: rounded if it was trained on 0 and 1."""
    return images if model.binarization == "none" else equations.binarize(images, 0.5)


def image_network(model, least_logit=None):
    """z (B, J) -> images (B, H, W, C) in [0, 1]: `model.decode` in operators that suit a phone.

    The layers of `model` are changed: pass a copy.

    Args:
        least_logit: the pixels' logits are kept from falling below it; None leaves them.
    """
    network = painter(model)
    for layer in network.layers:
        if _is_transposed(layer) and layer.activation is keras.activations.relu:
            layer.activation = _unfused_relu
    ending = _up_to_logits(model, network.layers)
    if ending is None:
        return model.decode
    stack, factor = ending
    head = _head(stack)
    relu = _unfused_relu if _is_transposed(head) else tf.nn.relu

    def pixels(x):
        logits = factor * x
        if least_logit is not None:
            # Added, not subtracted, it becomes part of the layer's bias.
            logits = relu(logits + -least_logit) + least_logit
        return tf.sigmoid(logits)

    head.activation = pixels
    return lambda latents: functools.reduce(lambda x, layer: layer(x), stack, latents)


def _up_to_logits(model, stack):
    """(layers, factor): factor times what the last one with weights makes is the logits.

    (tanh(l) + 1) / 2 = sigmoid(2 l), for fewer operators and finer steps in int8.
    None where the network ends in another way than this package's own do.
    """
    head, activation = _head(stack), keras.activations.linear
    if is_variational(model):
        factor = model.contrast
    else:
        *stack, last = stack
        if not isinstance(last, keras.layers.Rescaling) or (last.scale, last.offset) != (0.5, 0.5):
            return None
        activation, factor = keras.activations.tanh, 2.0
    behind = stack[stack.index(head) + 1 :]
    moves = all(isinstance(layer, keras.layers.Reshape | DepthToSpace) for layer in behind)
    return (stack, factor) if moves and head.activation is activation else None


def _head(stack):
    return [layer for layer in stack if hasattr(layer, "kernel")][-1]


def _is_transposed(layer):
    return isinstance(layer, keras.layers.Conv2DTranspose)


def _unfused_relu(x):
    """A leaky ReLU without a leak, an operator of its own.

    The converter would fuse a ReLU into a TRANSPOSE_CONV of version 4, which GPU delegates
    refuse.
    """
    return tf.nn.leaky_relu(x, alpha=0.0)


def _variables(model):
    networks = [painter(model), *([model.encoder] if is_variational(model) else [])]
    return [weight.value for network in networks for weight in network.weights]


def _decode_function(decode, latent_dim, count):
    return function(lambda latent: {"image": decode(latent)}, "latent", (count, latent_dim))


def function(call, name, shape, dtype=tf.float32):
    """A TensorFlow function of one named input of a static shape."""
    return tf.function(call, input_signature=[tf.TensorSpec(shape, dtype, name=name)])


def _float32(config):
    """A serialised Keras object with every precision in it replaced."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return config | {"config": {"name": "float32"}}
        return {key: _float32(value) for key, value in config.items()}
    return [_float32(each) for each in config] if isinstance(config, list) else config
