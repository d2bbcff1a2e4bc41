"""Which operators each delegate (hardware accelerator) runs: tables, and where they come from.

A delegate runs the operators it supports; the CPU runs the rest, slower but correctly.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from keras_ganvae.tflite.operators import BYTE, FLOAT, HALF, INTEGER, TRUTH
from keras_ganvae.tflite.read import Operator

WHOLE = "whole graph"
MAX_REASONS = 4  # listed in a verdict
ANY = 1000  # the source states no highest version


@dataclass(frozen=True)
class Support:
    """One row of a delegate's table: an operator up to a version, on tensors of some types.

    refuses: names what the delegate refuses of one operator, or returns "".
    """

    version: int
    types: frozenset[str]
    refuses: Callable[[Operator], str] | None = None


@dataclass(frozen=True)
class Delegate:
    """A delegate. `source` tells where its table was read, with the commits or release."""

    name: str
    source: str
    operators: dict[str, Support]

    def verdict(self, operators: Iterable[Operator]) -> str:
        """ "whole graph", or "all but" the operators that stay on the CPU, with reasons."""
        answers = [(op.name, self._refusal(op)) for op in operators]
        refused = sorted({name + why for name, why in answers if why is not None})
        if not refused:
            return WHOLE
        more = len(refused) - MAX_REASONS
        rest = f" and {more} more" if more > 0 else ""
        return f"all but {', '.join(refused[:MAX_REASONS])}{rest}"

    def _refusal(self, op):
        """What is refused, as an ending to the operator's name; None if it is supported."""
        # Every delegate unpacks float16 weights itself.
        if unpacks_constant(op) and op.inputs[0].dtype == HALF:
            return None
        support = self.operators.get(op.name)
        if support is None:
            return ""
        if op.version > support.version:
            return f" version {op.version} (up to {support.version})"
        activations = [each for each in op.inputs if each is not None and not each.is_constant]
        types = {each.dtype for each in (*activations, *op.outputs)}
        if not types <= support.types:
            return f" on {' or '.join(sorted(types - support.types))}"
        return (support.refuses(op) if support.refuses else "") or None


def unpacks_constant(op: Operator) -> bool:
    """Whether the operator dequantizes weights, which is possible before the first run."""
    return op.name == "DEQUANTIZE" and all(each and each.is_constant for each in op.inputs)


def _rows(names, version=ANY, types=(FLOAT,), refuses=None):
    return dict.fromkeys(names.split(), Support(version, frozenset(types), refuses))


def _without_bias(op):
    return "" if len(op.inputs) == 3 and op.inputs[2] is not None else " without a bias"


def _without_leak(op):
    return "" if op.options.get("alpha", 0) != 0 else " without a leak"


def _more_than_4_inputs(op):
    return " of more than 4 inputs" if len(op.inputs) > 4 else ""


def _changed_axes(op):
    masks = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")
    return " that adds or drops axes" if any(op.options.get(each) for each in masks) else ""


def _not_3d_or_4d(op):
    rank = len(op.inputs[0].shape)
    return _changed_axes(op) if rank in (3, 4) else f" of {rank} dimensions"


def _core_ml_2_only(op):
    return " (Core ML 2 alone takes it)"


QUANTIZED = (FLOAT, BYTE)

# XNNPACK's list has no versions and no quantized RELU. Measured with ai-edge-litert 2.3.0: it
# also runs float32 SIN, COS, LOG, EXP, RSQRT and SUM, but no LEAKY_RELU with alpha 0.
XNNPACK = Delegate(
    "XNNPACK",
    "google-ai-edge/LiteRT, tflite/delegates/xnnpack/README.md at commit 3a653aa, and"
    " ai-edge-litert 2.3.0",
    _rows(
        "ABS ADD AVERAGE_POOL_2D CEIL DEPTH_TO_SPACE DEQUANTIZE DIV ELU FLOOR FULLY_CONNECTED"
        " HARD_SWISH LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MUL NEG PAD PRELU"
        " QUANTIZE RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR ROUND SLICE SOFTMAX"
        " SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE SUB TANH TRANSPOSE TRANSPOSE_CONV",
        types=QUANTIZED,
    )
    | _rows("RELU SIN COS LOG EXP RSQRT SUM")
    | _rows("LEAKY_RELU", types=QUANTIZED, refuses=_without_leak)
    | _rows("CONCATENATION", types=QUANTIZED, refuses=_more_than_4_inputs)
    | _rows("CONV_2D DEPTHWISE_CONV_2D", types=QUANTIZED, refuses=_without_bias)
    | _rows("STRIDED_SLICE", refuses=_changed_axes),
)
GPU = Delegate(
    "GPU",
    "google-ai-edge/LiteRT, tflite/delegates/gpu/common/model_builder.cc at commit 34ec5ba and"
    " tflite/tools/versioning/gpu_compatibility.cc at 007226f",
    _rows("CONV_2D DEPTHWISE_CONV_2D", 6, QUANTIZED)
    | _rows("FULLY_CONNECTED", 9, QUANTIZED)
    | _rows("TRANSPOSE_CONV", 3, QUANTIZED)
    | _rows("DEPTH_TO_SPACE SPACE_TO_DEPTH PACK HARD_SWISH TILE", types=QUANTIZED)
    | _rows("RESHAPE", 1, QUANTIZED)
    | _rows("DEQUANTIZE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", 3, QUANTIZED)
    | _rows("RELU RELU6 RELU_N1_TO_1 LEAKY_RELU QUANTIZE SOFTMAX CONCATENATION", 2, QUANTIZED)
    | _rows("MUL", 3, QUANTIZED)
    | _rows("ADD SUB DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE TANH LOGISTIC", 2, QUANTIZED)
    | _rows("ABS COS ELU EXP FLOOR LOG NEG RSQRT SIN SQRT SQUARE POW", 2)
    | _rows("TRANSPOSE", 4, QUANTIZED)
    | _rows("SLICE", 2, QUANTIZED)
    | _rows("STRIDED_SLICE", 4, QUANTIZED, _not_3d_or_4d)
    | _rows("SPLIT MEAN SUM", types=QUANTIZED)
    | _rows("GATHER", 1, (FLOAT, INTEGER))
    | _rows("CAST", types=(FLOAT, INTEGER, TRUTH))
    | _rows("SELECT SELECT_V2", 1, (FLOAT, TRUTH)),
)
CORE_ML = Delegate(
    "Core ML",
    "google-ai-edge/LiteRT, tflite/delegates/coreml/coreml_delegate.mm at commit 470f4da and"
    " builders/op_builder.cc at 14906c9",
    _rows(
        "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D HARD_SWISH LOGISTIC MAX_POOL_2D MEAN"
        " MIRROR_PAD MUL PAD PADV2 RELU RELU6 RELU_N1_TO_1 RESIZE_BILINEAR SOFTMAX TANH"
        " TRANSPOSE_CONV",
        1,
    )
    | _rows("RESHAPE", 1, refuses=_core_ml_2_only)
    | _rows("DEPTHWISE_CONV_2D", 2)
    | _rows("FULLY_CONNECTED", 6),
)
# Deprecated since Android 15; this table holds for Android 12 and later.
NNAPI = Delegate(
    "NNAPI",
    "google-ai-edge/LiteRT, tflite/delegates/nnapi/nnapi_delegate.cc at commit 5c8a6d4",
    _rows("ADD MUL", 2, (FLOAT, BYTE, INTEGER))
    | _rows("SUB", 3, (FLOAT, BYTE, INTEGER))
    | _rows("DIV ABS EXP LOG POW SIN COS SQRT", 1)
    | _rows("CONV_2D", 5, QUANTIZED, _without_bias)
    | _rows("DEPTHWISE_CONV_2D", 3, QUANTIZED)
    | _rows("FULLY_CONNECTED", 5, QUANTIZED)
    | _rows("TRANSPOSE_CONV", 4, QUANTIZED)
    | _rows("RESHAPE LEAKY_RELU", 1, QUANTIZED)
    | _rows("RELU RELU6 RELU_N1_TO_1 LOGISTIC TANH CONCATENATION SOFTMAX", 2, QUANTIZED)
    | _rows("QUANTIZE DEQUANTIZE TRANSPOSE STRIDED_SLICE PAD PADV2 MEAN", 2, QUANTIZED)
    | _rows("DEPTH_TO_SPACE SPACE_TO_DEPTH", types=QUANTIZED)
    | _rows("MAXIMUM MINIMUM", 3, (FLOAT, BYTE, INTEGER))
    | _rows("SLICE GATHER", 2, (FLOAT, BYTE, INTEGER))
    | _rows("SPLIT", 3, (FLOAT, BYTE, INTEGER))
    | _rows("NEG", 2, (FLOAT, INTEGER))
    | _rows("CAST", 1, (FLOAT, BYTE, INTEGER))
    | _rows(
        "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL",
        2,
        (FLOAT, BYTE, INTEGER, TRUTH),
    )
    | _rows("SELECT", 2, (FLOAT, BYTE, INTEGER, TRUTH)),
)
DELEGATES = (XNNPACK, GPU, CORE_ML, NNAPI)
