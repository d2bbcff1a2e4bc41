"""Reading .tflite files, and refusing damaged ones."""

import random

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from keras_ganvae.errors import InputError
from keras_ganvae.tflite import read
from keras_ganvae.tflite.read import read_model


@pytest.mark.parametrize("name", ["model.tflite", "model_float16.tflite", "model_int8.tflite"])
def test_reads_what_the_interpreter_reads(tiny_bundle, name):
    model = read_model(tiny_bundle("vae") / name)
    interpreter = Interpreter(model_path=str(tiny_bundle("vae") / name))
    interpreter.allocate_tensors()
    (graph,) = model.graphs
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    for index, tensor in enumerate(graph.tensors):
        native = details[index]
        assert tensor.name == native["name"]
        assert tensor.shape == tuple(native["shape"])
        assert read.NUMPY[tensor.dtype] == native["dtype"]
        quantized = native["quantization_parameters"]
        np.testing.assert_array_equal(tensor.quantization.scales, quantized["scales"])
        np.testing.assert_array_equal(tensor.quantization.zero_points, quantized["zero_points"])
    names = [each["op_name"] for each in interpreter._get_ops_details()]
    count = len(graph.operators)
    assert [each.name for each in graph.operators] == names[:count]


def test_reads_signatures_and_constants(tiny_bundle):
    model = read_model(tiny_bundle("vae") / "sampler.tflite")
    assert set(model.signatures) == {"decode", "decode_16", "sample", "encode", "reconstruct"}
    assert model.signatures["sample"].inputs["seed"].dtype == "INT32"
    assert model.signatures["decode_16"].outputs["image"].shape == (16, 28, 28, 1)
    interpreter = Interpreter(model_path=model.path)
    constants = [each for each in model.graphs[0].tensors if each.is_constant and each.size > 9]
    for tensor in constants:
        index = model.graphs[0].tensors.index(tensor)
        np.testing.assert_array_equal(tensor.values, interpreter.get_tensor(index))
    assert constants


def test_truncated_anywhere(tiny_bundle):
    content = (tiny_bundle("vae") / "model.tflite").read_bytes()
    lengths = {0, 1, 3, 4, 7, 8, 100, len(content) // 2, len(content) - 4}
    for length in sorted(lengths):
        with pytest.raises(InputError, match="short.tflite is not a valid .tflite file"):
            read_model(content[:length], "short.tflite")


def test_random_bytes():
    noise = random.Random(0)
    for length in (8, 100, 5000):
        for start in (b"", b"\x1c\0\0\0TFL3"):
            with pytest.raises(InputError, match="not a valid"):
                read_model(start + noise.randbytes(length))


def test_missing_folder_and_too_large(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="there is no"):
        read_model(tmp_path / "absent.tflite")
    with pytest.raises(InputError, match="can't read"):
        read_model(tmp_path)
    (tmp_path / "large.tflite").write_bytes(bytes(100))
    monkeypatch.setattr(read, "MAX_BYTES", 99)
    with pytest.raises(InputError, match="larger than 99 bytes"):
        read_model(tmp_path / "large.tflite")


def _first_operator(**values):
    def edit(model):
        for name, value in values.items():
            setattr(model.subgraphs[0].operators[0], name, value)

    return edit


def _weights(model):
    tensors = model.subgraphs[0].tensors
    return next(t for t in tensors if t.shape is not None and len(t.shape) == 2 and _full(model, t))


def _full(model, tensor):
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 1000


def _shorten(model):
    buffer = model.buffers[_weights(model).buffer]
    buffer.data = buffer.data[:-4]


def _enlarge(model):
    _weights(model).shape = np.array([2**20, 2**20], np.int32)


def _negative(model):
    _weights(model).shape = np.array([-1, -100], np.int32)


def _swap_operators(model):
    model.subgraphs[0].operators.reverse()


def _write_twice(model):
    first, second = model.subgraphs[0].operators[:2]
    second.outputs = first.outputs


def _signature_of_nothing(model):
    model.signatureDefs[0].subgraphIndex = 7


def _signature_elsewhere(model):
    model.signatureDefs[0].inputs[0].tensorIndex = 1000


def _two_signatures_of_one_name(model):
    model.signatureDefs.append(model.signatureDefs[0])


def _constant_input(model):
    index = model.subgraphs[0].tensors.index(_weights(model))
    model.subgraphs[0].inputs = np.array([index], np.int32)


def _unknown_operator(model):
    model.operatorCodes[0].builtinCode = 9999


def _unknown_type(model):
    model.subgraphs[0].tensors[0].type = 99


def _other_schema(model):
    model.version = 4


def _no_graph(model):
    model.subgraphs = []


def _bad_scale(scale):
    def edit(model):
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [0]
        model.subgraphs[0].tensors[0].quantization = quantization

    return edit


FAULTS = {
    "reads a missing tensor": (
        _first_operator(inputs=np.array([999], np.int32)),
        "reads a miss",
    ),
    "reads a negative tensor": (
        _first_operator(inputs=np.array([-2], np.int32)),
        "reads a miss",
    ),
    "writes a missing tensor": (
        _first_operator(outputs=np.array([999], np.int32)),
        "writes a miss",
    ),
    "an operator without a code": (_first_operator(opcodeIndex=99), "list of operators"),
    "an unknown operator": (_unknown_operator, "operator 9999 is unknown"),
    "an unknown type": (_unknown_type, "type is unknown"),
    "a constant that is too short": (_shorten, "bytes instead of"),
    "a shape that is too large": (_enlarge, "too large"),
    "a negative shape": (_negative, "negative"),
    "operators in the wrong order": (_swap_operators, "before it is written"),
    "a tensor written twice": (_write_twice, "a second time"),
    "a signature of no graph": (_signature_of_nothing, "lacks its graph"),
    "a signature of a strange tensor": (_signature_elsewhere, "not its graph's"),
    "one name for two signatures": (_two_signatures_of_one_name, "one name"),
    "a constant as input": (_constant_input, "a constant"),
    "another schema": (_other_schema, "schema"),
    "no graph": (_no_graph, "no graph"),
    "a scale of 0": (_bad_scale(0.0), "not above 0"),
    "a scale that is not a number": (_bad_scale(float("nan")), "not above 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refuses(edited, fault):
    edit, reason = FAULTS[fault]
    with pytest.raises(InputError, match=reason):
        read_model(edited(edit), "x.tflite")


def _with_shared_tables(count):
    """`count` graphs of `count` tensors each, in a file that has only one of either."""
    builder = flatbuffers.Builder(1024)
    builder.StartVector(1, 1000, 1)
    builder.head -= 1000
    name = builder.EndVector()
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensor = schema.TensorEnd(builder)
    tensors = _repeated(builder, tensor, count)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graph = schema.SubGraphEnd(builder)
    graphs = _repeated(builder, graph, count)
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def _repeated(builder, table, count):
    builder.StartVector(4, count, 4)
    for _ in range(count):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


@pytest.mark.parametrize("count", [100, 10_000])
def test_a_small_file_does_not_unpack_to_a_large_model(count):
    content = _with_shared_tables(count)
    assert len(content) < 8 * count + 2000
    with pytest.raises(InputError, match="its parts overlap"):
        read_model(content)
