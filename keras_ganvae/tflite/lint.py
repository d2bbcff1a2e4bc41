"""What would go wrong with a model on a phone, found in the file.

Findings fail an export. Which accelerator takes the whole graph of a signature is only
reported: the rest then runs on the CPU, slower but right.
"""

from collections import Counter
from dataclasses import dataclass

from keras_ganvae.tflite import operators
from keras_ganvae.tflite.operators import BYTE, FLOAT, HALF, INTEGER, TRUTH, Node
from keras_ganvae.tflite.read import Model

WHOLE = "whole graph"
MOST_REASONS = 4  # that a verdict lists

CONTROL_FLOW = {"IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE"}
VARIABLES = {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE"}
TABLES = {"HASHTABLE", "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "HASHTABLE_LOOKUP"}
RANDOM = {
    "RANDOM_UNIFORM",
    "RANDOM_STANDARD_NORMAL",
    "MULTINOMIAL",
    "STABLEHLO_RNG_BIT_GENERATOR",
}
SHAPES = {"SHAPE", "RANK", "STABLEHLO_DYNAMIC_SLICE"}
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}
MOST_TRANSPOSE_CONV = 3
SEED = "seed"  # the one input that is no float


@dataclass(frozen=True)
class Finding:
    """One fault: the rule it breaks, the operator and its version, where, and the remedy.

    `operator` is empty where the fault is a tensor's.
    """

    rule: str
    operator: str
    version: int
    where: str
    remedy: str

    def __str__(self):
        subject = f"{self.operator} version {self.version}" if self.operator else "a tensor"
        return f"{self.rule}: {subject} in {self.where}; {self.remedy}"


@dataclass(frozen=True)
class Report:
    """Findings; operators as {name, version, count}; and, for each signature, "whole graph"
    or the reason why not, by the accelerator's name."""

    path: str
    findings: tuple
    operators: tuple
    delegates: dict

    @property
    def passed(self) -> bool:
        return not self.findings


def lint(model: Model) -> Report:
    """Look for what phones refuse, do wrongly, or do slowly."""
    graphs = [operators.nodes(graph) for graph in model.subgraphs]
    names = {each.subgraph: name for name, each in model.signatures.items()}
    findings = []
    for index, graph in enumerate(graphs):
        where = names.get(index, f"graph {index}")
        for position, node in enumerate(graph):
            findings += _of_operator(node, f"{where}, operator {position}")
        findings += _of_tensors(model.subgraphs[index], where)
        findings += _of_batch_norm(graph, where)
    for name in model.signatures:
        findings += _of_ports(model, name)
    counts = Counter((node.name, node.operator.version) for graph in graphs for node in graph)
    return Report(
        model.path,
        tuple(findings),
        tuple({"name": n, "version": v, "count": c} for (n, v), c in sorted(counts.items())),
        {
            name: {each.name: each.verdict(graphs[signature.subgraph]) for each in DELEGATES}
            for name, signature in model.signatures.items()
        },
    )


def _of_operator(node, where):
    name, version = node.name, node.operator.version
    rule, remedy = None, ""
    if name == "CUSTOM":
        name = node.operator.custom
        if name.startswith("Flex"):
            rule, remedy = "flex", "convert with TFLITE_BUILTINS alone, without SELECT_TF_OPS"
        else:
            rule, remedy = "custom", "build the layer of operators that TFLite has"
    elif name in CONTROL_FLOW:
        rule, remedy = "control-flow", "unroll the loop, or compute both branches and select"
    elif name in VARIABLES | TABLES:
        rule, remedy = (
            "variable",
            "freeze the weights: convert a function whose variables are tracked",
        )
    elif name in RANDOM:
        rule, remedy = "random", "make the numbers of a seed with integer operators"
    elif name == "TRANSPOSE_CONV" and version > MOST_TRANSPOSE_CONV:
        rule = "transpose-conv-version"
        remedy = f"GPU delegates take version {MOST_TRANSPOSE_CONV} at most: keep its ReLU apart"
    elif name in SHAPES or _has_dynamic_shape(node):
        rule, remedy = "dynamic-shape", "convert with a batch of fixed size"
    elif name not in operators.RULES:
        rule, remedy = "unknown-operator", "this package does not know whether phones run it"
    return [Finding(rule, name, version, where, remedy)] if rule else []


def _has_dynamic_shape(node):
    """RESHAPE, BROADCAST_TO and the like whose new shape is computed."""
    place = {"RESHAPE": 1, "BROADCAST_TO": 1, "FILL": 0, "TRANSPOSE_CONV": 0, "TILE": 1}
    index = place.get(node.name)
    if index is None or index >= len(node.inputs) or node.inputs[index] is None:
        return False
    return not node.inputs[index].is_constant


def _of_tensors(graph, where):
    findings = []
    if any(-1 in tensor.shape_signature for tensor in graph.tensors):
        remedy = "convert with a batch of fixed size"
        findings.append(Finding("dynamic-shape", "", 0, where, remedy))
    if any(each.is_variable or each.dtype in ("RESOURCE", "VARIANT") for each in graph.tensors):
        remedy = "freeze the weights: convert a function whose variables are tracked"
        findings.append(Finding("variable", "", 0, where, remedy))
    return findings


def _of_batch_norm(graph, where):
    """A factor or an offset for each channel, directly behind a layer with weights."""
    remedy = "order the layers convolution, batch norm, activation, so that it folds"
    layers = {id(node.outputs[0]): node for node in graph if node.name in WEIGHTED and node.outputs}
    dequantised = {id(n.outputs[0]) for n in graph if n.name == "DEQUANTIZE" and _is_fixed(n)}
    findings = []
    for position, node in enumerate(graph):
        if node.name not in ("MUL", "ADD", "SUB") or len(node.inputs) != 2:
            continue
        for x, factor in (node.inputs, node.inputs[::-1]):
            layer = layers.get(id(x))
            constant = factor.is_constant or id(factor) in dequantised
            per_channel = factor.size > 1 and factor.size == (x.shape or (0,))[-1]
            if layer and layer.activation == "NONE" and constant and per_channel:
                place = f"{where}, operator {position}"
                version = node.operator.version
                findings.append(Finding("batch-norm", node.name, version, place, remedy))
    return findings


def _is_fixed(node):
    return all(each is not None and each.is_constant for each in node.inputs)


def _of_ports(model, name):
    remedy = "keep float32 ends, and an int32 seed: 8 bits clip the normal's tails"
    findings = []
    for side in ("inputs", "outputs"):
        for port, tensor in model.tensors(name, side).items():
            expected = INTEGER if (side, port) == ("inputs", SEED) else FLOAT
            if tensor.dtype != expected:
                where = f"{name}, {port} as {tensor.dtype}"
                findings.append(Finding("port-type", "", 0, where, remedy))
    return findings


# Accelerators


@dataclass(frozen=True)
class Taken:
    """An operator that an accelerator takes: up to which version, and working on what."""

    version: int
    types: frozenset
    condition: object = None  # node -> what is refused of it, or None


@dataclass(frozen=True)
class Delegate:
    """An accelerator. `source` is where its table was read, and when that was written."""

    name: str
    source: str
    operators: dict

    def verdict(self, graph: list[Node]) -> str:
        """ "whole graph", or "all but" the operators that are refused and why."""
        refused = {node.name + why for node in graph if (why := self._refusal(node)) is not None}
        listed = ", ".join(sorted(refused)[:MOST_REASONS])
        more = len(refused) - MOST_REASONS
        rest = f" and {more} more" if more > 0 else ""
        return f"all but {listed}{rest}" if refused else WHOLE

    def _refusal(self, node):
        """What to add to the operator's name to say what is refused; None if it is taken."""
        # Every delegate unpacks float16 weights itself.
        if node.name == "DEQUANTIZE" and _is_fixed(node) and node.inputs[0].dtype == HALF:
            return None
        taken = self.operators.get(node.name)
        if taken is None:
            return ""
        if node.operator.version > taken.version:
            return f" version {node.operator.version} (up to {taken.version})"
        runtime = [each for each in node.inputs if each is not None and not each.is_constant]
        types = {each.dtype for each in (*runtime, *node.outputs)}
        if not types <= taken.types:
            return f" on {' or '.join(sorted(types - taken.types))}"
        return taken.condition(node) if taken.condition else None


ANY = 1000  # no limit on the version is stated


def _taken(names, version=ANY, types=(FLOAT,), condition=None):
    each = Taken(version, frozenset(types), condition)
    return dict.fromkeys(names.split(), each)


def _needs_bias(node):
    return None if len(node.inputs) == 3 and node.inputs[2] is not None else " without a bias"


def _leaks(node):
    return None if node.options.get("alpha", 0) != 0 else " without a leak"


def _at_most_four_inputs(node):
    return " of more than 4 inputs" if len(node.inputs) > 4 else None


def _plain_slice(node):
    masks = ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return " that adds or drops axes" if any(node.options.get(each) for each in masks) else None


def _plain_slice_of_3d(node):
    if len(node.inputs[0].shape) not in (3, 4):
        return f" of {len(node.inputs[0].shape)} dimensions"
    return _plain_slice(node)


def _core_ml_shape(node):
    return " (Core ML 2 alone takes it)"


QUANTISED = (FLOAT, BYTE)

# XNNPACK's list has no versions, and no quantised RELU. Measured with ai-edge-litert 2.3.0:
# it takes SIN, COS, LOG, EXP, RSQRT and SUM too, in float32, and no LEAKY_RELU without a leak.
XNNPACK = Delegate(
    "XNNPACK",
    "google-ai-edge/LiteRT, tflite/delegates/xnnpack/README.md at commit 3a653aa, and"
    " ai-edge-litert 2.3.0",
    _taken(
        "ABS ADD AVERAGE_POOL_2D CEIL DEPTH_TO_SPACE DEQUANTIZE DIV ELU FLOOR FULLY_CONNECTED"
        " HARD_SWISH LOGISTIC MAX_POOL_2D MAXIMUM MEAN MINIMUM MUL NEG PAD PRELU"
        " QUANTIZE RELU6 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR ROUND SLICE SOFTMAX"
        " SPACE_TO_DEPTH SPLIT SQRT SQUARE SQUARED_DIFFERENCE SUB TANH TRANSPOSE TRANSPOSE_CONV",
        types=QUANTISED,
    )
    | _taken("RELU SIN COS LOG EXP RSQRT SUM")
    | _taken("LEAKY_RELU", types=QUANTISED, condition=_leaks)
    | _taken("CONCATENATION", types=QUANTISED, condition=_at_most_four_inputs)
    | _taken("CONV_2D DEPTHWISE_CONV_2D", types=QUANTISED, condition=_needs_bias)
    | _taken("STRIDED_SLICE", condition=_plain_slice),
)
GPU = Delegate(
    "GPU",
    "google-ai-edge/LiteRT, tflite/delegates/gpu/common/model_builder.cc at commit 34ec5ba and"
    " tflite/tools/versioning/gpu_compatibility.cc at 007226f",
    _taken("CONV_2D DEPTHWISE_CONV_2D", 6, QUANTISED)
    | _taken("FULLY_CONNECTED", 9, QUANTISED)
    | _taken("TRANSPOSE_CONV", 3, QUANTISED)
    | _taken("DEPTH_TO_SPACE SPACE_TO_DEPTH PACK HARD_SWISH TILE", types=QUANTISED)
    | _taken("RESHAPE", 1, QUANTISED)
    | _taken("DEQUANTIZE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR", 3, QUANTISED)
    | _taken("RELU RELU6 RELU_N1_TO_1 LEAKY_RELU QUANTIZE SOFTMAX CONCATENATION", 2, QUANTISED)
    | _taken("MUL", 3, QUANTISED)
    | _taken("ADD SUB DIV MAXIMUM MINIMUM SQUARED_DIFFERENCE TANH LOGISTIC", 2, QUANTISED)
    | _taken("ABS COS ELU EXP FLOOR LOG NEG RSQRT SIN SQRT SQUARE POW", 2)
    | _taken("TRANSPOSE", 4, QUANTISED)
    | _taken("SLICE", 2, QUANTISED)
    | _taken("STRIDED_SLICE", 4, QUANTISED, _plain_slice_of_3d)
    | _taken("SPLIT MEAN SUM", types=QUANTISED)
    | _taken("GATHER", 1, (FLOAT, INTEGER))
    | _taken("CAST", types=(FLOAT, INTEGER, TRUTH))
    | _taken("SELECT SELECT_V2", 1, (FLOAT, TRUTH)),
)
CORE_ML = Delegate(
    "Core ML",
    "google-ai-edge/LiteRT, tflite/delegates/coreml/coreml_delegate.mm at commit 470f4da and"
    " builders/op_builder.cc at 14906c9",
    _taken(
        "ADD AVERAGE_POOL_2D CONCATENATION CONV_2D HARD_SWISH LOGISTIC MAX_POOL_2D MEAN"
        " MIRROR_PAD MUL PAD PADV2 RELU RELU6 RELU_N1_TO_1 RESIZE_BILINEAR SOFTMAX TANH"
        " TRANSPOSE_CONV",
        1,
    )
    | _taken("RESHAPE", 1, condition=_core_ml_shape)
    | _taken("DEPTHWISE_CONV_2D", 2)
    | _taken("FULLY_CONNECTED", 6),
)
# Android's own, deprecated since Android 15; the table is that of Android 12 and later.
NNAPI = Delegate(
    "NNAPI",
    "google-ai-edge/LiteRT, tflite/delegates/nnapi/nnapi_delegate.cc at commit 5c8a6d4",
    _taken("ADD MUL", 2, (FLOAT, BYTE, INTEGER))
    | _taken("SUB", 3, (FLOAT, BYTE, INTEGER))
    | _taken("DIV ABS EXP LOG POW SIN COS SQRT", 1)
    | _taken("CONV_2D", 5, QUANTISED, _needs_bias)
    | _taken("DEPTHWISE_CONV_2D", 3, QUANTISED)
    | _taken("FULLY_CONNECTED", 5, QUANTISED)
    | _taken("TRANSPOSE_CONV", 4, QUANTISED)
    | _taken("RESHAPE LEAKY_RELU", 1, QUANTISED)
    | _taken("RELU RELU6 RELU_N1_TO_1 LOGISTIC TANH CONCATENATION SOFTMAX", 2, QUANTISED)
    | _taken("QUANTIZE DEQUANTIZE TRANSPOSE STRIDED_SLICE PAD PADV2 MEAN", 2, QUANTISED)
    | _taken("DEPTH_TO_SPACE SPACE_TO_DEPTH", types=QUANTISED)
    | _taken("MAXIMUM MINIMUM", 3, (FLOAT, BYTE, INTEGER))
    | _taken("SLICE GATHER", 2, (FLOAT, BYTE, INTEGER))
    | _taken("SPLIT", 3, (FLOAT, BYTE, INTEGER))
    | _taken("NEG", 2, (FLOAT, INTEGER))
    | _taken("CAST", 1, (FLOAT, BYTE, INTEGER))
    | _taken(
        "EQUAL NOT_EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL",
        2,
        (FLOAT, BYTE, INTEGER, TRUTH),
    )
    | _taken("SELECT", 2, (FLOAT, BYTE, INTEGER, TRUTH)),
)
DELEGATES = (XNNPACK, GPU, CORE_ML, NNAPI)
