"""Building blocks that the architectures share and Keras lacks."""

import keras
import tensorflow as tf
from keras import layers, ops

from keras_ganvae.distributed.batch import ALGORITHM, next_seed
from keras_ganvae.errors import InputError


@keras.saving.register_keras_serializable("keras_ganvae")
class DepthToSpace(layers.Layer):
    """Sub-pixel upsampling: (B, H, W, 4 C) -> (B, 2 H, 2 W, C).

    A convolution at half the resolution followed by this layer costs a quarter of the same
    convolution at full resolution, and produces none of the checkerboard artefacts of strided
    transposed convolutions (Shi et al. 2016, "Real-Time Single Image and Video
    Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network").
    """

    def call(self, inputs):
        return ops.depth_to_space(inputs, 2)

    def compute_output_shape(self, input_shape):
        batch, height, width, depth = input_shape
        return (batch, height and 2 * height, width and 2 * width, depth // 4)


@keras.saving.register_keras_serializable("keras_ganvae")
class Dropout(layers.Dropout):
    """`keras.layers.Dropout`, dropping the same units, in a form that XLA compiles well."""

    def call(self, inputs, training=False):
        if not training or not self.rate:
            return inputs
        seed = next_seed(self.seed_generator)
        return tf.nn.experimental.stateless_dropout(inputs, self.rate, seed=seed, rng_alg=ALGORITHM)


def network(name: str, input_shape: tuple[int, ...], *stack: layers.Layer) -> keras.Sequential:
    """A built `keras.Sequential` with a fixed input shape.

    Layers are named by their position. Keras's default names count the layers of the process,
    so the same model built twice would be saved under different names.
    """
    for i, layer in enumerate(stack):
        layer.name = f"{i:02d}_{type(layer).__name__}"
    image_or_latent = keras.Input(input_shape, name="input")
    return keras.Sequential([image_or_latent, *stack], name=name)


def to_tanh_range() -> layers.Layer:
    """[0, 1] -> [-1, 1], the first layer of a discriminator."""
    return layers.Rescaling(2.0, offset=-1.0)


def from_tanh_range() -> layers.Layer:
    """[-1, 1] -> [0, 1], the last layer of a generator that ends in tanh."""
    return layers.Rescaling(0.5, offset=0.5)


def quarter(image_shape: tuple[int, int, int], arch: str, least: int = 4) -> tuple[int, int]:
    """(H / 4, W / 4) of images (H, W, C): the size after two stages of stride 2.

    Args:
        image_shape: (H, W, C).
        arch: name of the architecture, for the error.
        least: the smallest side for which the convolutions leave at least one pixel.

    Raises:
        InputError: a side is not a multiple of 4, or smaller than `least`.
    """
    height, width, _ = image_shape
    remedy = "resize with `image_size`, or train gan or vae"
    if height % 4 or width % 4:
        raise InputError(
            f"{arch} needs image sides that are multiples of 4, not {height}x{width}; {remedy}"
        )
    if min(height, width) < least:
        raise InputError(f"{arch} needs sides of {least} or more, not {height}x{width}; {remedy}")
    return height // 4, width // 4
