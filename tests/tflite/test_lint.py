"""The lint of .tflite files."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from keras_ganvae.bundle.formats import VARIANTS
from keras_ganvae.tflite.delegates import WHOLE
from keras_ganvae.tflite.lint import lint
from keras_ganvae.tflite.read import OPERATORS, read_model

CODES = {name: code for code, name in OPERATORS.items()}


def _lint(content):
    return lint(read_model(content, "x.tflite"))


@pytest.mark.parametrize("arch", ["vae", "cvae", "dcgan"])
def test_exports_are_clean(tiny_bundle, arch):
    for variant in VARIANTS.values():
        report = _lint((tiny_bundle(arch) / variant.file).read_bytes())
        assert report.passed, [str(each) for each in report.findings]


def test_operators_are_counted(tiny_bundle):
    report = lint(read_model(tiny_bundle("vae") / "model.tflite"))
    interpreter = Interpreter(model_path=report.path)
    names = [each["op_name"] for each in interpreter._get_ops_details()]
    counts = {each["name"]: each["count"] for each in report.operators}
    assert counts == {name: names.count(name) for name in names if name != "DELEGATE"}


def _as(name, version=1, custom=None):
    """Turn the last operator of `decode` into another."""

    def edit(model):
        code = schema.OperatorCodeT()
        code.builtinCode = CODES[name]
        code.deprecatedBuiltinCode = min(CODES[name], 127)
        code.version, code.customCode = version, custom
        model.operatorCodes.append(code)
        model.subgraphs[0].operators[-1].opcodeIndex = len(model.operatorCodes) - 1

    return edit


def _dynamic(model):
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.inputs[0]]
    tensor.shapeSignature = np.array([-1, *tensor.shape[1:]], np.int32)


def _variable(model):
    state = schema.TensorT()
    state.shape, state.name, state.isVariable = np.array([1], np.int32), b"state", True
    model.subgraphs[0].tensors.append(state)


def _bytes_in(model):
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT8


RULES = {
    "flex": (_as("CUSTOM", custom=b"FlexErf"), "FlexErf", "without SELECT_TF_OPS"),
    "custom": (_as("CUSTOM", custom=b"Mine"), "Mine", "build the layer"),
    "control-flow": (_as("WHILE"), "WHILE", "unroll"),
    "variable": (_as("READ_VARIABLE"), "READ_VARIABLE", "freeze"),
    "random": (_as("RANDOM_STANDARD_NORMAL"), "RANDOM_STANDARD_NORMAL", "from a seed"),
    "dynamic-shape": (_as("SHAPE"), "SHAPE", "static batch size"),
    "transpose-conv-version": (_as("TRANSPOSE_CONV", 4), "TRANSPOSE_CONV", "do not fuse its ReLU"),
    "unknown-operator": (_as("ATAN2"), "ATAN2", "does not know"),
}


@pytest.mark.parametrize("rule", RULES)
def test_finds_operators(edited, rule):
    edit, operator, remedy = RULES[rule]
    (finding,) = _lint(edited(edit)).findings
    assert (finding.rule, finding.operator) == (rule, operator)
    assert remedy in finding.remedy and "decode" in finding.where
    assert f"{operator} version {finding.version}" in str(finding)


@pytest.mark.parametrize(
    ("rule", "edit"),
    [("dynamic-shape", _dynamic), ("variable", _variable), ("tensor-type", _bytes_in)],
)
def test_finds_tensors(edited, rule, edit):
    assert rule in {each.rule for each in _lint(edited(edit)).findings}


def test_transpose_conv_of_version_3_passes(edited):
    found = {each.rule for each in _lint(edited(_as("TRANSPOSE_CONV", 3))).findings}
    assert "transpose-conv-version" not in found


def _scale_channels(size):
    """Multiply the output of the first dense layer, without ReLU, by `size` constants."""

    def edit(model):
        graph = model.subgraphs[0]
        dense = graph.operators[0]
        dense.builtinOptions.fusedActivationFunction = 0
        channels = graph.tensors[dense.outputs[0]].shape[-1]
        factors = np.ones(channels if size == "channels" else size, np.float32)

        def tensor(shape, buffer):
            each = schema.TensorT()
            each.shape, each.type, each.buffer = np.array(shape, np.int32), 0, buffer
            each.name = b"added"
            graph.tensors.append(each)
            return len(graph.tensors) - 1

        buffer = schema.BufferT()
        buffer.data = factors.view(np.uint8)
        model.buffers += [buffer, schema.BufferT()]
        factor = tensor(factors.shape, len(model.buffers) - 2)
        product = tensor((1, channels), len(model.buffers) - 1)
        _as("MUL")(model)
        code = graph.operators[-1].opcodeIndex
        graph.operators[-1].opcodeIndex = 0
        for operator in graph.operators[1:]:
            operator.inputs = np.where(
                np.array(operator.inputs) == dense.outputs[0], product, operator.inputs
            ).astype(np.int32)
        multiply = schema.OperatorT()
        multiply.opcodeIndex = code
        multiply.inputs = np.array([dense.outputs[0], factor], np.int32)
        multiply.outputs = np.array([product], np.int32)
        multiply.builtinOptionsType = schema.BuiltinOptions.MulOptions
        multiply.builtinOptions = schema.MulOptionsT()
        graph.operators.insert(1, multiply)

    return edit


def test_finds_batch_norm_that_is_not_folded(edited):
    findings = _lint(edited(_scale_channels("channels"))).findings
    assert [(each.rule, each.operator) for each in findings] == [("batch-norm", "MUL")]


def test_one_factor_for_all_is_no_batch_norm(edited):
    assert "batch-norm" not in {f.rule for f in _lint(edited(_scale_channels(1))).findings}


def test_verdicts(tiny_bundle):
    def verdicts(name, signature="decode", arch="cvae"):
        return _lint((tiny_bundle(arch) / name).read_bytes()).delegates[signature]

    for name in ("model.tflite", "model_float16.tflite"):
        assert verdicts(name)["XNNPACK"] == verdicts(name)["GPU"] == WHOLE
        assert "DEPTH_TO_SPACE" in verdicts(name)["Core ML"]
    # Integers make the seed's numbers, which accelerators leave to the CPU.
    assert "BITWISE_XOR" in verdicts("sampler.tflite", "sample")["NNAPI"]
    assert verdicts("sampler.tflite", "decode_16")["XNNPACK"] == WHOLE
    assert "on INT8" in verdicts("model_int8.tflite", arch="vae")["Core ML"]


def test_verdicts_depend_on_the_version(edited):
    report = _lint(edited(_as("TRANSPOSE_CONV", 4)))
    assert "TRANSPOSE_CONV version 4 (up to 3)" in report.delegates["decode"]["GPU"]


@pytest.mark.parametrize("arch", ["vae", "cvae", "dcgan"])
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "sampler"])
def test_xnnpack_takes_what_is_expected(tiny_bundle, arch, variant):
    """The verdict agrees with the delegate of this interpreter, which runs one part, or more."""
    path = tiny_bundle(arch) / VARIANTS[variant].file
    report = lint(read_model(path))
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    operations = interpreter._get_ops_details()
    delegated = [each for each in operations if each["op_name"] == "DELEGATE"]
    ends = {each["index"] for each in interpreter.get_output_details()}
    whole = len(delegated) == 1 and ends <= set(delegated[0]["outputs"])
    begins = {each["index"] for each in interpreter.get_input_details()}
    whole = whole and begins <= set(delegated[0]["inputs"])
    assert (report.delegates["decode"]["XNNPACK"] == WHOLE) == whole
