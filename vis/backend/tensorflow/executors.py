"""How a compiled function runs its operations: from a pool of threads, or one after another.

TensorFlow's usual executor gives each operation that is ready to a pool of threads, so that the branches of
a network run beside each other. In a chain of layers nothing runs beside anything else, and the pool only
costs: about a tenth of MobileNetV2's gradient on two cores. One operation at a time has all cores to itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from vis.backend.tensorflow.reading import functions_of, upstream

# A residual network has a few convolutions in its shortcuts; the branches of InceptionV3 lose a quarter.
_CHAIN = 0.9


def in_turn(function: Any, inputs: int) -> bool:
    """Tell whether a function is a chain of layers without loops, on a machine whose only device is its CPU.

    Args:
        function: a concrete function.
        inputs: how many of its inputs are arguments; the others are captured.
    """
    graph = function.graph
    # This executor runs no loop, and none in a called function. A stateful one runs whether needed or not.
    calls = any(functions_of(op.node_def) for op in graph.get_operations())
    if calls or len(tf.config.list_logical_devices()) > 1:
        return False
    # The longest chain of costly operations that ends in an operation which the arguments decide.
    longest = {tensor.op.name: 0 for tensor in function.inputs[:inputs]}
    costly = 0
    for op in upstream(function.outputs, graph):
        before = [longest[tensor.op.name] for tensor in op.inputs if tensor.op.name in longest]
        if before:
            weights = [tensor for tensor in op.inputs if tensor.op.name not in longest and _is_weight(tensor)]
            costs = bool(weights) and op.outputs[0].dtype.is_floating  # reading a shape costs nothing
            costly += costs
            longest[op.name] = max(before) + costs
    return max(longest.values()) >= _CHAIN * costly > 0


def one_at_a_time() -> contextlib.AbstractContextManager[None]:
    """Run the operations of functions one after another, in this thread."""
    run: contextlib.AbstractContextManager[None] = tf.experimental.function_executor_type(
        "SINGLE_THREADED_EXECUTOR"
    )
    return run


def _is_weight(tensor: Any) -> bool:
    """Tell whether a tensor has the shape of a kernel: two dimensions or more that are longer than one."""
    sizes: Iterable[int | None] = tensor.shape.as_list() if tensor.shape.rank else ()
    return tensor.dtype.is_floating and sum(size != 1 for size in sizes) > 1
