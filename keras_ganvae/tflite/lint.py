"""Find what would go wrong with a .tflite file on a phone.

Findings fail an export. The report also tells which delegates run each signature as a whole.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from keras_ganvae.tflite import operators
from keras_ganvae.tflite.delegates import DELEGATES, unpacks_constant
from keras_ganvae.tflite.operators import FLOAT, INTEGER, WEIGHTED
from keras_ganvae.tflite.read import Graph, ModelFile, Operator, SignatureTensors

MAX_TRANSPOSE_CONV = 3  # version
SEED = "seed"  # the only input that is not float32

FREEZE = "freeze the weights: convert a function whose variables are tracked"
STATIC = "convert with a static batch size"
FOLD = "order the layers convolution, batch norm, activation, so that it folds"
# Rule -> operators that break it, and the remedy.
FORBIDDEN = {
    "control-flow": (
        {"IF", "WHILE", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_CASE"},
        "unroll the loop, or compute both branches and select",
    ),
    "variable": (
        {"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "HASHTABLE", "HASHTABLE_FIND"}
        | {"HASHTABLE_IMPORT", "HASHTABLE_SIZE", "HASHTABLE_LOOKUP"},
        FREEZE,
    ),
    "random": (
        {"RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL", "STABLEHLO_RNG_BIT_GENERATOR"},
        "compute the random numbers from a seed with integer operators",
    ),
    "dynamic-shape": ({"SHAPE", "RANK", "STABLEHLO_DYNAMIC_SLICE"}, STATIC),
}
# Operators with an input that states the shape of the output -> its index.
SHAPE_INPUTS = {"RESHAPE": 1, "BROADCAST_TO": 1, "FILL": 0, "TRANSPOSE_CONV": 0, "TILE": 1}


@dataclass(frozen=True)
class Finding:
    """One fault: the rule, operator and version, place in the file, and remedy.

    `operator` is empty if the fault is a tensor's.
    """

    rule: str
    operator: str
    version: int
    where: str
    remedy: str

    def __str__(self) -> str:
        subject = f"{self.operator} version {self.version}" if self.operator else "a tensor"
        return f"{self.rule}: {subject} in {self.where}; {self.remedy}"


@dataclass(frozen=True)
class LintReport:
    """Findings; operators as {name, version, count}; delegates as {signature: {delegate: "whole
    graph" or the reason why not}}."""

    path: str
    findings: tuple[Finding, ...]
    operators: tuple[dict, ...]
    delegates: dict[str, dict[str, str]]

    @property
    def passed(self) -> bool:
        return not self.findings


def lint(model: ModelFile) -> LintReport:
    """Check a model for what phones refuse, compute wrongly, or run slowly."""
    names = {each.graph: name for name, each in model.signatures.items()}
    findings: list[Finding] = []
    for index, graph in enumerate(model.graphs):
        where = names.get(index, f"graph {index}")
        for position, op in enumerate(graph.operators):
            findings += _check_operator(op, f"{where}, operator {position}")
        findings += _check_tensors(graph, where)
        findings += _check_batch_norm(graph, where)
    for name, signature in model.signatures.items():
        findings += _check_types(name, signature)
    counts = Counter((op.name, op.version) for graph in model.graphs for op in graph.operators)
    return LintReport(
        model.path,
        tuple(findings),
        tuple({"name": n, "version": v, "count": c} for (n, v), c in sorted(counts.items())),
        {name: _verdicts(model.graphs[each.graph]) for name, each in model.signatures.items()},
    )


def _verdicts(graph):
    return {each.name: each.verdict(graph.operators) for each in DELEGATES}


def _check_operator(op: Operator, where: str) -> list[Finding]:
    if op.name == "CUSTOM":
        if op.custom.startswith("Flex"):
            rule, remedy = "flex", "convert with TFLITE_BUILTINS alone, without SELECT_TF_OPS"
        else:
            rule, remedy = "custom", "build the layer from operators that TFLite has"
        return [Finding(rule, op.custom, op.version, where, remedy)]
    for rule, (names, remedy) in FORBIDDEN.items():
        if op.name in names:
            return [Finding(rule, op.name, op.version, where, remedy)]
    if op.name == "TRANSPOSE_CONV" and op.version > MAX_TRANSPOSE_CONV:
        rule = "transpose-conv-version"
        remedy = f"GPU delegates run version {MAX_TRANSPOSE_CONV} at most: do not fuse its ReLU"
    elif _has_dynamic_shape(op):
        rule, remedy = "dynamic-shape", STATIC
    elif op.name not in operators.RULES:
        rule, remedy = "unknown-operator", "this package does not know whether phones run it"
    else:
        return []
    return [Finding(rule, op.name, op.version, where, remedy)]


def _has_dynamic_shape(op):
    """Whether the output's shape is computed, as in RESHAPE or BROADCAST_TO."""
    index = SHAPE_INPUTS.get(op.name, len(op.inputs))
    shape = op.inputs[index] if index < len(op.inputs) else None
    return shape is not None and not shape.is_constant


def _check_tensors(graph: Graph, where: str) -> Iterator[Finding]:
    if any(-1 in tensor.shape_signature for tensor in graph.tensors):
        yield Finding("dynamic-shape", "", 0, where, STATIC)
    if any(each.is_variable or each.dtype in ("RESOURCE", "VARIANT") for each in graph.tensors):
        yield Finding("variable", "", 0, where, FREEZE)


def _check_batch_norm(graph: Graph, where: str) -> Iterator[Finding]:
    """Find a factor or an offset per channel directly after a layer with weights."""
    weighted = (*WEIGHTED, "DEPTHWISE_CONV_2D")
    layers = {id(op.outputs[0]): op for op in graph.operators if op.name in weighted and op.outputs}
    unpacked = {id(op.outputs[0]) for op in graph.operators if unpacks_constant(op)}
    for position, op in enumerate(graph.operators):
        pair = [each for each in op.inputs if each is not None]
        if op.name not in ("MUL", "ADD", "SUB") or len(pair) != 2:
            continue
        for x, factor in (pair, pair[::-1]):
            layer = layers.get(id(x))
            constant = factor.is_constant or id(factor) in unpacked
            per_channel = factor.size > 1 and factor.size == (x.shape or (0,))[-1]
            if layer and layer.activation == "NONE" and constant and per_channel:
                place = f"{where}, operator {position}"
                yield Finding("batch-norm", op.name, op.version, place, FOLD)


def _check_types(name: str, signature: SignatureTensors) -> Iterator[Finding]:
    remedy = "keep float32 inputs and outputs, and an int32 seed: int8 clips the normal's tails"
    for side in (signature.inputs, signature.outputs):
        for key, tensor in side.items():
            expected = INTEGER if side is signature.inputs and key == SEED else FLOAT
            if tensor.dtype != expected:
                where = f"{name}, {key} as {tensor.dtype}"
                yield Finding("tensor-type", "", 0, where, remedy)
