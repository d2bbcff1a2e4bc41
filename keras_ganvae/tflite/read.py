"""Read a .tflite file by TFLite's own schema, and check what it says.

The schema's Python reader raises or returns nonsense where a file is damaged, but does not
crash; `read_model` rejects the nonsense. The native interpreter verifies offsets itself, but
trusts indices, shapes and types.
"""

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganvae.errors import InputError, first_line
from keras_ganvae.files import readable

MAX_BYTES = 2**28  # size of a file; the networks here are a few MB
MAX_ELEMENTS = 2**28  # of one tensor
TABLE_BYTES = 8  # what a table takes in a file at least: its header, and an offset to it

IDENTIFIER = b"TFL3"
VERSION = 3


def _names(enum: type) -> dict[int, str]:
    return {code: name for name, code in vars(enum).items() if name[0] != "_"}


OPERATORS = _names(schema.BuiltinOperator)
DTYPES = _names(schema.TensorType)
# Types whose tensors are plain arrays.
NUMPY = {
    name: np.dtype(name.lower())
    for name in ("FLOAT16", "FLOAT32", "FLOAT64", "BOOL")
    + ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
}
ACTIVATIONS = _names(schema.ActivationFunctionType)


@dataclass(frozen=True, eq=False)
class Quantization:
    """real = scale * (integer - zero_point), along `axis` where there are several scales."""

    scales: np.ndarray  # float32 (n,)
    zero_points: np.ndarray  # int64 (n,)
    axis: int
    custom: bool  # another scheme, which this package does not read


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor. `data` holds the bytes of a constant, and is empty otherwise.

    `shape_signature` is the shape with -1 for each dynamic axis.
    """

    name: str
    shape: tuple
    shape_signature: tuple
    dtype: str
    data: memoryview = field(repr=False)
    quantization: Quantization
    is_variable: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_constant(self) -> bool:
        return bool(self.data) or self.size == 0

    @property
    def values(self) -> np.ndarray:
        """The numbers of a constant."""
        return np.frombuffer(self.data, NUMPY[self.dtype]).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator with its tensors; an optional input that is absent is None.

    `custom` is the name of a CUSTOM operator. `options` are the attributes of the schema's
    `options_table`, by the schema's names. `has_extras` tells whether there are options of
    another form, intermediate or variable tensors.
    """

    name: str
    version: int
    custom: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options_table: str
    options: dict[str, Any]
    has_extras: bool

    @property
    def activation(self) -> str:
        """Name of the fused activation."""
        code = self.options.get("fusedActivationFunction", 0)
        return ACTIVATIONS.get(code, f"the unknown activation {code}")


@dataclass(frozen=True, eq=False)
class Graph:
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]  # in the order of execution


@dataclass(frozen=True, eq=False)
class SignatureTensors:
    """One signature of a file: the index of its graph, its inputs and outputs by name."""

    graph: int
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class ModelFile:
    """The content of one .tflite file; `path` is its name in messages."""

    path: str
    graphs: tuple[Graph, ...] = field(repr=False)
    signatures: dict[str, SignatureTensors]
    content: bytes = field(repr=False)


def read_model(source: str | os.PathLike | bytes, path: str | None = None) -> ModelFile:
    """Read a model from a path or from bytes.

    Args:
        source: path or content of the file.
        path: name of the bytes in messages.

    Raises:
        InputError: the file can't be read, or is damaged.
    """
    path = str(path or ("the model" if isinstance(source, bytes) else source))
    content = source if isinstance(source, bytes) else _content(source)
    try:
        _demand(content[4:8] == IDENTIFIER, "it lacks the identifier TFL3")
        return _model(path, content)
    except Exception as error:  # the schema's reader raises whatever its layers do
        raise InputError(
            f"{path} is not a valid .tflite file: {first_line(error)}; export or download it again"
        ) from error


def _content(path):
    try:
        if readable(path).stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES} bytes: no model of this package")
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}") from error
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from error


def _demand(condition, otherwise):
    if not condition:
        raise ValueError(otherwise)


class _Unpacker:
    """Turns a file into the schema's objects.

    Tables may share parts, so that a small file could unpack to a model that fills the
    memory. All unpacked parts together must stay below twice the size of the file.
    """

    def __init__(self, content: bytes):
        self.content = content
        self.bytes_left = 2 * len(content)

    def model(self) -> schema.ModelT:
        root = schema.Model.GetRootAs(self.content, 0)
        external = root.ExternalBufferGroupsLength() or root.ExternalBuffersLength()
        _demand(not external, "its weights are in another file")
        return schema.ModelT(
            version=root.Version(),
            operatorCodes=self._tables(root, "OperatorCodes", schema.OperatorCodeT),
            subgraphs=[self._graph(root.Subgraphs(i)) for i in range(root.SubgraphsLength())],
            buffers=self._tables(root, "Buffers", schema.BufferT),
            signatureDefs=[
                self._signature(root.SignatureDefs(i)) for i in range(root.SignatureDefsLength())
            ],
        )

    def _graph(self, graph):
        self._charge(TABLE_BYTES)
        for i in range(graph.TensorsLength()):
            tensor = graph.Tensors(i)
            sparse = tensor.Sparsity() is not None or tensor.VariantTensorsLength()
            _demand(not sparse, "a tensor is sparse or a variant")
            self._charge(TABLE_BYTES)
        return schema.SubGraphT(
            tensors=self._tables(graph, "Tensors", schema.TensorT),
            inputs=self._indices(graph.InputsAsNumpy()),
            outputs=self._indices(graph.OutputsAsNumpy()),
            operators=self._tables(graph, "Operators", schema.OperatorT),
        )

    def _signature(self, signature):
        key = signature.SignatureKey()
        self._charge(TABLE_BYTES + _bytes(key))
        return schema.SignatureDefT(
            inputs=self._tables(signature, "Inputs", schema.TensorMapT),
            outputs=self._tables(signature, "Outputs", schema.TensorMapT),
            signatureKey=key,
            subgraphIndex=signature.SubgraphIndex(),
        )

    def _tables(self, parent, name, kind):
        """Unpack a vector of tables to objects of `kind`."""
        unpacked = []
        for i in range(getattr(parent, f"{name}Length")()):
            unpacked.append(kind.InitFromObj(getattr(parent, name)(i)))
            self._charge(TABLE_BYTES + _bytes(unpacked[-1]))
        return unpacked

    def _indices(self, vector):
        self._charge(_bytes(vector))
        return np.asarray(vector if np.ndim(vector) else [], np.int32)  # 0 if it is absent

    def _charge(self, size):
        self.bytes_left -= size
        _demand(self.bytes_left >= 0, "its parts overlap")


def _bytes(value: Any) -> int:
    """Bytes of the vectors and texts in an unpacked table."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, bytes):
        return len(value)
    return sum(map(_bytes, vars(value).values())) if hasattr(value, "__dict__") else 0


def _model(path: str, content: bytes) -> ModelFile:
    table = _Unpacker(content).model()
    _demand(table.version == VERSION, f"its schema is not version {VERSION}")
    codes = [_operator_code(each) for each in table.operatorCodes]
    buffers = [_buffer(each) for each in table.buffers]
    _demand(table.subgraphs, "it has no graph")
    graphs = tuple(_graph(each, codes, buffers) for each in table.subgraphs)
    signatures: dict[str, SignatureTensors] = {}
    for each in table.signatureDefs:
        name = _text(each.signatureKey)
        _demand(name and name not in signatures, "two signatures have one name")
        signatures[name] = _signature(each, table.subgraphs, graphs)
    return ModelFile(path, graphs, signatures, content)


def _text(value: bytes | None) -> str:
    return (value or b"").decode()


def _operator_code(table: Any) -> tuple[str, int, str]:
    """Name, version, custom name. The larger of two codes counts: the older one is a byte."""
    code = max(table.deprecatedBuiltinCode, table.builtinCode)
    _demand(code in OPERATORS, f"operator {code} is unknown")
    _demand(1 <= table.version < 1000, f"{OPERATORS[code]} has version {table.version}")
    return OPERATORS[code], table.version, _text(table.customCode)


def _buffer(table: Any) -> memoryview:
    _demand(table.offset <= 1 and table.size <= 1, "a buffer is outside the flatbuffer")
    return memoryview(b"" if table.data is None else table.data)


def _graph(table: Any, codes: list, buffers: list) -> Graph:
    tensors = tuple(_tensor(each, buffers) for each in table.tensors)
    operators = tuple(_operator(each, codes, tensors) for each in table.operators)
    _check_flow(table, Graph(tensors, operators))
    return Graph(tensors, operators)


def _tensor(table: Any, buffers: list) -> Tensor:
    shape = _tuple(table.shape)
    signature = _tuple(table.shapeSignature) or shape
    dtype = DTYPES.get(table.type, "")
    _demand(dtype, "a tensor's type is unknown")
    _demand(table.buffer < len(buffers), "a tensor's buffer is missing")
    _demand(all(each >= 0 for each in shape), "a tensor's shape is negative")
    _demand(math.prod(shape) <= MAX_ELEMENTS, "a tensor is too large")
    _demand(len(signature) == len(shape), "a tensor has two ranks")
    fits = all(b in (-1, a) for a, b in zip(shape, signature, strict=True))
    _demand(fits, "a tensor has two shapes")
    _demand(table.externalBuffer == 0, "a tensor's weights are in another file")
    data = buffers[table.buffer]
    if data and dtype in NUMPY:
        expected = math.prod(shape) * NUMPY[dtype].itemsize
        _demand(len(data) == expected, f"a constant has {len(data)} bytes instead of {expected}")
    quantization = _quantization(table.quantization, shape)
    return Tensor(_text(table.name), shape, signature, dtype, data, quantization, table.isVariable)


def _quantization(table: Any, shape: tuple) -> Quantization:
    table = table or schema.QuantizationParametersT()
    scales = np.asarray(_vector(table.scale), np.float32)
    zeros = np.asarray(_vector(table.zeroPoint), np.int64)
    axis, custom = table.quantizedDimension, table.detailsType != 0
    if len(scales) and not custom:
        _demand(len(zeros) in (0, len(scales)), "a tensor's zero points do not fit its scales")
        _demand(np.isfinite(scales).all() and (scales > 0).all(), "a scale is not above 0")
        if len(scales) > 1:
            _demand(0 <= axis < len(shape), "a tensor is quantized along an axis that it lacks")
            _demand(len(scales) == shape[axis], "a tensor's scales do not fit its shape")
    return Quantization(scales, zeros, axis, custom)


def _operator(table: Any, codes: list, tensors: tuple) -> Operator:
    _demand(table.opcodeIndex < len(codes), "an operator is not in the list of operators")
    name, version, custom = codes[table.opcodeIndex]
    inputs, outputs = _tuple(table.inputs), _tuple(table.outputs)
    _demand(all(-1 <= i < len(tensors) for i in inputs), f"{name} reads a missing tensor")
    _demand(all(0 <= i < len(tensors) for i in outputs), f"{name} writes a missing tensor")
    options = table.builtinOptions
    extras = (table.customOptions, table.mutatingVariableInputs, table.intermediates)
    has_extras = (
        bool(custom)
        or any(len(_vector(each)) for each in extras)
        or table.largeCustomOptionsOffset > 1
        or table.builtinOptions2Type != 0
    )
    return Operator(
        name,
        version,
        custom,
        tuple(tensors[i] if i >= 0 else None for i in inputs),
        tuple(tensors[i] for i in outputs),
        "" if options is None else type(options).__name__.removesuffix("T"),
        {} if options is None else vars(options),
        has_extras,
    )


def _check_flow(table: Any, graph: Graph) -> None:
    """Every tensor is a constant, an input, or written by one operator before it is read."""
    count, tensors = len(graph.tensors), graph.tensors
    inputs, outputs = _tuple(table.inputs), _tuple(table.outputs)
    inside = all(0 <= i < count for i in (*inputs, *outputs))
    _demand(inside, "a graph lacks its own input or output")
    _demand(len(set(inputs)) == len(inputs), "a graph has one input twice")
    ready = {id(each) for each in tensors if each.is_constant or each.is_variable}
    _demand(not ready & {id(tensors[i]) for i in inputs}, "a graph's input is a constant")
    ready |= {id(tensors[i]) for i in inputs}
    for operator in graph.operators:
        for tensor in operator.inputs:
            written = tensor is None or id(tensor) in ready
            _demand(written, f"{operator.name} reads a tensor before it is written")
        for tensor in operator.outputs:
            _demand(id(tensor) not in ready, f"{operator.name} writes a tensor a second time")
            ready.add(id(tensor))
    _demand(all(id(tensors[i]) in ready for i in outputs), "a graph's output is never written")


def _signature(table: Any, tables: list, graphs: tuple) -> SignatureTensors:
    _demand(table.subgraphIndex < len(graphs), "a signature lacks its graph")
    graph, tensors = tables[table.subgraphIndex], graphs[table.subgraphIndex].tensors
    sides = []
    for maps, indices in ((table.inputs, graph.inputs), (table.outputs, graph.outputs)):
        names = {_text(each.name): each.tensorIndex for each in maps}
        _demand(len(names) == len(maps) and "" not in names, "two inputs or outputs have one name")
        inside = set(names.values()) <= set(_tuple(indices))
        _demand(inside, "a signature's input or output is not its graph's")
        sides.append({name: tensors[i] for name, i in names.items()})
    inputs, outputs = sides
    _demand(len(inputs) == len(graph.inputs), "a graph has an unnamed input")
    return SignatureTensors(table.subgraphIndex, inputs, outputs)


def _vector(value: Any) -> Any:
    return () if value is None else value


def _tuple(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in _vector(value))
