"""The integer arithmetic of LiteRT's reference kernels for int8, as tables and multipliers.

A multiplication by a real number becomes one by a 32-bit integer and a shift; a function of
one int8 becomes a table of its 256 values.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_ganvae.tflite.read import Operator, Tensor

LOW, HIGH = -128, 127
# The only kernel that rounds a product once, with halves up; the others round as `scaled`.
ROUNDS_ONCE = ("FULLY_CONNECTED",)
INPUTS = np.arange(LOW, HIGH + 1, dtype=np.int64)
ADD_SHIFT = 20  # bits by which ADD raises its inputs, so that their rounding does not count


def scale(tensor: Tensor) -> np.float32:
    """The only scale of a tensor."""
    (value,) = tensor.quantization.scales
    return np.float32(value)


def zero_point(tensor: Tensor) -> int:
    """The only zero point of a tensor."""
    return int(tensor.quantization.zero_points[0]) if len(tensor.quantization.zero_points) else 0


def multiplier(real: float) -> tuple[int, int]:
    """(m, shift) with real = m 2^(shift - 31) nearly, and m from 2^30 to 2^31 - 1, or 0."""
    fraction, shift = math.frexp(real)
    mantissa = int(_half_away(fraction * 2**31))
    if mantissa == 2**31:
        mantissa, shift = mantissa // 2, shift + 1
    return (0, 0) if shift < -31 else (mantissa, shift)


def _half_away(values: Any) -> Any:
    """Round to nearest, halves away from 0."""
    return np.sign(values) * np.floor(np.abs(values) + 0.5)


def scaled(values: np.ndarray, mantissa: int, shift: int) -> np.ndarray:
    """values times a `multiplier`, int64 (...), rounded twice as LiteRT rounds.

    The product loses its lower 31 bits, rounded to nearest with halves up; then a negative
    shift is rounded to nearest with halves away from 0.
    """
    high = (values * 2 ** max(shift, 0) * mantissa + 2**30) >> 31
    bits = max(-shift, 0)
    return np.sign(high) * ((np.abs(high) + ((1 << bits) >> 1)) >> bits)


def clamped(values: np.ndarray) -> np.ndarray:
    """int8 (...) of integers."""
    return values.clip(LOW, HIGH).astype(np.int8)


def layer_multipliers(op: Operator, x: Tensor, weights: Tensor) -> list[tuple[int, int]]:
    """The multipliers of a layer with weights, one for each channel or one for all.

    A fully connected layer with a single scale multiplies its scales in float32, the others
    in float64.
    """
    (y,) = op.outputs
    scales = weights.quantization.scales
    if op.name == "FULLY_CONNECTED" and len(scales) == 1:
        return [multiplier(float(scale(x) * np.float32(scales[0])) / float(scale(y)))]
    return [multiplier(float(scale(x)) * float(each) / float(scale(y))) for each in scales]


def range_of(op: Operator) -> tuple[int, int]:
    """The least and largest output of a layer, by its fused activation: NONE or RELU."""
    (y,) = op.outputs
    return (max(LOW, zero_point(y)), HIGH) if op.activation == "RELU" else (LOW, HIGH)


def table(op: Operator, x: Tensor) -> np.ndarray:
    """What an operator makes of every int8, from -128 up: int8 (256,).

    Args:
        x: the input that is not constant.
    """
    return TABLES[op.name](op, x)


def _curve(
    function: Callable[[np.ndarray], np.ndarray],
) -> Callable[[Operator, Tensor], np.ndarray]:
    """The table of a function, which LiteRT computes in float32."""

    def values(op, x):
        (y,) = op.outputs
        real = scale(x) * (INPUTS - zero_point(x)).astype(np.float32)
        # Each step in float64 and rounded to float32: what a good libm gives.
        levels = function(real.astype(np.float64)).astype(np.float32) * (np.float32(1) / scale(y))
        return clamped(_half_away(levels.astype(np.float64)).astype(np.int64) + zero_point(y))

    return values


def _logistic(x):
    return 1 / (np.float32(1) + np.exp(-x).astype(np.float32)).astype(np.float64)


def _leaky_relu(op, x):
    (y,) = op.outputs
    centred, ratio = INPUTS - zero_point(x), scale(x) / scale(y)
    leak = scale(x) * np.float32(op.options["alpha"]) / scale(y)
    above, below = (scaled(centred, *multiplier(float(each))) for each in (ratio, leak))
    return clamped(np.where(centred >= 0, above, below) + zero_point(y))


def _relu(op, x):
    (y,) = op.outputs
    ratio = multiplier(float(scale(x) / scale(y)))
    result = scaled(INPUTS - zero_point(x), *ratio) + zero_point(y)
    return clamped(result.clip(zero_point(y)))


def _add(op, x):
    """ADD of one constant number."""
    (y,) = op.outputs
    (constant,) = (each for each in op.inputs if each is not x)
    low, high = range_of(op)
    largest = 2 * max(float(scale(x)), float(scale(constant)))

    def raised(values, tensor):
        shifted = (values - zero_point(tensor)) << ADD_SHIFT
        return scaled(shifted, *multiplier(float(scale(tensor)) / largest))

    total = raised(INPUTS, x) + raised(constant.values.astype(np.int64).ravel(), constant)
    result = scaled(total, *multiplier(largest / (2**ADD_SHIFT * float(scale(y)))))
    return clamped((result + zero_point(y)).clip(low, high))


TABLES: dict[str, Callable[[Operator, Tensor], np.ndarray]] = {
    "TANH": _curve(np.tanh),
    "LOGISTIC": _curve(_logistic),
    "LEAKY_RELU": _leaky_relu,
    "RELU": _relu,
    "ADD": _add,
}
