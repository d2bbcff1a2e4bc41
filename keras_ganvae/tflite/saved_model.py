"""Writing a SavedModel: the signatures under their own names, over one set of weights."""

import tensorflow as tf

from keras_ganvae.tflite.functions import Exported
from keras_ganvae.tflite.quiet import quietly

# The converter drops the others where an endpoint is named `serve`: there is none.
NAMES = ("decode", "sample", "encode", "reconstruct")


def write(module: Exported, folder, names=NAMES):
    """Write the signatures of `names` that the model has to a SavedModel folder.

    Raises:
        InputError: it can't be written.
    """
    holder = tf.Module()
    holder.weights = module.variables
    signatures = {name: module.functions[name] for name in names if name in module.functions}
    with quietly("write the SavedModel"):
        tf.saved_model.save(holder, str(folder), signatures=signatures)
