"""What each operator demands of its tensors, so that its native kernel can't go wrong.

The kernels trust a file's shapes, types and options: one divides by a stride of 0, another
reads past the end of a tensor whose shape is wrong. So a graph runs only if each of its
operators is known here, and if the file states the shapes and types that the operator makes
of its inputs.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.tflite.read import DTYPES, NUMPY, Graph, ModelFile, Operator, Tensor

MAX_RANK = 4  # what every kernel takes
MAX_ELEMENTS = 2**26  # of all results of a graph
MAX_MULTIPLICATIONS = 2**34  # of a run: seconds
WEIGHTED = ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
# Bounds of the factor by which INT8 kernels multiply: the product of the inputs' scales over
# the output's. ADD aborts where scales are further apart, and XNNPACK frees memory twice.
MULTIPLIERS = {"MUL": (2.0**-15, 2.0**7)} | dict.fromkeys(WEIGHTED, (2.0**-30, 2.0**7))
RATIOS = (2.0**-7, 2.0**7)  # the same for other operators: each input's scale to the output's
# Scale and zero point that the INT8 output must have.
CURVES = {"TANH": (1 / 128, 0), "LOGISTIC": (1 / 256, -128)}

FLOAT, HALF, INTEGER, BYTE, TRUTH = "FLOAT32", "FLOAT16", "INT32", "INT8", "BOOL"
NUMBERS = {FLOAT, INTEGER}
SAME, VALID = 0, 1  # paddings
FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")  # activations that kernels can fuse
# Operators that copy numbers unchanged.
COPYING = {"RESHAPE", "DEPTH_TO_SPACE", "SPLIT", "STRIDED_SLICE", "SLICE", "GATHER", "TRANSPOSE"}
COPYING |= {"PACK", "EXPAND_DIMS", "SQUEEZE"}
COPIED = (FLOAT, INTEGER, BYTE)  # types that they take

Results = tuple[int, list[tuple]]  # multiplications, and (shape, dtype) of each output


def check(model: ModelFile) -> ModelFile:
    """Return the model if the native interpreter can run it safely.

    Raises:
        InputError: an operator is unknown, or has inputs or options that it can't take.
    """
    try:
        _demand(model.signatures, "it has no signature")
        for name, signature in model.signatures.items():
            _demand(signature.outputs, f"the signature {name} has no output")
        for graph in model.graphs:
            _check_graph(graph)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(
            f"{model.path} can't be run: {error}; export it again with this package"
        ) from error
    return model


def _check_graph(graph: Graph) -> None:
    for tensor in graph.tensors:
        _check_tensor(tensor)
    elements, work = 0, 0
    for op in graph.operators:
        try:
            work += _check_operator(op)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"{op.name} {error}") from error
        elements += sum(each.size for each in op.outputs)
    small = elements <= MAX_ELEMENTS and work <= MAX_MULTIPLICATIONS
    _demand(small, "it needs too much memory or too many multiplications")


def _check_tensor(tensor: Tensor) -> None:
    known = tensor.dtype in (FLOAT, HALF, INTEGER, BYTE, TRUTH)
    _demand(known, f"a tensor has type {tensor.dtype}")
    _demand(len(tensor.shape) <= MAX_RANK, f"a tensor has {len(tensor.shape)} dimensions")
    _demand(tensor.shape == tensor.shape_signature, "a tensor's shape is dynamic")
    _demand(not tensor.is_variable, "a tensor is variable")
    # Constant lists of axes or sizes may be empty.
    _demand(tensor.size > 0 or tensor.dtype == INTEGER, "a tensor is empty")
    quantization = tensor.quantization
    _demand(not quantization.custom, "a tensor has an unknown quantization scheme")
    if len(quantization.scales) and tensor.dtype in (BYTE, INTEGER):
        limits = np.iinfo(NUMPY[tensor.dtype])
        zeros = quantization.zero_points
        _demand(len(zeros) == len(quantization.scales), "a tensor lacks zero points")
        _demand(((zeros >= limits.min) & (zeros <= limits.max)).all(), "a zero point is too large")
        _demand(len(zeros) == 1 or not zeros.any(), "a zero point differs along an axis")


def _check_operator(op: Operator) -> int:
    """Check one operator; returns the number of its multiplications."""
    _demand(op.name in RULES, "is not among the operators that this package runs")
    rule, options_table = RULES[op.name]
    _demand(not op.has_extras, "has options or tensors that this package does not read")
    _demand(options_table in (None, op.options_table), "lacks its options")
    _demand(op.activation in FUSED, f"is fused with {op.activation}")
    # FLOAT32, the default, states nothing; INT32 is the bias of an INT8 layer.
    bias = DTYPES.get(op.options.get("quantizedBiasType", 0))
    _demand(bias in (FLOAT, INTEGER), f"has a bias of type {bias}")
    _demand(op.outputs and op.inputs, "has no input or no output")
    _check_scales(op)
    work, expected = rule(op)
    _demand(len(expected) == len(op.outputs), f"has {len(op.outputs)} outputs")
    for output, (shape, dtype) in zip(op.outputs, expected, strict=True):
        _demand(
            output.shape == tuple(shape) and output.dtype == dtype,
            f"makes {dtype} {list(shape)}, not {output.dtype} {list(output.shape)}",
        )
    return work


def _check_scales(op):
    """INT8 activations have one scale each, within the bounds of the operator."""
    tensors = [x for x in (*op.inputs, *op.outputs) if x is not None and x.dtype == BYTE]
    for tensor in tensors:
        count = len(tensor.quantization.scales)
        _demand(
            count == 1 or (count > 1 and tensor.is_constant),
            "has INT8 without a single scale",
        )
        _demand(tensor.quantization.scales.min() > 1e-12, "has a scale that is too small")
    (output,) = op.outputs[:1]
    if output.dtype != BYTE or op.name == "QUANTIZE":
        return
    scales = [each.quantization.scales.astype(float) for each in tensors[: -len(op.outputs)]]
    result = output.quantization.scales[0]
    if op.name in MULTIPLIERS:
        multipliers, bounds = math.prod(scales) / result, MULTIPLIERS[op.name]
    else:
        multipliers, bounds = np.concatenate(scales) / result, RATIOS
    if op.name in COPYING:
        zeros = [int(each.quantization.zero_points[0]) for each in tensors]
        _demand((multipliers == 1).all() and len(set(zeros)) == 1, "copies INT8 to another scale")
    fit = (multipliers > bounds[0]).all() and (multipliers < bounds[1]).all()
    _demand(fit, "has scales that are too far apart")
    if op.name in CURVES:
        scale, zero = CURVES[op.name]
        fixed = result == scale and output.quantization.zero_points[0] == zero
        _demand(fixed, f"has an output with a scale other than {scale}")


def _demand(condition, otherwise):
    if not condition:
        raise ValueError(otherwise)


# Rules: operator -> `Results`.


def _arguments(op: Operator, least: int, most: int | None = None) -> tuple[Any, ...]:
    """The inputs, padded with None up to `most`."""
    most = most or least
    _demand(least <= len(op.inputs) <= most, f"has {len(op.inputs)} inputs")
    _demand(all(each is not None for each in op.inputs[:least]), "lacks an input")
    return op.inputs + (None,) * (most - len(op.inputs))


def _type(tensors: Iterable[Tensor], allowed: Iterable[str]) -> str:
    """The type that all tensors share."""
    dtypes = {each.dtype for each in tensors}
    _demand(len(dtypes) == 1 and dtypes <= set(allowed), f"has inputs of types {sorted(dtypes)}")
    return dtypes.pop()


def _constant(tensor: Tensor, rank: int | None = None) -> np.ndarray:
    """The numbers of an INT32 constant."""
    _demand(tensor.is_constant, "has parameters that are not constant")
    _demand(tensor.dtype == INTEGER, "has parameters that are not INT32")
    _demand(rank is None or len(tensor.shape) == rank, "has parameters of the wrong shape")
    return tensor.values


def _given(vector):
    """A vector of the options; the schema has None for an absent one."""
    return () if vector is None else vector


def _axis(axis, rank):
    _demand(-rank <= axis < rank, f"has axis {axis} of {rank}")
    return int(axis) % rank


def _unary(*dtypes, makes=None):
    def rule(op):
        (x,) = _arguments(op, 1)
        dtype = _type([x], dtypes)
        return x.size, [(x.shape, makes or dtype)]

    return rule


def _binary(*dtypes, makes=None):
    def rule(op):
        a, b = _arguments(op, 2)
        dtype = _type([a, b], dtypes)
        shape = np.broadcast_shapes(a.shape, b.shape)
        _demand(dtype != INTEGER or op.activation == "NONE", "is fused on INT32")
        return math.prod(shape), [(shape, makes or dtype)]

    return rule


def _select(op):
    condition, a, b = _arguments(op, 3)
    dtype = _type([a, b], NUMBERS)
    _demand(condition.dtype == TRUTH, "has a condition that is not BOOL")
    if op.name == "SELECT":
        _demand(condition.shape == a.shape == b.shape, "has inputs of different shapes")
    shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    return math.prod(shape), [(shape, dtype)]


def _cast(op):
    (x,) = _arguments(op, 1)
    _type([x], (FLOAT, INTEGER, TRUTH))
    (output,) = op.outputs
    return x.size, [(x.shape, _type([output], (FLOAT, INTEGER, TRUTH)))]


def _reshape(op):
    x, target = _arguments(op, 1, 2)
    (output,) = op.outputs
    wanted = _constant(target, rank=1) if target is not None else _given(op.options.get("newShape"))
    wanted = tuple(int(each) for each in wanted)
    fits = len(wanted) == len(output.shape) and all(
        a in (-1, b) for a, b in zip(wanted, output.shape, strict=True)
    )
    _demand(fits and wanted.count(-1) <= 1, f"states the shape {list(wanted)}")
    _demand(output.size == x.size, f"makes {output.size} numbers of {x.size}")
    return 0, [(output.shape, _type([x], COPIED))]


def _concatenation(op):
    _demand(1 <= len(op.inputs) <= 64 and None not in op.inputs, "lacks an input")
    dtype = _type(op.inputs, COPIED)
    _demand(op.activation == "NONE", "is fused")
    axis = _axis(op.options["axis"], len(op.inputs[0].shape))
    shape = list(op.inputs[0].shape)
    for x in op.inputs[1:]:
        same = len(x.shape) == len(shape) and all(
            x.shape[i] == shape[i] for i in range(len(shape)) if i != axis
        )
        _demand(same, "has inputs whose shapes do not match")
        shape[axis] += x.shape[axis]
    return 0, [(shape, dtype)]


def _pack(op):
    _demand(op.options["valuesCount"] == len(op.inputs), "has a wrong number of inputs")
    _demand(None not in op.inputs, "lacks an input")
    dtype = _type(op.inputs, COPIED)
    shape = op.inputs[0].shape
    _demand(all(each.shape == shape for each in op.inputs), "has inputs of different shapes")
    axis = _axis(op.options["axis"], len(shape) + 1)
    return 0, [((*shape[:axis], len(op.inputs), *shape[axis:]), dtype)]


def _split(op):
    where, x = _arguments(op, 2)
    dtype = _type([x], COPIED)
    axes = _constant(where)
    _demand(axes.size == 1, "has several axes")
    axis = _axis(axes.item(), len(x.shape))
    count = op.options["numSplits"]
    _demand(count == len(op.outputs) and x.shape[axis] % count == 0, "can't split its input evenly")
    shape = list(x.shape)
    shape[axis] //= count
    return 0, [(shape, dtype)] * count


def _strided_slice(op):
    x, *bounds = _arguments(op, 4)
    dtype = _type([x], COPIED)
    begin, end, strides = (_constant(each, rank=1).tolist() for each in bounds)
    _demand(len(begin) == len(end) == len(strides) <= MAX_RANK, "has bounds of the wrong length")
    masks = {name: value for name, value in op.options.items() if name.endswith("Mask")}
    _demand(all(0 <= each < 2**MAX_RANK for each in masks.values()), "has unknown masks")
    _demand(not masks["ellipsisMask"] and not op.options["offset"], "uses an ellipsis")
    _demand(all(strides), "has a stride of 0")
    index: list[int | slice | None] = []
    for i in range(len(begin)):
        if masks["newAxisMask"] >> i & 1:
            index.append(None)
        elif masks["shrinkAxisMask"] >> i & 1:
            _demand(strides[i] == 1, "drops an axis with a stride other than 1")
            index.append(begin[i])
        else:
            first = None if masks["beginMask"] >> i & 1 else begin[i]
            last = None if masks["endMask"] >> i & 1 else end[i]
            index.append(slice(first, last, strides[i]))
    # The operator indexes as numpy does.
    shape = np.broadcast_to(np.int8(0), x.shape)[tuple(index)].shape
    _demand(all(shape), "makes an empty tensor")
    return 0, [(shape, dtype)]


def _slice(op):
    x, *bounds = _arguments(op, 3)
    dtype = _type([x], COPIED)
    begin, size = (_constant(each, rank=1).tolist() for each in bounds)
    _demand(len(begin) == len(size) == len(x.shape), "has bounds of the wrong length")
    size = [length - a if n == -1 else n for a, n, length in zip(begin, size, x.shape, strict=True)]
    inside = all(
        a >= 0 and n > 0 and a + n <= length
        for a, n, length in zip(begin, size, x.shape, strict=True)
    )
    _demand(inside, "reads outside its input")
    return 0, [(size, dtype)]


def _gather(op):
    x, indices = _arguments(op, 2)
    dtype = _type([x], COPIED)
    axis = _axis(op.options["axis"], len(x.shape))
    _demand(op.options["batchDims"] == 0, "has batch dimensions")
    _demand(indices.dtype == INTEGER, "has indices that are not INT32")
    if indices.is_constant:
        inside = (indices.values >= 0) & (indices.values < x.shape[axis])
        _demand(inside.all(), "reads outside its input")
    return 0, [((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), dtype)]


def _reduce(op):
    x, where = _arguments(op, 2)
    dtype = _type([x], NUMBERS)
    axes = {_axis(each, len(x.shape)) for each in _constant(where).ravel()}
    keep = op.options["keepDims"]
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
    return x.size, [(shape, dtype)]


def _transpose(op):
    x, where = _arguments(op, 2)
    order = _constant(where, rank=1).tolist()
    _demand(sorted(order) == list(range(len(x.shape))), f"has the order {order}")
    return 0, [([x.shape[i] for i in order], _type([x], COPIED))]


def _expand_dims(op):
    x, where = _arguments(op, 2)
    axes = _constant(where)
    _demand(axes.size == 1, "has several axes")
    axis = _axis(axes.item(), len(x.shape) + 1)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return 0, [(shape, _type([x], COPIED))]


def _squeeze(op):
    (x,) = _arguments(op, 1)
    axes = {_axis(each, len(x.shape)) for each in _given(op.options["squeezeDims"])}
    axes = axes or {i for i, n in enumerate(x.shape) if n == 1}
    _demand(all(x.shape[i] == 1 for i in axes), "drops an axis longer than 1")
    shape = [n for i, n in enumerate(x.shape) if i not in axes]
    return 0, [(shape, _type([x], COPIED))]


def _weighted(op, x, weights, bias, channels, axis):
    """The dtype of a layer's input: float with float or INT8 weights, or all INT8."""
    dtypes = (x.dtype, weights.dtype)
    _demand(dtypes in ((FLOAT, FLOAT), (FLOAT, BYTE), (BYTE, BYTE)), f"takes inputs of {dtypes}")
    _demand(weights.dtype == FLOAT or weights.is_constant, "has INT8 weights that are not constant")
    scales = weights.quantization.scales
    if weights.dtype == BYTE and len(scales) > 1:
        _demand(weights.quantization.axis == axis, "has weights quantized along the wrong axis")
    if bias is not None:
        _demand(bias.shape in ((channels,), (1, channels)), "has a bias of the wrong shape")
        expected = INTEGER if x.dtype == BYTE else FLOAT
        _demand(bias.dtype == expected, "has a bias of the wrong type")
        _demand(x.dtype == FLOAT or bias.is_constant, "has an INT32 bias that is not constant")
        if x.dtype == BYTE:
            stated = len(bias.quantization.scales)
            _demand(stated == len(scales) or stated == 1, "has a wrong number of bias scales")
            _demand(not bias.quantization.zero_points.any(), "has a bias with a zero point")
    return x.dtype


def _fully_connected(op):
    x, weights, bias = _arguments(op, 2, 3)
    _demand(len(weights.shape) == 2 and len(x.shape) >= 1, "has weights of the wrong rank")
    channels, depth = weights.shape
    _demand(x.shape[-1] == depth, f"multiplies {x.shape[-1]} inputs with {depth} weights")
    _demand(op.options["weightsFormat"] == 0, "has shuffled weights")
    dtype = _weighted(op, x, weights, bias, channels, 0)
    kept = (*x.shape[:-1], channels)
    shape = kept if op.options["keepNumDims"] else (x.size // depth, channels)
    return x.size * channels, [(shape, dtype)]


def _window(op, sides, kernel):
    """Height and width of a convolution's output."""
    options = op.options
    strides = options["strideH"], options["strideW"]
    dilations = options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
    _demand(options["padding"] in (SAME, VALID), "has an unknown padding")
    _demand(all(1 <= each <= 64 for each in (*strides, *dilations)), f"has strides of {strides}")
    results = []
    for side, width, stride, dilation in zip(sides, kernel, strides, dilations, strict=True):
        covered = 0 if options["padding"] == SAME else (width - 1) * dilation
        _demand(side > covered, "has a kernel larger than its input")
        results.append(-(-(side - covered) // stride))
    return results


def _conv_2d(op):
    x, weights, bias = _arguments(op, 2, 3)
    _demand(len(x.shape) == len(weights.shape) == 4, "has inputs of the wrong rank")
    channels, kernel_height, kernel_width, depth = weights.shape
    _demand(x.shape[3] == depth, f"has {x.shape[3]} input channels and weights for {depth}")
    dtype = _weighted(op, x, weights, bias, channels, 0)
    height, width = _window(op, x.shape[1:3], (kernel_height, kernel_width))
    shape = x.shape[0], height, width, channels
    return math.prod(shape) * kernel_height * kernel_width * depth, [(shape, dtype)]


def _transpose_conv(op):
    target, weights, x, bias = _arguments(op, 3, 4)
    shape = tuple(_constant(target, rank=1).tolist())
    _demand(len(shape) == len(x.shape) == len(weights.shape) == 4, "has inputs of the wrong rank")
    channels, kernel_height, kernel_width, depth = weights.shape
    _demand(x.shape[3] == depth, f"has {x.shape[3]} input channels and weights for {depth}")
    _demand(shape[0] == x.shape[0] and shape[3] == channels, f"states the shape {list(shape)}")
    dtype = _weighted(op, x, weights, bias, channels, 0)
    # The convolution that it transposes must lead back to its input.
    sides = _window(op, shape[1:3], (kernel_height, kernel_width))
    _demand(tuple(sides) == x.shape[1:3], f"makes {list(shape)} from {list(x.shape)}")
    return x.size * channels * kernel_height * kernel_width, [(shape, dtype)]


def _depth_to_space(op):
    (x,) = _arguments(op, 1)
    block = op.options["blockSize"]
    _demand(len(x.shape) == 4, "has an input of the wrong rank")
    batch, height, width, depth = x.shape
    _demand(2 <= block <= 64 and depth % block**2 == 0, f"has a block of {block}")
    shape = batch, height * block, width * block, depth // block**2
    return 0, [(shape, _type([x], (FLOAT, BYTE)))]


_CURVES = ("ABS", "NEG", "SQRT", "RSQRT", "SQUARE", "EXP", "LOG", "SIN", "COS", "FLOOR", "CEIL")
_COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")

# Operator -> its rule, and the table of options that it needs.
RULES: dict[str, tuple[Callable[[Operator], Results], str | None]] = {
    **dict.fromkeys(_CURVES, (_unary(FLOAT), None)),
    **dict.fromkeys(("TANH", "LOGISTIC", "RELU", "RELU6"), (_unary(FLOAT, BYTE), None)),
    "LEAKY_RELU": (_unary(FLOAT, BYTE), "LeakyReluOptions"),
    "LOGICAL_NOT": (_unary(TRUTH), None),
    "ADD": (_binary(FLOAT, INTEGER, BYTE), "AddOptions"),
    "SUB": (_binary(FLOAT, INTEGER, BYTE), "SubOptions"),
    "MUL": (_binary(FLOAT, INTEGER, BYTE), "MulOptions"),
    "DIV": (_binary(FLOAT), "DivOptions"),
    "MAXIMUM": (_binary(FLOAT, INTEGER, BYTE), None),
    "MINIMUM": (_binary(FLOAT, INTEGER, BYTE), None),
    "SQUARED_DIFFERENCE": (_binary(FLOAT), None),
    "BITWISE_XOR": (_binary(INTEGER), None),
    "RIGHT_SHIFT": (_binary(INTEGER), None),
    "LOGICAL_AND": (_binary(TRUTH), None),
    "LOGICAL_OR": (_binary(TRUTH), None),
    **dict.fromkeys(_COMPARISONS, (_binary(FLOAT, INTEGER, makes=TRUTH), None)),
    "SELECT": (_select, None),
    "SELECT_V2": (_select, None),
    "CAST": (_cast, None),
    "QUANTIZE": (_unary(FLOAT, BYTE, makes=BYTE), None),
    "DEQUANTIZE": (_unary(HALF, BYTE, makes=FLOAT), None),
    "RESHAPE": (_reshape, None),
    "CONCATENATION": (_concatenation, "ConcatenationOptions"),
    "PACK": (_pack, "PackOptions"),
    "SPLIT": (_split, "SplitOptions"),
    "STRIDED_SLICE": (_strided_slice, "StridedSliceOptions"),
    "SLICE": (_slice, None),
    "GATHER": (_gather, "GatherOptions"),
    "SUM": (_reduce, "ReducerOptions"),
    "MEAN": (_reduce, "ReducerOptions"),
    "TRANSPOSE": (_transpose, None),
    "EXPAND_DIMS": (_expand_dims, None),
    "SQUEEZE": (_squeeze, "SqueezeOptions"),
    "FULLY_CONNECTED": (_fully_connected, "FullyConnectedOptions"),
    "CONV_2D": (_conv_2d, "Conv2DOptions"),
    "TRANSPOSE_CONV": (_transpose_conv, "TransposeConvOptions"),
    "DEPTH_TO_SPACE": (_depth_to_space, "DepthToSpaceOptions"),
}
