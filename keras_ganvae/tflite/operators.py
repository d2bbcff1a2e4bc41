"""What each operator demands of its tensors, so that its native kernel can't go wrong.

The kernels trust a file's shapes, types and options: a stride of 0 divides by it, a shape
that belongs to another operator is read past its end. So a graph is run only if each of
its operators is known here, and the shapes and types that the file states are those which
the operator makes of its inputs.
"""

import math
from dataclasses import dataclass

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.tflite.read import DTYPES, NUMPY, Model, Operator, Subgraph, Tensor

MOST_RANK = 4  # what every kernel takes
MOST_ELEMENTS = 2**26  # of all results of a graph
MOST_WORK = 2**34  # multiplications of a run: seconds
WEIGHTED = ("CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
# What INT8 kernels multiply by, products of scales over the result's. ADD's aborts where
# scales are further apart, and XNNPACK, measured, frees its memory twice.
MULTIPLIERS = {"MUL": (2.0**-15, 2.0**7)} | dict.fromkeys(WEIGHTED, (2.0**-30, 2.0**7))
RATIOS = (2.0**-7, 2.0**7)  # of the other operators' scales to their result's
CURVES = {"TANH": (1 / 128, 0), "LOGISTIC": (1 / 256, -128)}  # what their INT8 results must have

FLOAT, HALF, INTEGER, BYTE, TRUTH = "FLOAT32", "FLOAT16", "INT32", "INT8", "BOOL"
NUMBERS = {FLOAT, INTEGER}
SAME, VALID = 0, 1  # paddings
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
# Those that only move numbers.
MOVERS = ("RESHAPE", "DEPTH_TO_SPACE", "SPLIT", "STRIDED_SLICE", "SLICE", "GATHER", "TRANSPOSE")
MOVERS += ("PACK", "EXPAND_DIMS", "SQUEEZE")
FUSED = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6")  # what the kernels take


@dataclass(frozen=True)
class Node:
    """An operator with its tensors; `inputs` has None for one that is absent."""

    operator: Operator
    inputs: tuple
    outputs: tuple

    @property
    def name(self):
        return self.operator.name

    @property
    def options(self) -> dict:
        return self.operator.options or {}

    @property
    def activation(self) -> str:
        return ACTIVATIONS[self.options.get("activation", 0)]


def nodes(graph: Subgraph) -> list[Node]:
    """The operators of a graph in the order of running."""
    return [
        Node(
            each,
            tuple(graph.tensors[i] if i >= 0 else None for i in each.inputs),
            tuple(graph.tensors[i] for i in each.outputs),
        )
        for each in graph.operators
    ]


def check(model: Model) -> Model:
    """The model itself, if the native interpreter may have it.

    Raises:
        InputError: an operator is not known here, or is given what it can't work on.
    """
    try:
        _demand(model.signatures, "it has no signature")
        for name, signature in model.signatures.items():
            _demand(signature.outputs, f"the signature {name} has no output")
        for graph in model.subgraphs:
            _check_graph(graph)
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(
            f"{model.path} can't be run: {error}; export it again with this package"
        ) from error
    return model


def _check_graph(graph):
    for tensor in graph.tensors:
        _check_tensor(tensor)
    elements, work = 0, 0
    for node in nodes(graph):
        try:
            work += _check_node(node)
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise ValueError(f"{node.name} {error}") from error
        elements += sum(each.size for each in node.outputs)
    _demand(elements <= MOST_ELEMENTS and work <= MOST_WORK, "it asks for too much work")


def _check_tensor(tensor):
    _demand(tensor.dtype in (FLOAT, HALF, INTEGER, BYTE, TRUTH), f"a tensor is {tensor.dtype}")
    _demand(len(tensor.shape) <= MOST_RANK, f"a tensor has {len(tensor.shape)} dimensions")
    _demand(tensor.shape == tensor.shape_signature, "a tensor's shape is dynamic")
    _demand(not tensor.is_variable and not tensor.is_sparse, "a tensor is variable or sparse")
    # An empty one is a list of axes or of sizes, and constant.
    _demand(tensor.size > 0 or tensor.dtype == INTEGER, "a tensor is empty")
    quantisation = tensor.quantisation
    _demand(not quantisation.custom, "a tensor is quantised in an unknown way")
    if len(quantisation.scales) and tensor.dtype in (BYTE, INTEGER):
        limits = np.iinfo(NUMPY[tensor.dtype])
        zeros = quantisation.zero_points
        _demand(len(zeros) == len(quantisation.scales), "a tensor lacks zero points")
        _demand(((zeros >= limits.min) & (zeros <= limits.max)).all(), "a zero point is too large")
        _demand(len(zeros) == 1 or not zeros.any(), "a zero point differs along an axis")


def _check_node(node) -> int:
    """Refuse what the kernel can't take; returns how many multiplications it asks for."""
    _demand(node.name in RULES, "is not among the operators that this package runs")
    rule, options_table = RULES[node.name]
    operator = node.operator
    _demand(operator.plain, "has parts that this package does not read")
    stated = operator.options_table
    if options_table is not None:
        _demand(stated == options_table and operator.options is not None, "lacks its options")
    _demand(0 <= node.options.get("activation", 0) < len(ACTIVATIONS), "has an unknown activation")
    _demand(node.activation in FUSED, f"is fused with {node.activation}")
    # 0 says nothing; INT32 is what an INT8 layer's bias is.
    _demand(DTYPES.get(node.options.get("bias_type", 0)) in (FLOAT, INTEGER), "has an odd bias")
    _demand(node.outputs and node.inputs, "has no input or no output")
    _check_scales(node)
    work, expected = rule(node)
    _demand(len(expected) == len(node.outputs), f"has {len(node.outputs)} outputs")
    for output, (shape, dtype) in zip(node.outputs, expected, strict=True):
        _demand(
            output.shape == tuple(shape) and output.dtype == dtype,
            f"makes {dtype} {list(shape)}, not {output.dtype} {list(output.shape)}",
        )
    return work


def _check_scales(node):
    """INT8 activations have one scale each, and the scales of one operator go together."""
    tensors = [x for x in (*node.inputs, *node.outputs) if x is not None and x.dtype == BYTE]
    for tensor in tensors:
        count = len(tensor.quantisation.scales)
        _demand(count == 1 or (count > 1 and tensor.is_constant), "has INT8 without one scale")
        _demand(tensor.quantisation.scales.min() > 1e-12, "has a scale that is too small")
    (output,) = node.outputs[:1]
    if output.dtype != BYTE or node.name == "QUANTIZE":
        return
    scales = [each.quantisation.scales.astype(float) for each in tensors[: -len(node.outputs)]]
    result = output.quantisation.scales[0]
    if node.name in MULTIPLIERS:
        multipliers, bounds = math.prod(scales) / result, MULTIPLIERS[node.name]
    else:
        multipliers, bounds = np.concatenate(scales) / result, RATIOS
    if node.name in MOVERS:
        zeros = [int(each.quantisation.zero_points[0]) for each in tensors]
        _demand((multipliers == 1).all() and len(set(zeros)) == 1, "has INT8 of two scales")
    fit = (multipliers > bounds[0]).all() and (multipliers < bounds[1]).all()
    _demand(fit, "has scales that are too far apart")
    if node.name in CURVES:
        scale, zero = CURVES[node.name]
        fixed = result == scale and output.quantisation.zero_points[0] == zero
        _demand(fixed, f"has a result that is not quantised by {scale}")


def _demand(condition, otherwise):
    if not condition:
        raise ValueError(otherwise)


# Rules: node -> (multiplications, [(shape, dtype) of each output]).


def _arguments(node, least, most=None) -> tuple:
    """The inputs, as many as there may be; optional ones that are absent are None."""
    most = most or least
    _demand(least <= len(node.inputs) <= most, f"has {len(node.inputs)} inputs")
    _demand(all(each is not None for each in node.inputs[:least]), "lacks an input")
    return node.inputs + (None,) * (most - len(node.inputs))


def _type(tensors, allowed) -> str:
    """The one type of all the tensors."""
    dtypes = {each.dtype for each in tensors}
    _demand(len(dtypes) == 1 and dtypes <= set(allowed), f"has inputs of {sorted(dtypes)}")
    return dtypes.pop()


def _constant(tensor: Tensor, rank=None) -> np.ndarray:
    """The int32 numbers of a constant."""
    _demand(tensor is not None and tensor.is_constant, "is told its parameters at run time")
    _demand(tensor.dtype == INTEGER, "has parameters that are not INT32")
    _demand(rank is None or len(tensor.shape) == rank, "has parameters of the wrong shape")
    return tensor.values


def _axis(axis, rank):
    _demand(-rank <= axis < rank, f"works along axis {axis} of {rank}")
    return int(axis) % rank


def _unary(*dtypes):
    def rule(node):
        (x,) = _arguments(node, 1)
        return x.size, [(x.shape, _type([x], dtypes))]

    return rule


def _binary(*dtypes, makes=None):
    def rule(node):
        a, b = _arguments(node, 2)
        dtype = _type([a, b], dtypes)
        shape = np.broadcast_shapes(a.shape, b.shape)
        _demand(dtype != INTEGER or node.activation == "NONE", "is fused on INT32")
        return math.prod(shape), [(shape, makes or dtype)]

    return rule


def _select(node):
    condition, a, b = _arguments(node, 3)
    dtype = _type([a, b], NUMBERS)
    _demand(condition.dtype == TRUTH, "has a condition that is not BOOL")
    if node.name == "SELECT":
        _demand(condition.shape == a.shape == b.shape, "has inputs of different shapes")
    shape = np.broadcast_shapes(condition.shape, a.shape, b.shape)
    return math.prod(shape), [(shape, dtype)]


def _cast(node):
    (x,) = _arguments(node, 1)
    _type([x], (FLOAT, INTEGER, TRUTH))
    (output,) = node.outputs
    return x.size, [(x.shape, _type([output], (FLOAT, INTEGER, TRUTH)))]


def _quantize(node):
    (x,) = _arguments(node, 1)
    _type([x], (FLOAT, BYTE))
    return x.size, [(x.shape, BYTE)]


def _dequantize(node):
    (x,) = _arguments(node, 1)
    _type([x], (HALF, BYTE))
    return x.size, [(x.shape, FLOAT)]


def _reshape(node):
    x, target = _arguments(node, 1, 2)
    (output,) = node.outputs
    wanted = _constant(target, rank=1) if target is not None else node.options.get("shape", ())
    wanted = tuple(int(each) for each in wanted)
    fits = len(wanted) == len(output.shape) and all(
        a in (-1, b) for a, b in zip(wanted, output.shape, strict=True)
    )
    _demand(fits and wanted.count(-1) <= 1, f"is to make {list(wanted)}")
    _demand(output.size == x.size, f"makes {output.size} numbers of {x.size}")
    return 0, [(output.shape, _type([x], (FLOAT, INTEGER, BYTE)))]


def _concatenation(node):
    _demand(1 <= len(node.inputs) <= 64 and None not in node.inputs, "lacks an input")
    dtype = _type(node.inputs, (FLOAT, INTEGER, BYTE))
    _demand(node.activation == "NONE", "is fused")
    axis = _axis(node.options["axis"], len(node.inputs[0].shape))
    shape = list(node.inputs[0].shape)
    for x in node.inputs[1:]:
        same = len(x.shape) == len(shape) and all(
            x.shape[i] == shape[i] for i in range(len(shape)) if i != axis
        )
        _demand(same, "has inputs that do not fit together")
        shape[axis] += x.shape[axis]
    return 0, [(shape, dtype)]


def _pack(node):
    _demand(node.options["count"] == len(node.inputs), "has another number of inputs")
    _demand(None not in node.inputs, "lacks an input")
    dtype = _type(node.inputs, (FLOAT, INTEGER, BYTE))
    shape = node.inputs[0].shape
    _demand(all(each.shape == shape for each in node.inputs), "has inputs of different shapes")
    axis = _axis(node.options["axis"], len(shape) + 1)
    return 0, [((*shape[:axis], len(node.inputs), *shape[axis:]), dtype)]


def _split(node):
    where, x = _arguments(node, 2)
    dtype = _type([x], (FLOAT, INTEGER, BYTE))
    axes = _constant(where)
    _demand(axes.size == 1, "has several axes")
    axis = _axis(axes.item(), len(x.shape))
    count = node.options["count"]
    _demand(count == len(node.outputs) and x.shape[axis] % count == 0, "can't divide its input")
    shape = list(x.shape)
    shape[axis] //= count
    return 0, [(shape, dtype)] * count


def _strided_slice(node):
    x, *bounds = _arguments(node, 4)
    dtype = _type([x], (FLOAT, INTEGER, BYTE))
    begin, end, strides = (_constant(each, rank=1).tolist() for each in bounds)
    _demand(len(begin) == len(end) == len(strides) <= MOST_RANK, "has bounds that do not fit")
    masks = {name: value for name, value in node.options.items() if name.endswith("_mask")}
    _demand(all(0 <= each < 2**MOST_RANK for each in masks.values()), "has unknown masks")
    _demand(not masks["ellipsis_mask"] and not node.options["offset"], "uses an ellipsis")
    _demand(all(strides), "has a stride of 0")
    index = []
    for i in range(len(begin)):
        if masks["new_axis_mask"] >> i & 1:
            index.append(None)
        elif masks["shrink_axis_mask"] >> i & 1:
            _demand(strides[i] == 1, "takes one of an axis backwards")
            index.append(begin[i])
        else:
            first = None if masks["begin_mask"] >> i & 1 else begin[i]
            last = None if masks["end_mask"] >> i & 1 else end[i]
            index.append(slice(first, last, strides[i]))
    # numpy's rules are those of the operator, where it takes an index at all.
    shape = np.broadcast_to(np.int8(0), x.shape)[tuple(index)].shape
    _demand(all(shape), "takes nothing")
    return 0, [(shape, dtype)]


def _slice(node):
    x, *bounds = _arguments(node, 3)
    dtype = _type([x], (FLOAT, INTEGER, BYTE))
    begin, size = (_constant(each, rank=1).tolist() for each in bounds)
    _demand(len(begin) == len(size) == len(x.shape), "has bounds that do not fit")
    size = [length - a if n == -1 else n for a, n, length in zip(begin, size, x.shape, strict=True)]
    inside = all(
        a >= 0 and n > 0 and a + n <= length
        for a, n, length in zip(begin, size, x.shape, strict=True)
    )
    _demand(inside, "takes what its input lacks")
    return 0, [(size, dtype)]


def _gather(node):
    x, indices = _arguments(node, 2)
    dtype = _type([x], (FLOAT, INTEGER, BYTE))
    axis = _axis(node.options["axis"], len(x.shape))
    _demand(node.options["batch_dims"] == 0, "works in batches")
    _demand(indices.dtype == INTEGER, "has indices that are not INT32")
    if indices.is_constant:
        inside = (indices.values >= 0) & (indices.values < x.shape[axis])
        _demand(inside.all(), "takes what its input lacks")
    return 0, [((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), dtype)]


def _reduce(node):
    x, where = _arguments(node, 2)
    dtype = _type([x], NUMBERS)
    axes = {_axis(each, len(x.shape)) for each in _constant(where).ravel()}
    keep = node.options["keep_dims"]
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
    return x.size, [(shape, dtype)]


def _transpose(node):
    x, where = _arguments(node, 2)
    order = _constant(where, rank=1).tolist()
    _demand(sorted(order) == list(range(len(x.shape))), f"has the order {order}")
    return 0, [([x.shape[i] for i in order], _type([x], (FLOAT, INTEGER, BYTE)))]


def _expand_dims(node):
    x, where = _arguments(node, 2)
    axes = _constant(where)
    _demand(axes.size == 1, "has several axes")
    axis = _axis(axes.item(), len(x.shape) + 1)
    shape = (*x.shape[:axis], 1, *x.shape[axis:])
    return 0, [(shape, _type([x], (FLOAT, INTEGER, BYTE)))]


def _squeeze(node):
    (x,) = _arguments(node, 1)
    axes = {_axis(each, len(x.shape)) for each in node.options["axes"]}
    axes = axes or {i for i, n in enumerate(x.shape) if n == 1}
    _demand(all(x.shape[i] == 1 for i in axes), "drops an axis that is longer than 1")
    shape = [n for i, n in enumerate(x.shape) if i not in axes]
    return 0, [(shape, _type([x], (FLOAT, INTEGER, BYTE)))]


def _weighted(node, x, weights, bias, channels, axis) -> str:
    """The type of a layer with weights: float, float with INT8 weights, or all in INT8."""
    dtypes = (x.dtype, weights.dtype)
    _demand(dtypes in ((FLOAT, FLOAT), (FLOAT, BYTE), (BYTE, BYTE)), f"works on {dtypes}")
    _demand(weights.dtype == FLOAT or weights.is_constant, "has INT8 weights that change")
    scales = weights.quantisation.scales
    if weights.dtype == BYTE and len(scales) > 1:
        _demand(weights.quantisation.axis == axis, "has weights quantised along another axis")
    if bias is not None:
        _demand(bias.shape in ((channels,), (1, channels)), "has a bias of another size")
        _demand(bias.dtype == (INTEGER if x.dtype == BYTE else FLOAT), "has a bias of another type")
        _demand(x.dtype == FLOAT or bias.is_constant, "has an INT32 bias that changes")
        if x.dtype == BYTE:
            stated = len(bias.quantisation.scales)
            _demand(stated == len(scales) or stated == 1, "has a bias of other scales")
            _demand(not bias.quantisation.zero_points.any(), "has a bias with a zero point")
    return x.dtype


def _fully_connected(node):
    x, weights, bias = _arguments(node, 2, 3)
    _demand(len(weights.shape) == 2 and len(x.shape) >= 1, "has weights of the wrong rank")
    channels, depth = weights.shape
    _demand(x.shape[-1] == depth, f"multiplies {x.shape[-1]} numbers with {depth} weights")
    _demand(node.options["weights_format"] == 0, "has shuffled weights")
    dtype = _weighted(node, x, weights, bias, channels, 0)
    kept = (*x.shape[:-1], channels)
    shape = kept if node.options["keep_num_dims"] else (x.size // depth, channels)
    return x.size * channels, [(shape, dtype)]


def _window(node, height, width, kernel_height, kernel_width):
    """Height and width of a convolution's result."""
    options = node.options
    strides = options["stride_h"], options["stride_w"]
    dilations = options.get("dilation_h", 1), options.get("dilation_w", 1)
    _demand(options["padding"] in (SAME, VALID), "has an unknown padding")
    _demand(all(1 <= each <= 64 for each in (*strides, *dilations)), f"has strides of {strides}")
    sides = []
    for side, kernel, stride, dilation in zip(
        (height, width), (kernel_height, kernel_width), strides, dilations, strict=True
    ):
        covered = 0 if options["padding"] == SAME else (kernel - 1) * dilation
        _demand(side > covered, "has a kernel larger than its image")
        sides.append(-(-(side - covered) // stride))
    return sides


def _conv_2d(node):
    x, weights, bias = _arguments(node, 2, 3)
    _demand(len(x.shape) == len(weights.shape) == 4, "has inputs of the wrong rank")
    channels, kernel_height, kernel_width, depth = weights.shape
    _demand(x.shape[3] == depth, f"has {x.shape[3]} channels and weights for {depth}")
    dtype = _weighted(node, x, weights, bias, channels, 0)
    height, width = _window(node, *x.shape[1:3], kernel_height, kernel_width)
    shape = x.shape[0], height, width, channels
    return math.prod(shape) * kernel_height * kernel_width * depth, [(shape, dtype)]


def _transpose_conv(node):
    target, weights, x, bias = _arguments(node, 3, 4)
    shape = tuple(_constant(target, rank=1).tolist())
    _demand(len(shape) == len(x.shape) == len(weights.shape) == 4, "has inputs of the wrong rank")
    channels, kernel_height, kernel_width, depth = weights.shape
    _demand(x.shape[3] == depth, f"has {x.shape[3]} channels and weights for {depth}")
    _demand(shape[0] == x.shape[0] and shape[3] == channels, f"is to make {list(shape)}")
    dtype = _weighted(node, x, weights, bias, channels, 0)
    # The convolution of which it is the transpose makes its input's sides.
    sides = _window(node, *shape[1:3], kernel_height, kernel_width)
    _demand(tuple(sides) == x.shape[1:3], f"makes {list(shape)} of {list(x.shape)}")
    return x.size * channels * kernel_height * kernel_width, [(shape, dtype)]


def _depth_to_space(node):
    (x,) = _arguments(node, 1)
    block = node.options["block"]
    _demand(len(x.shape) == 4, "has an input of the wrong rank")
    batch, height, width, depth = x.shape
    _demand(2 <= block <= 64 and depth % block**2 == 0, f"has a block of {block}")
    shape = batch, height * block, width * block, depth // block**2
    return 0, [(shape, _type([x], (FLOAT, BYTE)))]


_CURVES = ("ABS", "NEG", "SQRT", "RSQRT", "SQUARE", "EXP", "LOG", "SIN", "COS", "FLOOR", "CEIL")
_COMPARISONS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")

# Operator -> its rule, and the table of options without which it can't be run.
RULES = {
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
    "QUANTIZE": (_quantize, None),
    "DEQUANTIZE": (_dequantize, None),
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
