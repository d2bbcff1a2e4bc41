"""TFLite operator -> C loop nest, in one small table: `TRANSLATIONS`.

Each nest is a file of `templates/`, the same for int8 and float32; they differ in how they
read an input, and in what they make of a sum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_ganvae.c import quantized
from keras_ganvae.c.text import Array, narrowed, rendered
from keras_ganvae.errors import InputError
from keras_ganvae.tflite.operators import BYTE, FLOAT, SAME
from keras_ganvae.tflite.read import Operator, Tensor

# What float32 makes of one number v.
CURVES = {
    "TANH": "tanhf(v)",
    "LOGISTIC": "1.0f / (1.0f + expf(-v))",
    "RELU": "v > 0.0f ? v : 0.0f",
    "LEAKY_RELU": "v > 0.0f ? v : {alpha}f * v",
    "ADD": "v + {constant}f",
}
FUSED = ("NONE", "RELU")  # activations


@dataclass(frozen=True, eq=False)
class Layer:
    """One operator in C: a function `void NAME(const NUMBER *x, NUMBER *y)`.

    Attributes:
        title: operator and shapes, for a comment.
        size: numbers in y.
        code: the function's statements; none where y is x.
        arrays: its constants.
        in_place: whether y may be x.
        table: int8 (256,), if it replaces each int8 by another one.
    """

    title: str
    size: int
    code: str = ""
    arrays: list[Array] = field(default_factory=list)
    in_place: bool = False
    table: np.ndarray | None = None


def translate(op: Operator, x: Tensor, number: int) -> Layer:
    """One operator in C.

    Args:
        op: an operator that passed `tflite.operators.check`.
        x: its input that is not constant, int8 or float32.
        number: goes into the names of its arrays.

    Raises:
        InputError: there is no C for the operator, or for one of its options.
    """
    if op.name not in TRANSLATIONS:
        raise lacking(op.name)
    (y,) = op.outputs
    if {x.dtype, y.dtype} not in ({BYTE}, {FLOAT}):
        raise lacking(f"{op.name} of {x.dtype} to {y.dtype}")
    if op.activation not in FUSED:
        raise lacking(f"{op.name} with {op.activation}")
    if x.dtype == BYTE and any(len(each.quantization.scales) != 1 for each in (x, y)):
        raise lacking(f"{op.name} with several scales of its input or output")
    return TRANSLATIONS[op.name](op, x, number)


def lacking(what: str) -> InputError:
    """The error of an operator that has no C."""
    known = ", ".join(sorted(TRANSLATIONS))
    return InputError(f"`formats=c` has no C for {what}; it has {known}")


def shape_text(tensor: Tensor) -> str:
    """A tensor's shape without the batch: 7x7x64."""
    return "x".join(map(str, tensor.shape[1:]))


def _title(op: Operator, x: Tensor, detail: str = "") -> str:
    fused = "" if op.activation == "NONE" else f", {op.activation}"
    return f"{op.name}{detail}{fused}: {shape_text(x)} -> {shape_text(op.outputs[0])}"


def _weighted(template: str) -> Callable[[Operator, Tensor, int], Layer]:
    """A layer with weights: sums of products, then a scale or an activation."""

    def layer(op, x, number):
        weights, bias = _parameters(op)
        (y,) = op.outputs
        finish, arrays = (_finish_int8 if x.dtype == BYTE else _finish_float)(op, x, number)
        arrays = [Array(f"weights_{number}", weights.values), *arrays]
        if bias is not None:
            numbers = bias.values.ravel()
            numbers = narrowed(numbers) if x.dtype == BYTE else numbers
            arrays.append(Array(f"bias_{number}", numbers))
        code = rendered(
            template,
            x=x.shape,
            y=y.shape,
            weights=weights.shape,
            number=number,
            sum="int32_t" if x.dtype == BYTE else "float",
            start="0" if bias is None else f"bias_{number}[c]",
            term=_reader(x),
            finish=finish,
            **_window(op, x, y, weights),
        )
        return Layer(_title(op, x, _detail(op, weights)), y.size, code, arrays)

    return layer


def _parameters(op: Operator) -> tuple[Tensor, Tensor | None]:
    """Weights and bias, which must be constants of the file."""
    weights = op.inputs[1]
    bias = op.inputs[3 if op.name == "TRANSPOSE_CONV" else 2 :]
    constants = [weights, *bias]
    if any(each is not None and not each.is_constant for each in constants):
        raise lacking(f"{op.name} with weights that are not constant")
    if weights is None or weights.dtype != op.outputs[0].dtype:
        raise lacking(f"{op.name} with weights of another type than its output")
    return weights, bias[0] if bias else None


def _reader(x: Tensor) -> Callable[[str], str]:
    """Where x[index] is read: its distance from the zero point in int8."""
    zero = quantized.zero_point(x) if x.dtype == BYTE else 0
    if zero == 0:
        return lambda index: f"x[{index}]"
    return lambda index: f"(x[{index}] {'-' if zero > 0 else '+'} {abs(zero)})"


def _finish_int8(op, x, number):
    """(expression of the output, arrays of multipliers)."""
    weights, _ = _parameters(op)
    (y,) = op.outputs
    found = quantized.layer_multipliers(op, x, weights)
    low, high = quantized.range_of(op)
    if len(found) == 1:
        mantissa, shift = map(str, found[0])
        arrays = []
    else:
        mantissa, shift = f"multipliers_{number}[c]", f"shifts_{number}[c]"
        mantissas, shifts = np.array(found, np.int64).T
        arrays = [
            Array(f"multipliers_{number}", mantissas.astype(np.int32)),
            Array(f"shifts_{number}", narrowed(shifts)),
        ]
    zero = quantized.zero_point(y)
    function = "rescaled_once" if op.name in quantized.ROUNDS_ONCE else "rescaled"
    return f"{function}(sum, {mantissa}, {shift}, {zero}, {low}, {high})", arrays


def _finish_float(op, x, number):
    return ("sum > 0.0f ? sum : 0.0f" if op.activation == "RELU" else "sum"), []


def _window(op: Operator, x: Tensor, y: Tensor, weights: Tensor) -> dict[str, Any]:
    """Strides and padding of a convolution, for its template."""
    if op.name == "FULLY_CONNECTED":
        return {}
    if any(op.options.get(f"dilation{axis}Factor", 1) != 1 for axis in "HW"):
        raise lacking(f"{op.name} with a dilation")
    strides = op.options["strideH"], op.options["strideW"]
    # A transposed convolution is padded as the convolution that it transposes: from y to x.
    small, large = (x, y) if op.name == "TRANSPOSE_CONV" else (y, x)
    padding = [
        max(0, (small.shape[axis] - 1) * stride + weights.shape[axis] - large.shape[axis]) // 2
        if op.options["padding"] == SAME
        else 0
        for axis, stride in zip((1, 2), strides, strict=True)
    ]
    return {"strides": strides, "padding": padding}


def _detail(op: Operator, weights: Tensor) -> str:
    if op.name == "FULLY_CONNECTED":
        return ""
    height, width = weights.shape[1:3]
    return f" {height}x{width}, stride {op.options['strideH']}"


def _depth_to_space(op: Operator, x: Tensor, number: int) -> Layer:
    (y,) = op.outputs
    block = op.options["blockSize"]
    code = rendered("depth_to_space.c", x=x.shape, y=y.shape, block=block)
    return Layer(_title(op, x), y.size, code)


def _reshape(op: Operator, x: Tensor, number: int) -> Layer:
    return Layer(_title(op, x), x.size, in_place=True)


def _curve(op: Operator, x: Tensor, number: int) -> Layer:
    """A function of one number."""
    others = [each for each in op.inputs if each is not x]
    if any(each is None or not each.is_constant or each.size != 1 for each in others):
        raise lacking(f"{op.name} of anything but one constant number")
    if x.dtype == BYTE:
        return lookup(_title(op, x), x.size, quantized.table(op, x), number)
    constants = [float(each.values.item()) for each in others if each is not None]
    value = CURVES[op.name].format(
        alpha=float_text(op.options.get("alpha", 0.0)), constant=float_text(*constants or [0.0])
    )
    if op.activation == "RELU":
        raise lacking(f"{op.name} with RELU on float32")
    code = rendered("curve.c", size=x.size, value=value)
    return Layer(_title(op, x), x.size, code, in_place=True)


def float_text(value: float) -> str:
    """The shortest decimal of a float32, in C without its suffix."""
    text = str(np.float32(value))
    if not math.isfinite(value):
        raise lacking(f"the constant {text}")
    return text


def lookup(title: str, size: int, table: np.ndarray, number: int) -> Layer:
    """A layer that replaces each int8 by that of a table, int8 (256,)."""
    code = rendered("lookup.c", size=size, number=number)
    return Layer(title, size, code, [Array(f"table_{number}", table)], True, table)


TRANSLATIONS: dict[str, Callable[[Operator, Tensor, int], Layer]] = {
    "FULLY_CONNECTED": _weighted("fully_connected.c"),
    "CONV_2D": _weighted("conv_2d.c"),
    "TRANSPOSE_CONV": _weighted("transpose_conv.c"),
    "DEPTH_TO_SPACE": _depth_to_space,
    "RESHAPE": _reshape,
    **dict.fromkeys(CURVES, _curve),
}
