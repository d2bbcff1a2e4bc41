"""The MACs of a training step, counted in the graph that TensorFlow runs."""

import math
from typing import Any

import tensorflow as tf


def multiply_adds(model: Any, image_shape: tuple[int, ...], batch_size: int = 8) -> float:
    """Count the MACs per image of one `train_step`: matrix products and convolutions.

    The traced step includes the backward pass and excludes gradients that are not used.
    Padding counts as work.

    Args:
        model: a compiled model.
        image_shape: (H, W, C).
    """
    batch = tf.TensorSpec((batch_size, *image_shape), tf.float32)
    graph = tf.function(model.train_step, autograph=False).get_concrete_function(batch).graph
    counts = (COUNTERS[op.type](op) for op in _needed(graph) if op.type in COUNTERS)
    return sum(counts) / batch_size


def _needed(graph):
    """The operations that an output or a variable depends on; TensorFlow prunes the others."""
    waiting = [output.op for output in graph.outputs] + list(graph.control_outputs)
    seen = set()
    while waiting:
        op = waiting.pop()
        if op not in seen:
            seen.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return seen


def _matrix_product(op):
    left, result = op.inputs[0].shape, op.outputs[0].shape
    inner = left[0] if op.get_attr("transpose_a") else left[1]
    return math.prod(result) * inner


def _convolution(small_image, kernel):
    # The kernel is applied at every position of the smaller image, in the forward pass and in
    # both backward passes.
    return math.prod(small_image[:3]) * math.prod(kernel)


COUNTERS = {
    "MatMul": _matrix_product,
    "Conv2D": lambda op: _convolution(op.outputs[0].shape, op.inputs[1].shape),
    "Conv2DBackpropInput": lambda op: _convolution(op.inputs[2].shape, op.inputs[1].shape),
    "Conv2DBackpropFilter": lambda op: _convolution(op.inputs[2].shape, op.outputs[0].shape),
}
