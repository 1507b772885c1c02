"""The values that every path from an input to a score crosses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vis.graph.elementwise import FLAT
from vis.graph.words import Graph, Operation, Value


def find_cuts(graph: Graph, source: Value, ends: Sequence[Value]) -> list[Value]:
    """Return the values that every path crosses, in order, including the source, and the end if it is unique.

    A path follows derivatives: a value that depends on an input only through its shape, a comparison or a
    rounding, such as a mask, is not on a path. Integers are followed until they become floats.

    Args:
        graph: the computation.
        source: where the paths begin.
        ends: where they end.
    """
    steps = _steps(graph, source, ends)
    # How often each value will still be used. If only one value is open, no path goes around it.
    uses = Counter({*ends})
    uses.update(value for operands, _ in steps for value in operands)
    opened = {source}
    found = [source] if steps or source in ends else []
    for operands, outputs in steps:
        for value in operands:
            uses[value] -= 1
            if not uses[value]:
                opened.discard(value)
        opened.update(outputs)
        if len(opened) == 1 and outputs and outputs[0] in opened:
            found.append(outputs[0])
    return found


def _steps(graph: Graph, source: Value, ends: Sequence[Value]) -> list[tuple[list[Value], list[Value]]]:
    """Return the operations on the paths, each as its operands and outputs that lie on them."""
    after = {source}
    edges: list[tuple[list[Value], Operation]] = []
    for operation in graph.operations:
        operands = [v for v in dict.fromkeys(operation.operands) if v in after and _is_crossed(operation, v)]
        if operands:
            edges.append((operands, operation))
            after.update(operation.outputs)
    before = set(ends)
    steps = []
    for operands, operation in reversed(edges):
        outputs = [value for value in operation.outputs if value in before and value in after]
        if outputs:
            before.update(operands)
            steps.append((operands, outputs))
    return steps[::-1]


def _is_crossed(operation: Operation, value: Value) -> bool:
    """Tell whether an operation passes on a derivative, or integers that later become floats."""
    if operation.kind == "shape" or value.dtype == "bool":
        return False
    if value.is_discrete:
        return all(output.dtype != "bool" for output in operation.outputs)
    return operation.kind not in FLAT
