"""What a .tflite file says, read with every offset checked.

The native interpreter trusts its file: a single wrong offset can crash the process. Here a
file is walked in Python, by the field numbers of TFLite's schema (schema.fbs, version 3),
and refused unless every table, vector, index and buffer is inside it and fits.
"""

import math
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_ganvae.errors import InputError

MOST_BYTES = 2**30  # of a file; the networks here are a few MB
MOST_ENTRIES = 10**6  # tables and vector entries: tables may share parts, and so multiply
MOST_ELEMENTS = 2**28  # of one tensor

IDENTIFIER = b"TFL3"
VERSION = 3

OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if name[0] != "_"}
DTYPES = {code: name for name, code in vars(schema.TensorType).items() if name[0] != "_"}
# Those whose tensors are plain arrays.
NUMPY = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "UINT16": np.uint16,
    "INT32": np.int32,
    "UINT32": np.uint32,
    "INT64": np.int64,
    "UINT64": np.uint64,
    "BOOL": np.bool_,
}

# Fields of the operators' own tables: name -> (field number, struct format, default), the
# format "*" for a vector of int32.
_STRIDES = {"padding": (0, "b", 0), "stride_w": (1, "i", 0), "stride_h": (2, "i", 0)}
OPTIONS = {
    "Conv2DOptions": _STRIDES
    | {"activation": (3, "b", 0), "dilation_w": (4, "i", 1), "dilation_h": (5, "i", 1)}
    | {"bias_type": (6, "b", 0)},
    "TransposeConvOptions": _STRIDES | {"activation": (3, "b", 0), "bias_type": (4, "b", 0)},
    "FullyConnectedOptions": {
        "activation": (0, "b", 0),
        "weights_format": (1, "b", 0),
        "keep_num_dims": (2, "?", False),
        "asymmetric": (3, "?", False),
        "bias_type": (4, "b", 0),
    },
    "DepthToSpaceOptions": {"block": (0, "i", 0)},
    "ReshapeOptions": {"shape": (0, "*", ())},
    "StridedSliceOptions": {
        "begin_mask": (0, "i", 0),
        "end_mask": (1, "i", 0),
        "ellipsis_mask": (2, "i", 0),
        "new_axis_mask": (3, "i", 0),
        "shrink_axis_mask": (4, "i", 0),
        "offset": (5, "?", False),
    },
    "ConcatenationOptions": {"axis": (0, "i", 0), "activation": (1, "b", 0)},
    "PackOptions": {"count": (0, "i", 0), "axis": (1, "i", 0)},
    "GatherOptions": {"axis": (0, "i", 0), "batch_dims": (1, "i", 0)},
    "SplitOptions": {"count": (0, "i", 0)},
    "ReducerOptions": {"keep_dims": (0, "?", False)},
    "AddOptions": {"activation": (0, "b", 0)},
    "SubOptions": {"activation": (0, "b", 0)},
    "MulOptions": {"activation": (0, "b", 0)},
    "DivOptions": {"activation": (0, "b", 0)},
    "LeakyReluOptions": {"alpha": (0, "f", 0.0)},
    "SqueezeOptions": {"axes": (0, "*", ())},
}
OPTION_TABLES = {code: name for name, code in vars(schema.BuiltinOptions).items() if name[0] != "_"}


@dataclass(frozen=True, eq=False)
class Quantisation:
    """real = scale (integer - zero_point), along `axis` if there is more than one scale."""

    scales: np.ndarray  # float32 (n,)
    zero_points: np.ndarray  # int64 (n,)
    axis: int
    custom: bool  # another scheme, which is not read here


@dataclass(frozen=True, eq=False)
class Tensor:
    name: str
    shape: tuple
    shape_signature: tuple  # with -1 for what may change; the shape where nothing may
    dtype: str
    data: memoryview  # of a constant; else empty
    quantisation: Quantisation
    is_variable: bool
    is_sparse: bool

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def is_constant(self) -> bool:
        return bool(self.data) or self.size == 0

    @property
    def values(self) -> np.ndarray:
        """A constant's numbers."""
        return np.frombuffer(self.data, NUMPY[self.dtype]).reshape(self.shape)


@dataclass(frozen=True)
class Operator:
    name: str  # of BuiltinOperator; CUSTOM's own name stands in `custom`
    version: int
    custom: str
    inputs: tuple  # of tensor indices; -1 where an optional one is absent
    outputs: tuple
    options: dict | None  # None: it has none, or none that are read here
    options_table: str
    plain: bool  # has no fields beyond those above


@dataclass(frozen=True)
class Subgraph:
    tensors: tuple
    operators: tuple
    inputs: tuple
    outputs: tuple


@dataclass(frozen=True)
class Signature:
    subgraph: int
    inputs: dict  # name -> tensor index
    outputs: dict


@dataclass(frozen=True)
class Model:
    """One file. `signatures` maps names to Signature; `content` is the whole of it."""

    path: str
    content: bytes = field(repr=False)
    subgraphs: tuple = field(repr=False)
    signatures: dict
    description: str = ""

    def tensors(self, signature, side):
        """name -> Tensor of the "inputs" or "outputs" of a signature."""
        each = self.signatures[signature]
        tensors = self.subgraphs[each.subgraph].tensors
        return {name: tensors[index] for name, index in getattr(each, side).items()}


def read(source, path=None) -> Model:
    """Read a model from a path or from bytes.

    Args:
        path: what to call bytes in messages.

    Raises:
        InputError: it can't be read, or is not a whole and consistent .tflite file.
    """
    path = str(path or (source if isinstance(source, str | os.PathLike) else "the model"))
    content = source if isinstance(source, bytes) else _content(source)
    try:
        return _model(_File(content), path, content)
    except (ValueError, struct.error, OverflowError) as error:
        raise InputError(
            f"{path} is not a whole .tflite file: {error}; export or download it again"
        ) from error


def _content(path):
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than {MOST_BYTES} bytes: no model of this package")
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}") from error
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror or error}") from error


# flatbuffers: little endian; a table begins with the distance back to its vtable, which
# lists its own size, the table's size, and where each field is (0: absent).


class _File:
    def __init__(self, content):
        self.content = content
        self.entries = 0

    def count(self, entries):
        self.entries += entries
        _demand(self.entries <= MOST_ENTRIES, "it has too many parts")

    def get(self, format, position):
        _demand(0 <= position <= len(self.content) - struct.calcsize(format), "it ends too early")
        return struct.unpack_from("<" + format, self.content, position)[0]

    def follow(self, position):
        """Where the offset at `position` points to."""
        _demand(position % 4 == 0, "an offset is misaligned")
        distance = self.get("I", position)
        _demand(distance > 0, "an offset points to itself")
        return position + distance

    def vector(self, position, item):
        """(start, length) of the vector at `position`, with items of `item` bytes."""
        length = self.get("I", position)
        start = position + 4
        _demand(start % min(item, 8) == 0, "a vector is misaligned")
        _demand(start + length * item <= len(self.content), "a vector is longer than the file")
        return start, length


class _Table:
    def __init__(self, file, position):
        file.count(1)
        _demand(position % 4 == 0, "a table is misaligned")
        vtable = position - file.get("i", position)
        _demand(vtable >= 0 and vtable % 2 == 0, "a vtable is outside the file")
        self.file, self.position = file, position
        vtable_size, self.size = file.get("H", vtable), file.get("H", vtable + 2)
        _demand(vtable_size >= 4 and vtable_size % 2 == 0 and self.size >= 4, "a vtable is broken")
        _demand(vtable + vtable_size <= len(file.content), "a vtable is outside the file")
        _demand(position + self.size <= len(file.content), "a table is outside the file")
        self.fields = struct.unpack_from(f"<{vtable_size // 2 - 2}H", file.content, vtable + 4)

    def at(self, number, size):
        """The position of a field of `size` bytes, or None."""
        offset = self.fields[number] if number < len(self.fields) else 0
        if offset == 0:
            return None
        _demand(4 <= offset <= self.size - size, "a field is outside its table")
        _demand((self.position + offset) % size == 0, "a field is misaligned")
        return self.position + offset

    def scalar(self, number, format, default):
        position = self.at(number, struct.calcsize(format))
        if position is None:
            return default
        if format == "?":
            value = self.file.get("B", position)
            _demand(value <= 1, "a truth value is neither true nor false")
            return bool(value)
        return self.file.get(format, position)

    def table(self, number):
        position = self.at(number, 4)
        return None if position is None else _Table(self.file, self.file.follow(position))

    def tables(self, number):
        position = self.at(number, 4)
        if position is None:
            return []
        start, length = self.file.vector(self.file.follow(position), 4)
        self.file.count(length)
        places = range(start, start + 4 * length, 4)
        return [_Table(self.file, self.file.follow(place)) for place in places]

    def array(self, number, dtype):
        position = self.at(number, 4)
        if position is None:
            return np.empty(0, dtype)
        item = np.dtype(dtype).itemsize
        start, length = self.file.vector(self.file.follow(position), item)
        self.file.count(length)
        return np.frombuffer(self.file.content, dtype, length, start)

    def integers(self, number):
        return tuple(int(each) for each in self.array(number, "<i4"))

    def data(self, number):
        position = self.at(number, 4)
        if position is None:
            return memoryview(b"")
        start, length = self.file.vector(self.file.follow(position), 1)
        _demand(start % 4 == 0, "a constant is misaligned")
        return memoryview(self.file.content)[start : start + length]

    def string(self, number):
        position = self.at(number, 4)
        if position is None:
            return ""
        start, length = self.file.vector(self.file.follow(position), 1)
        # C++ reads on to the zero behind it.
        _demand(self.file.get("B", start + length) == 0, "a text has no end")
        self.file.count(length // 64)
        return self.file.content[start : start + length].decode()


def _demand(condition, otherwise):
    if not condition:
        raise ValueError(otherwise)


def _model(file, path, content):
    _demand(content[4:8] == IDENTIFIER, "it does not begin as one")
    root = _Table(file, file.follow(0))
    _demand(root.scalar(0, "I", 0) == VERSION, f"its schema is not version {VERSION}")
    _demand(not root.tables(8) and not root.tables(9), "its weights are in another file")
    codes = [_operator_code(table) for table in root.tables(1)]
    buffers = [_buffer(table) for table in root.tables(4)]
    subgraphs = tuple(_subgraph(table, codes, buffers) for table in root.tables(2))
    _demand(subgraphs, "it has no graph")
    for metadata in root.tables(6):
        metadata.string(0)
        _demand(metadata.scalar(1, "I", 0) < len(buffers), "it names a buffer that it lacks")
    _demand(all(0 <= each < len(buffers) for each in root.integers(5)), "it lacks a buffer")
    signatures = {}
    for table in root.tables(7):
        name, signature = _signature(table, subgraphs)
        _demand(name and name not in signatures, "two signatures have one name")
        signatures[name] = signature
    return Model(path, content, subgraphs, signatures, root.string(3))


def _operator_code(table):
    """(name, version, custom name). The larger of two fields counts: the first has a byte."""
    code = max(table.scalar(0, "b", 0), table.scalar(3, "i", 0))
    _demand(code in OPERATORS, f"operator {code} is unknown")
    version = table.scalar(2, "i", 1)
    _demand(1 <= version < 1000, f"{OPERATORS[code]} has version {version}")
    return OPERATORS[code], version, table.string(1)


def _buffer(table):
    _demand(table.scalar(1, "Q", 0) <= 1 and table.scalar(2, "Q", 0) <= 1, "a buffer is elsewhere")
    return table.data(0)


def _subgraph(table, codes, buffers):
    tensors = tuple(_tensor(each, buffers) for each in table.tables(0))
    operators = tuple(_operator(each, codes) for each in table.tables(3))
    graph = Subgraph(tensors, operators, table.integers(1), table.integers(2))
    table.string(4)
    _check_flow(graph)
    return graph


def _tensor(table, buffers):
    shape = table.integers(0)
    signature = table.integers(7) or shape
    dtype = DTYPES.get(table.scalar(1, "b", 0))
    index = table.scalar(2, "I", 0)
    _demand(dtype is not None, "a tensor's type is unknown")
    _demand(index < len(buffers), "a tensor's buffer is missing")
    _demand(all(each >= 0 for each in shape), "a tensor's shape is negative")
    _demand(math.prod(shape) <= MOST_ELEMENTS, "a tensor is too large")
    _demand(len(signature) == len(shape), "a tensor has two ranks")
    _demand(
        all(b in (-1, a) for a, b in zip(shape, signature, strict=True)), "a tensor has two shapes"
    )
    _demand(table.scalar(10, "I", 0) == 0, "a tensor's weights are in another file")
    data = buffers[index]
    sparse = table.table(6) is not None
    if data and dtype in NUMPY and not sparse:
        expected = math.prod(shape) * np.dtype(NUMPY[dtype]).itemsize
        _demand(len(data) == expected, f"a constant has {len(data)} bytes instead of {expected}")
    return Tensor(
        table.string(3),
        shape,
        signature,
        dtype,
        data,
        _quantisation(table.table(4), shape),
        table.scalar(5, "?", False),
        sparse or bool(table.tables(9)),
    )


def _quantisation(table, shape):
    if table is None:
        return Quantisation(np.empty(0, np.float32), np.empty(0, np.int64), 0, False)
    for number in (0, 1):  # calibrated ranges, which nothing here needs
        table.array(number, "<f4")
    scales, zeros = table.array(2, "<f4"), table.array(3, "<i8")
    axis = table.scalar(6, "i", 0)
    custom = table.scalar(4, "B", 0) != 0
    if len(scales) and not custom:
        _demand(len(zeros) in (0, len(scales)), "a tensor's zero points do not fit its scales")
        _demand(np.isfinite(scales).all() and (scales > 0).all(), "a scale is not above 0")
        if len(scales) > 1:
            _demand(0 <= axis < len(shape), "a tensor is quantised along an axis that it lacks")
            _demand(len(scales) == shape[axis], "a tensor's scales do not fit its shape")
    return Quantisation(scales, zeros, axis, custom)


def _operator(table, codes):
    index = table.scalar(0, "I", 0)
    _demand(index < len(codes), "an operator is not in the list of operators")
    name, version, custom = codes[index]
    options_table = OPTION_TABLES.get(table.scalar(3, "B", 0))
    _demand(options_table is not None, f"the options of {name} are unknown")
    options = table.table(4)
    known = OPTIONS.get(options_table)
    plain = (
        not custom
        and not len(table.array(5, np.uint8))
        and not len(table.array(7, np.uint8))
        and not table.integers(8)
        and table.scalar(9, "Q", 0) <= 1
        and table.scalar(11, "B", 0) == 0
    )
    return Operator(
        name,
        version,
        custom,
        table.integers(1),
        table.integers(2),
        _options(options, known) if options is not None and known is not None else None,
        options_table,
        plain,
    )


def _options(table, fields):
    return {
        name: table.integers(number) if format == "*" else table.scalar(number, format, default)
        for name, (number, format, default) in fields.items()
    }


def _check_flow(graph):
    """Every tensor that is read was written before: a constant, an input or a result."""
    count = len(graph.tensors)
    for index in (*graph.inputs, *graph.outputs):
        _demand(0 <= index < count, "a graph lacks its own input or output")
    constants = [each.is_constant or each.is_variable for each in graph.tensors]
    _demand(len(set(graph.inputs)) == len(graph.inputs), "a graph has one input twice")
    _demand(not any(constants[each] for each in graph.inputs), "a graph's input is a constant")
    ready = {i for i in range(count) if constants[i]} | set(graph.inputs)
    for operator in graph.operators:
        for index in operator.inputs:
            _demand(-1 <= index < count, f"{operator.name} reads a tensor that is missing")
            _demand(index in ready or index == -1, f"{operator.name} reads what nothing wrote")
        for index in operator.outputs:
            _demand(0 <= index < count, f"{operator.name} writes a tensor that is missing")
            _demand(index not in ready, f"{operator.name} writes a tensor that is taken")
            ready.add(index)
    _demand(ready.issuperset(graph.outputs), "nothing writes an output of a graph")


def _signature(table, subgraphs):
    index = table.scalar(4, "I", 0)
    _demand(index < len(subgraphs), "a signature lacks its graph")
    graph = subgraphs[index]
    inputs, outputs = _names(table.tables(0)), _names(table.tables(1))
    _demand(set(inputs.values()) <= set(graph.inputs), "a signature's input is none of its graph")
    _demand(set(outputs.values()) <= set(graph.outputs), "a signature's output is none")
    _demand(len(set(inputs.values())) == len(graph.inputs), "a graph has an unnamed input")
    return table.string(2), Signature(index, inputs, outputs)


def _names(tables):
    names = {table.string(0): table.scalar(1, "I", 0) for table in tables}
    _demand(len(names) == len(tables) and "" not in names, "two inputs or outputs have one name")
    return names
