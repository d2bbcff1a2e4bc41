"""Convert to TFLite with built-in operators only: the portable variants, and the sampler."""

import math
import tempfile
from typing import Any

import keras
import tensorflow as tf

from keras_ganvae.tflite import saved_model
from keras_ganvae.tflite.functions import ExportedModel, for_int8, image_decoder
from keras_ganvae.tflite.quiet import quietly
from keras_ganvae.tflite.signatures import PORTABLE, SAMPLER, in_file

CALIBRATION = 1000  # latents that calibrate the ranges of int8
CALIBRATION_SEED = 1


def convert(exported: ExportedModel, quantization: str) -> bytes:
    """Convert the portable model, whose only signature is `decode`.

    Args:
        quantization: "float32"; "float16": weights rounded; "dynamic_int8": int8 weights,
            float activations; "int8": int8 weights and activations between float32 input
            and output, calibrated with latents from the prior.

    Raises:
        InputError: TensorFlow can't convert the model.
    """
    exported = for_int8(exported) if quantization == "int8" else exported
    return _convert(exported, in_file(PORTABLE), quantization)


def convert_sampler(exported: ExportedModel, quantization: str = "float32") -> bytes:
    """Convert all signatures over one set of weights, "float32" or "float16".

    Raises:
        InputError: TensorFlow can't convert the model.
    """
    names = [name for name in in_file(SAMPLER) if name in exported.functions]
    return _convert(exported, names, quantization)


def _convert(exported, names, quantization):
    with tempfile.TemporaryDirectory() as folder:
        saved_model.save(exported, folder, names)
        with quietly("convert the model to TFLite"):
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=names)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            QUANTIZATIONS[quantization](converter, exported)
            return converter.convert()


def _float32(converter: Any, exported: ExportedModel) -> None:
    pass


def _float16(converter: Any, exported: ExportedModel) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic_int8(converter: Any, exported: ExportedModel) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # TensorFlow has no public name for it.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = (
        _has_narrow_dense_layers(exported)
    )


def _int8(converter: Any, exported: ExportedModel) -> None:
    _dynamic_int8(converter, exported)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    latents = exported.prior.sample(CALIBRATION, CALIBRATION_SEED)
    (name,) = in_file(PORTABLE)
    converter.representative_dataset = lambda: (
        (name, {"latent": latent[None]}) for latent in latents
    )


def _has_narrow_dense_layers(exported):
    """Whether dense layers have so few inputs that per-channel scales would not pay.

    Scale and zero point of an output, for weight and bias, take 24 bytes in the file. With
    the 24 latents of a cvae they doubled the dense layer for about 1 dB.
    """
    layers = image_decoder(exported.model).layers
    kernels = [layer.kernel for layer in layers if isinstance(layer, keras.layers.Dense)]
    scales = sum(24 * kernel.shape[1] for kernel in kernels)
    return scales > sum(math.prod(kernel.shape) for kernel in kernels) / 2


QUANTIZATIONS = {
    "float32": _float32,
    "float16": _float16,
    "dynamic_int8": _dynamic_int8,
    "int8": _int8,
}
