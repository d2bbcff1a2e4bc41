"""The memory that a forward pass takes."""

import math
from typing import Any

import keras

from keras_ganvae.data.resources import FLOAT


def bytes_per_image(model: Any) -> int:
    """Bytes that a forward pass takes for each image, at least.

    That is the input and the output of the layer that has the most of both: Keras keeps no
    more of them than it needs.

    Args:
        model: a `GenerativeModel`; in mixed precision it takes half.
    """
    layers = (layer for network in model.networks for layer in network.layers)
    return max((FLOAT * (_size(each.input) + _size(each.output)) for each in layers), default=0)


def _size(tensors):
    """Numbers per image in one tensor or several."""
    return sum(math.prod(tensor.shape[1:]) for tensor in keras.tree.flatten(tensors))
