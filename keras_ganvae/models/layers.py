"""Pieces that the architectures share and Keras lacks."""

import keras
from keras import layers, ops

from keras_ganvae.errors import InputError


@keras.saving.register_keras_serializable("keras_ganvae")
class DepthToSpace(layers.Layer):
    """Sub-pixel upsampling: (B, H, W, 4 C) -> (B, 2 H, 2 W, C).

    A convolution at half the resolution followed by this costs a quarter of the same
    convolution at full resolution, and draws no chequerboard as a strided transposed
    convolution may (Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution
    Using an Efficient Sub-Pixel Convolutional Neural Network").
    """

    def call(self, inputs):
        return ops.depth_to_space(inputs, 2)

    def compute_output_shape(self, input_shape):
        batch, height, width, depth = input_shape
        return (batch, height and 2 * height, width and 2 * width, depth // 4)


def network(name, input_shape, *stack):
    """A `keras.Sequential` with a fixed input shape, so that its weights exist at once.

    Layers are named by their place: Keras's own names count what else the process has
    made, and would differ in the file of the same model made twice.
    """
    for i, layer in enumerate(stack):
        layer.name = f"{i:02d}_{type(layer).__name__}"
    return keras.Sequential([keras.Input(input_shape), *stack], name=name)


def to_tanh_range():
    """[0, 1] -> [-1, 1], in front of a discriminator."""
    return layers.Rescaling(2.0, offset=-1.0)


def from_tanh_range():
    """[-1, 1] -> [0, 1], behind a generator's tanh."""
    return layers.Rescaling(0.5, offset=0.5)


def quarter(image_shape, arch, least=4):
    """(H / 4, W / 4) of an image shape (H, W, C).

    Args:
        least: the smallest side that the network's convolutions leave anything of.

    Raises:
        InputError: a side is not a multiple of 4, so two halvings can't be undone, or
            is too small.
    """
    height, width, _ = image_shape
    cure = "resize with --image-size, or train gan or vae"
    if height % 4 or width % 4:
        raise InputError(
            f"{arch} needs image sides that are multiples of 4, not {height}x{width}; {cure}"
        )
    if min(height, width) < least:
        raise InputError(f"{arch} needs sides of {least} or more, not {height}x{width}; {cure}")
    return height // 4, width // 4
