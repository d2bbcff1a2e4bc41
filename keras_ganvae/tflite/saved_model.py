"""Write a SavedModel: several signatures over one set of weights."""

import os
from collections.abc import Iterable

import tensorflow as tf

from keras_ganvae.tflite.functions import ExportedModel
from keras_ganvae.tflite.quiet import quietly


def write(exported: ExportedModel, folder: str | os.PathLike, names: Iterable[str]) -> None:
    """Write the signatures `names` of a model to a SavedModel folder.

    Raises:
        InputError: TensorFlow can't write it.
        OSError: the disk is full.
    """
    holder = tf.Module()
    holder.weights = exported.variables
    signatures = {name: exported.functions[name] for name in names}
    with quietly("write the SavedModel"):
        tf.saved_model.save(holder, str(folder), signatures=signatures)
