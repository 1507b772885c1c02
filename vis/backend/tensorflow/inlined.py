"""Functions that a graph calls, opened: a call decorated with `@tf.function`, a convolution in groups.

Their bodies are made again in the graph itself, where relevance can pass them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vis.backend.tensorflow.reading import KINDS, read
from vis.graph import Graph, Operation


def opened(graph: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Graph:
    """Return what a traced graph computes, with the functions that it calls opened.

    Args:
        graph: the graph, to which operations are added.
        inputs, outputs: its input and output tensors.
    """
    called = [op for op in graph.get_operations() if KINDS.get(op.type) == "call"]
    if not called:
        return read(graph, inputs, outputs)
    library = {function.signature.name: function for function in graph.as_graph_def().library.function}
    before = len(graph.get_operations())
    made: dict[str, list[Any]] = {}
    counts: dict[str, int] = {}
    for op in called:
        start = len(graph.get_operations())
        made[op.name] = _body(graph, library, op)
        counts[op.name] = len(graph.get_operations()) - start
    words = read(graph, inputs, outputs)
    values = {value.name: value for operation in words.operations for value in operation.outputs}
    own, added = words.operations[:before], iter(words.operations[before:])
    operations: list[Operation] = []
    places = []
    for operation in own:
        places.append(len(operations))
        if operation.name in made:
            operations += [next(added) for _ in range(counts[operation.name])]
            results = tuple(values[tensor.name] for tensor in made[operation.name])
            operations.append(Operation(operation.name, "identity", results, operation.outputs))
        else:
            operations.append(operation)
    places.append(len(operations))
    calls = [replace(call, first=places[call.first], stop=places[call.stop]) for call in words.calls]
    return Graph(operations, words.inputs, words.outputs, calls)


def _body(graph: Any, library: dict[str, Any], op: Any) -> list[Any]:
    """Add the body of a function that an operation calls to a graph; return its results."""
    function = library[op.get_attr("f").name]
    known = {arg.name: tensor for arg, tensor in zip(function.signature.input_arg, op.inputs, strict=True)}
    waiting = list(function.node_def)
    while waiting:
        # In an order in which they can run; the definition may have another one.
        ready = [node for node in waiting if all(name in known or name[0] == "^" for name in node.input)]
        waiting = [node for node in waiting if node not in ready]
        for node in ready:
            inputs = [known[name] for name in node.input if name[0] != "^"]
            attributes = {name: value for name, value in node.attr.items() if name[0] != "_"}
            step = graph.create_op(node.op, inputs, attrs=attributes)
            results = _body(graph, library, step) if KINDS.get(node.op) == "call" else list(step.outputs)
            rest = iter(results)
            for argument in step.op_def.output_arg:
                number = argument.number_attr or argument.type_list_attr
                count = 1
                if number:
                    count = step.get_attr(number)
                    count = count if isinstance(count, int) else len(count)
                for index in range(count):
                    known[f"{node.name}:{argument.name}:{index}"] = next(rest)
    return [known[function.ret[arg.name]] for arg in function.signature.output_arg]
