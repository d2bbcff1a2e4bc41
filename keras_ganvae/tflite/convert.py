"""Conversion to TFLite with built-in operators only, in four variants and a sampler."""

import math
import tempfile

import keras
import tensorflow as tf

from keras_ganvae.tflite import saved_model
from keras_ganvae.tflite.functions import Exported, for_int8, painter
from keras_ganvae.tflite.quiet import quietly

CALIBRATION = 1000  # latents that fix the ranges of full int8
CALIBRATION_SEED = 1


def convert(module: Exported, variant: str) -> bytes:
    """The portable model, `decode` alone.

    Args:
        variant: "float32"; "float16", weights rounded; "dynamic_int8", weights in int8
            and activations float; "int8", both in int8 between float32 ends, with ranges
            from latents of the module's prior.

    Raises:
        InputError: TensorFlow can't convert the model.
    """
    module = for_int8(module) if variant == "int8" else module
    return _convert(module, ["decode"], SETTINGS[variant])


def convert_sampler(module: Exported, weights="float32") -> bytes:
    """All signatures in one file, over one set of weights, "float32" or "float16".

    Raises:
        InputError: TensorFlow can't convert the model.
    """
    return _convert(module, list(module.functions), SETTINGS[weights])


def _convert(module, names, settle):
    with tempfile.TemporaryDirectory() as folder:
        saved_model.write(module, folder, names)
        with quietly("convert the model to TFLite"):
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=names)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            settle(converter, module)
            return converter.convert()


def _float32(converter, module):
    pass


def _float16(converter, module):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic_int8(converter, module):
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # TensorFlow has no public name for it.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = _narrow(module)


def _int8(converter, module):
    _dynamic_int8(converter, module)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    latents = module.prior.sample(CALIBRATION, CALIBRATION_SEED)
    converter.representative_dataset = lambda: (
        ("decode", {"latent": latent[None]}) for latent in latents
    )


def _narrow(module):
    """Whether the dense layers have so few inputs that each is to have a single scale.

    A scale and a zero point for every output, of weight and bias, take 24 bytes in the
    file. With the 24 latents of a cvae they doubled the dense layer and gained about 1 dB.
    """
    kernels = [layer.kernel for layer in painter(module.model).layers if _is_dense(layer)]
    scales = sum(24 * kernel.shape[1] for kernel in kernels)
    return scales > sum(math.prod(kernel.shape) for kernel in kernels) / 2


def _is_dense(layer):
    return isinstance(layer, keras.layers.Dense)


SETTINGS = {
    "float32": _float32,
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _int8,
}
