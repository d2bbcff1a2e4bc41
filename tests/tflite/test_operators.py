"""Well-formed graphs that a native kernel can't run safely."""

import copy

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from keras_ganvae.bundle.formats import VARIANTS
from keras_ganvae.errors import InputError
from keras_ganvae.tflite import operators
from keras_ganvae.tflite.read import OPERATORS, read_model

CODES = {name: code for code, name in OPERATORS.items()}


@pytest.mark.parametrize("name", [each.file for each in VARIANTS.values()])
def test_exports_pass(tiny_bundle, name):
    model = read_model(tiny_bundle("vae") / name)
    assert operators.check(model) is model


def _operator(model, name):
    codes = [each.builtinCode for each in model.operatorCodes]
    return next(
        each
        for graph in model.subgraphs
        for each in graph.operators
        if codes[each.opcodeIndex] == CODES[name]
    )


def _option(name, **values):
    def edit(model):
        for option, value in values.items():
            setattr(_operator(model, name).builtinOptions, option, value)

    return edit


def _rename(name, other):
    def edit(model):
        for code in model.operatorCodes:
            if code.builtinCode == CODES[name]:
                code.builtinCode = CODES[other]
                code.deprecatedBuiltinCode = min(CODES[other], 127)

    return edit


def _without_options(name):
    def edit(model):
        _operator(model, name).builtinOptions = None

    return edit


def _with_intermediates(model):
    model.subgraphs[0].operators[0].intermediates = np.array([0], np.int32)


def _dynamic(model):
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    tensor.shapeSignature = np.array([-1, tensor.shape[1]], np.int32)


def _latent(size):
    def edit(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape = np.array(size, np.int32)

    return edit


def _type(dtype):
    def edit(model):
        model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].type = dtype

    return edit


def _variable(model):
    model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].isVariable = True


def _no_signature(model):
    model.signatureDefs = []


def _scale(factor):
    """Another scale of the first quantized activation."""

    def edit(model):
        graph = model.subgraphs[0]
        tensor = graph.tensors[_operator(model, "QUANTIZE").outputs[0]]
        tensor.quantization.scale = [tensor.quantization.scale[0] * factor]

    return edit


def _no_scale(model):
    graph = model.subgraphs[0]
    graph.tensors[_operator(model, "QUANTIZE").outputs[0]].quantization = None


def _curve_scale(model):
    graph = model.subgraphs[0]
    output = graph.tensors[_operator(model, "LOGISTIC").outputs[0]]
    output.quantization.scale = [1 / 128]


def _no_strides(model):
    operator = _operator(model, "STRIDED_SLICE")
    graph = next(each for each in model.subgraphs if operator in each.operators)
    strides = copy.copy(graph.tensors[operator.inputs[3]])
    model.buffers.append(copy.copy(model.buffers[strides.buffer]))
    model.buffers[-1].data = np.zeros_like(model.buffers[-1].data)
    strides.buffer = len(model.buffers) - 1
    graph.tensors.append(strides)
    operator.inputs = np.array([*operator.inputs[:3], len(graph.tensors) - 1], np.int32)


FLOAT, INTEGERS, ALL = "model.tflite", "model_int8.tflite", "sampler.tflite"
FAULTS = {
    "an unknown operator": (FLOAT, _rename("LOGISTIC", "ATAN2"), "not among"),
    "an operator without its options": (
        FLOAT,
        _without_options("FULLY_CONNECTED"),
        "lacks its options",
    ),
    "a fused TANH": (FLOAT, _option("FULLY_CONNECTED", fusedActivationFunction=4), "fused with"),
    "an unknown activation": (
        FLOAT,
        _option("FULLY_CONNECTED", fusedActivationFunction=77),
        "unknown",
    ),
    "shuffled weights": (FLOAT, _option("FULLY_CONNECTED", weightsFormat=1), "shuffled"),
    "scratch tensors": (FLOAT, _with_intermediates, "does not read"),
    "a dynamic batch": (FLOAT, _dynamic, "dynamic"),
    "a latent of another size": (FLOAT, _latent([1, 5]), "multiplies 5 inputs"),
    "a batch of another size": (FLOAT, _latent([2, 4]), "makes FLOAT32"),
    "too many dimensions": (FLOAT, _latent([1, 1, 1, 1, 4]), "5 dimensions"),
    "an empty input": (FLOAT, _latent([0, 4]), "."),
    "an input of another type": (FLOAT, _type(schema.TensorType.INT32), "takes inputs of"),
    "an input of strings": (FLOAT, _type(schema.TensorType.STRING), "STRING"),
    "a variable": (FLOAT, _variable, "."),
    "nothing to call": (FLOAT, _no_signature, "no signature"),
    "a scale far from the others": (INTEGERS, _scale(1e9), "too far apart"),
    "a tiny scale": (INTEGERS, _scale(1e-20), "too small"),
    "integers without a scale": (INTEGERS, _no_scale, "without a single scale"),
    "a sigmoid of another range": (INTEGERS, _curve_scale, "scale other than"),
    "a stride of 0": (ALL, _no_strides, "stride of 0"),
    "a split into nothing": (ALL, _option("SPLIT", numSplits=0), "SPLIT"),
    "a split into thirds": (ALL, _option("SPLIT", numSplits=3), "can't split"),
    "an axis out of range": (ALL, _option("CONCATENATION", axis=7), "axis 7"),
    "an axis of GATHER out of range": (ALL, _option("GATHER", axis=-5), "axis -5"),
    "an ellipsis": (ALL, _option("STRIDED_SLICE", ellipsisMask=1), "ellipsis"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses(edited, fault):
    name, edit, reason = FAULTS[fault]
    with pytest.raises(InputError, match=reason):
        operators.check(read_model(edited(edit, name), "x.tflite"))


IMAGES = {
    "a stride of 0": (_option("CONV_2D", strideH=0), "strides of"),
    "a dilation of 0": (_option("CONV_2D", dilationWFactor=0), "strides of"),
    "another stride": (_option("CONV_2D", strideW=2), "makes FLOAT32"),
    "an unknown padding": (_option("CONV_2D", padding=7), "padding"),
    "a block of 0": (_option("DEPTH_TO_SPACE", blockSize=0), "block of 0"),
    "a block that does not divide": (_option("DEPTH_TO_SPACE", blockSize=5), "block of 5"),
}


@pytest.mark.parametrize("fault", IMAGES)
def test_refuses_convolutions(edited, fault):
    edit, reason = IMAGES[fault]
    with pytest.raises(InputError, match=reason):
        operators.check(read_model(edited(edit, arch="cvae"), "x.tflite"))


def test_too_much_work(tiny_bundle, monkeypatch):
    monkeypatch.setattr(operators, "MAX_MULTIPLICATIONS", 10)
    with pytest.raises(InputError, match="too many multiplications"):
        operators.check(read_model(tiny_bundle("vae") / FLOAT))
