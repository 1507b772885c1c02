"""Parts of a traced graph that are run again, in the same graph, with other operands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from vis.backend.contract import Coverage, Flow, FlowPlan
from vis.backend.tensorflow.inlined import opened
from vis.backend.tensorflow.reading import KINDS, words_order
from vis.graph import Operation, Value


class Replay:
    """A traced graph, see `vis.backend.contract.Replay`.

    Args:
        graph: the graph.
    """

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    def tensor(self, value: Value) -> Any:
        return self._graph.get_tensor_by_name(value.name)

    def run(self, operation: Operation, operands: Sequence[Any], values: bool = True) -> list[Any]:
        op = self._graph.get_operation_by_name(operation.name)
        if KINDS.get(op.type) == "call":  # what is told are the results of its body
            return list(operands)
        inputs = list(op.inputs)
        for place, operand in zip(words_order(op), operands, strict=False):
            inputs[place] = operand
        inputs = [tf.convert_to_tensor(each) for each in inputs]
        attributes = {name: value for name, value in op.node_def.attr.items() if name[0] != "_"}
        types = [tensor.dtype for tensor in op.outputs]
        rest = iter(inputs)
        for argument in op.op_def.input_arg:
            if not argument.number_attr and not argument.type_list_attr:
                given = next(rest)
            elif argument.number_attr:
                given, *_ = [next(rest) for _ in range(op.get_attr(argument.number_attr))]
            else:
                break
            # Its operands may have a wider type now.
            if argument.type_attr and given.dtype != tf.resource:
                narrow = tf.as_dtype(attributes[argument.type_attr].type)
                attributes[argument.type_attr] = tf.compat.v1.AttrValue(type=given.dtype.as_datatype_enum)
                types = [given.dtype if each == narrow else each for each in types]
        # In the graph of the derivative, if that is another one.
        graph = tf.compat.v1.get_default_graph()
        return list(graph.create_op(op.type, inputs, types, attrs=attributes).outputs)


def linearized(
    function: Callable[[list[Any]], list[Any]], tensors: Sequence[Any]
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """Return what a function makes of some tensors, and the gradients by these of it times some slopes."""
    given = [tf.identity(tensor) for tensor in tensors]
    made = function(given)

    def back(slopes: Sequence[Any]) -> list[Any]:
        gradients = tf.gradients(made, given, grad_ys=list(slopes))
        return [
            tf.zeros_like(tensor) if gradient is None else tf.convert_to_tensor(gradient)
            for tensor, gradient in zip(given, gradients, strict=True)
        ]

    return made, back


def planned(
    flow: Flow,
    sources: Sequence[Any],
    ends: Sequence[Any],
    losses: Sequence[Any] = (),
    references: Sequence[Any] = (),
) -> tuple[FlowPlan, Replay]:
    """Return how relevance flows through the graph that is being traced.

    Args:
        flow: what flows.
        sources: the tensors to which it flows.
        ends: those at which it starts.
        losses: what is computed of the ends: one tensor, or none if slopes are given.
        references: other tensors that it reads.
    """
    graph = tf.compat.v1.get_default_graph()
    words = opened(graph, sources, [*ends, *losses, *references])
    outputs = iter(words.outputs)
    starts, made, others = ([next(outputs) for _ in group] for group in (ends, losses, references))
    plan = flow.plan(words, words.inputs, starts, made[0] if made else None, others)
    return plan, Replay(graph)


def flowing(forward: Callable[[Any], Any], flow: Flow, inputs: Any) -> tuple[Any, Coverage]:
    """Run a forward pass whose derivative is the relevance, in the graph that is being traced.

    Returns:
        what it returns, and what the relevance passes.
    """
    found: list[Coverage] = []
    returned: list[Any] = []

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(*tensors: Any) -> Any:
        with keras.StatelessScope():
            outputs = forward(keras.tree.pack_sequence_as(inputs, list(tensors)))
        returned.append(keras.tree.map_structure(lambda _: 0, outputs))
        flat = keras.tree.flatten(outputs)
        plan, replay = planned(flow, tensors, flat)
        found.append(plan.coverage)

        def passed(*slopes: Any, variables: Any = None) -> Any:
            gradients, _ = plan(replay, slopes)
            none = [None] * len(variables or ())
            return (gradients, none) if variables else gradients

        return flat, passed

    outputs = run(*keras.tree.flatten(inputs))
    return keras.tree.pack_sequence_as(returned[0], list(outputs)), found[0]
