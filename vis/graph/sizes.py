"""Integers that a computation derives from the sizes of arrays, such as the new shape of a reshape."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vis.graph.elementwise import computed, is_elementwise
from vis.graph.words import Graph, Operation, Value

Array = npt.NDArray[np.generic]


class Sizes:
    """Derives integers from sizes.

    Args:
        graph: the computation.
        shape: returns the sizes of a value, or None if they are unknown.
    """

    def __init__(self, graph: Graph, shape: Callable[[Value], tuple[int, ...] | None]) -> None:
        self._graph = graph
        self._shape = shape
        self._known: dict[Value, Array | None] = {}

    def of(self, value: Value) -> tuple[int, ...] | None:
        """Return the flattened numbers of a value, or None if they are unknown."""
        found = self._found(value)
        return None if found is None else tuple(int(number) for number in found.ravel())

    def _found(self, value: Value) -> Array | None:
        if value.constant is not None:
            return np.asarray(value.constant)
        if value not in self._known:
            self._known[value] = None
            operation = self._graph.maker(value)
            if value.dtype.startswith(("int", "uint", "bool")) and value is operation.outputs[0]:
                self._known[value] = self._worked_out(operation)
        return self._known[value]

    def _worked_out(self, operation: Operation) -> Array | None:
        if operation.kind == "shape":
            shape = self._shape(operation.operands[0])
            scalar = operation.outputs[0].shape == ()
            return None if shape is None else np.asarray(np.prod(shape, dtype=int) if scalar else shape)
        operands = [self._found(value) for value in operation.operands]
        if operation.kind == "stack":
            known = [each for each in operands if each is not None]
            return np.stack(known) if len(known) == len(operands) else None
        if not operands or operands[0] is None:
            return None
        x, attributes = operands[0], operation.attributes
        if operation.kind == "slice":
            return _sliced(x, operation)
        if operation.kind == "reduce_prod" and attributes["axes"] is not None:
            return np.asarray(x.prod(axis=attributes["axes"], keepdims=attributes["keepdims"]))
        if operation.kind in ("reshape", "squeeze", "expand_dims"):
            made = [-1 if size is None else size for size in operation.outputs[0].shape or ()]
            return x.reshape(made) if made.count(-1) < 2 else None
        if any(each is None for each in operands):
            return None
        known = [each for each in operands if each is not None]
        if operation.kind == "concatenate":
            return np.concatenate(known, axis=attributes["axis"])
        if operation.kind == "gather":
            return np.take(x, known[1].astype(int), axis=attributes["axis"])
        return computed(operation, known) if is_elementwise(operation) else None


def _sliced(x: Array, operation: Operation) -> Array | None:
    attributes = operation.attributes
    if attributes.get("added") or attributes.get("open") or "begin" not in attributes:
        return None
    ends = attributes["begin"], attributes["end"], attributes["strides"]
    if any(entry is None for part in ends for entry in part):
        return None
    entries = (
        first if axis in attributes["dropped"] else slice(first, last if last >= 0 else None, step)
        for axis, (first, last, step) in enumerate(zip(*ends, strict=True))
    )
    return np.asarray(x[tuple(entries)])
