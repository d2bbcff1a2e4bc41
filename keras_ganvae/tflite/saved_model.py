"""Write a SavedModel: several signatures over one set of weights."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

from keras_ganvae.tflite.functions import ExportedModel
from keras_ganvae.tflite.quiet import quietly

# TensorFlow's checksums of the model, with a random number. Loading does not need the file.
FINGERPRINT = "fingerprint.pb"
ARGUMENT_NAME = "_user_specified_name"
QUOTED = re.compile(r'"([^"\n]*)"')
TRAILING_NUMBER = re.compile(r"\d+$")


def save(exported: ExportedModel, folder: str | os.PathLike, names: Iterable[str]) -> None:
    """Save the signatures `names` of a model to a SavedModel folder, as TensorFlow does.

    Raises:
        InputError: TensorFlow can't write it.
        OSError: the disk is full.
    """
    holder = tf.Module()
    holder.weights = exported.variables
    signatures = {name: exported.functions[name] for name in names}
    with quietly("write the SavedModel"):
        tf.saved_model.save(holder, str(folder), signatures=signatures)


def write(exported: ExportedModel, folder: str | os.PathLike, names: Iterable[str]) -> None:
    """Like `save`, but the bytes depend on nothing else than the model and TensorFlow's version.

    Without fingerprint.pb, and with numbers in names that don't depend on what else the
    process has made.
    """
    save(exported, folder, names)
    Path(folder, FINGERPRINT).unlink()
    file = Path(folder, "saved_model.pb")
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    _drop_tensor_numbers(model)
    file.write_bytes(_with_functions_numbered(model).SerializeToString(deterministic=True))


def _functions(model):
    (graph,) = model.meta_graphs
    return graph.graph_def.library.function


def _drop_tensor_numbers(model: Any) -> None:
    """Leave out the argument names of weights, which are numbers of tensors in the process."""
    for function in _functions(model):
        for argument in function.arg_attr.values():
            if ARGUMENT_NAME in argument.attr and argument.attr[ARGUMENT_NAME].s.isdigit():
                del argument.attr[ARGUMENT_NAME]


def _with_functions_numbered(model: Any) -> Any:
    """The SavedModel with its functions numbered from 1, in the order they were made.

    TensorFlow ends a function's name with a number that counts those of the process.
    """
    made = sorted((function.signature.name for function in _functions(model)), key=_number)
    names = {name: TRAILING_NUMBER.sub(str(i), name) for i, name in enumerate(made, 1)}
    # As text, since functions are named in many kinds of places.
    text = QUOTED.sub(
        lambda quoted: f'"{names.get(quoted[1], quoted[1])}"', text_format.MessageToString(model)
    )
    model = text_format.Parse(text, saved_model_pb2.SavedModel())
    _functions(model).sort(key=lambda function: _number(function.signature.name))
    return model


def _number(function: str) -> int:
    return int(function[function.rindex("_") + 1 :])
