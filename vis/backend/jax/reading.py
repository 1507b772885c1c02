"""A jaxpr in the terms of `vis.graph`.

There is one operation per equation, but for what JAX writes out in several, see `written_out`. The name of an
operation ends in the index of its equation. Constants, literals and sizes are operations of their own, before
all others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jax.extend.core import Literal

from vis.backend.jax.attributes import Size, Sizes, Told, size, told
from vis.backend.jax.known import Known
from vis.backend.jax.lookups import lookup
from vis.backend.jax.noted import scope_of
from vis.backend.jax.symbols import SizeOperations, examples, named
from vis.backend.jax.tracing import Called
from vis.backend.jax.written_out import WrittenOut
from vis.graph import Graph, LayerCall, Operation, Shape, Value


def read(
    equations: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: Mapping[Any, Any],
    variables: Mapping[Any, str],
    notes: Iterable[Called] = (),
) -> Graph:
    """Return what a jaxpr computes.

    Args:
        equations: its equations, without inner ones that could be part of it.
        inputs: the variables that it takes.
        outputs: the variables or literals that it returns.
        constants: the values of variables that are known.
        variables: the names of those that hold the weights of a model.
        notes: the calls of layers.
    """
    reader = _Reader(equations, inputs, outputs, constants, variables, list(notes))
    return reader.graph()


def index_of(operation: Operation) -> int:
    """Return the index of the equation that an operation tells."""
    return int(operation.name.rsplit(":", 1)[-1])


class _Reader:
    def __init__(
        self,
        equations: Sequence[Any],
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        constants: Mapping[Any, Any],
        variables: Mapping[Any, str],
        notes: Sequence[Called],
    ) -> None:
        self._equations = equations
        self._inputs = inputs
        self._outputs = outputs
        self._notes = notes
        self._known = Known(equations, constants)
        places = named(inputs)
        several = len(places) > 1
        self._imagined = Known(equations, constants, examples(list(places))) if several else self._known
        self._makers = {variable: equation for equation in equations for variable in equation.outvars}
        self._values: dict[Any, Value] = {}
        self._fixed: dict[Any, Value] = {}
        # Inputs, variables and constants.
        self._first: list[Operation] = []
        for place, variable in enumerate(inputs):
            self._begin(variable, "input", f"input:{place}", {})
        for variable, name in variables.items():
            self._begin(variable, "variable", name, {"name": name})
        for place, variable in enumerate(constants):
            self._begin(variable, "constant", f"constant:{place}", {})
        self._sizes = SizeOperations(places, self._values)

    def _begin(self, variable: Any, kind: str, name: str, attributes: dict[str, Any]) -> None:
        value = self._value(variable, name)
        self._values[variable] = value
        self._first.append(Operation(name, kind, (), (value,), attributes))

    def _value(self, variable: Any, name: str) -> Value:
        shape: Shape = tuple(size(dimension) for dimension in variable.aval.shape)
        return Value(name, shape, str(variable.aval.dtype), self._known.array(variable))

    def graph(self) -> Graph:
        """Return the graph."""
        ends = [atom for note in self._notes for atom in note.outputs if atom in self._makers]
        ends += [atom for atom in self._outputs if not isinstance(atom, Literal)]
        whole = WrittenOut(self._equations, self._known, self._imagined, self._makers, ends)
        steps: list[Operation] = []
        starts = []
        for place, equation in enumerate(self._equations):
            starts.append(len(steps))
            if place in whole.left_out:
                continue
            found = whole.told.get(place) or self._told(equation)
            name = f"{scope_of(equation.source_info.name_stack)}/{equation.primitive}:{place}".lstrip("/")
            made = []
            for part, variable in enumerate(equation.outvars):
                self._values[variable] = self._value(variable, f"{name}:{part}")
                made.append(self._values[variable])
            operands = tuple(self._operand(operand) for operand in found.operands)
            steps.append(Operation(name, found.kind, operands, tuple(made), found.attributes))
        starts.append(len(steps))
        outputs = [self._operand(atom) for atom in self._outputs]
        inputs = [self._values[variable] for variable in self._inputs]
        calls = self._calls([start + len(self._first) for start in starts])
        return Graph([*self._first, *steps], inputs, outputs, calls)

    def _told(self, equation: Any) -> Told:
        found = None
        if equation.primitive.name == "gather":
            found = lookup(equation, self._known, self._imagined, self._makers)
        return found or told(equation, self._known)

    def _operand(self, operand: Any) -> Value:
        if isinstance(operand, Literal):
            return self._constant(np.asarray(operand.val), str(operand.aval.dtype))
        if isinstance(operand, np.ndarray):
            return self._constant(operand, str(operand.dtype))
        if isinstance(operand, Sizes):
            return self._several(operand.sizes)
        if isinstance(operand, Size):
            return self._symbolic(self._sizes.size(operand.size), -1)
        return self._values[operand]

    def _several(self, sizes: Sequence[Any]) -> Value:
        """Return sizes as a value; one of -1 is what is left."""
        numbers = [-1 if size(each) is None else each for each in sizes]
        found = self._sizes.vector(sizes) if numbers.count(-1) > 1 else None
        return self._symbolic(found, numbers)

    def _symbolic(self, found: Value | None, otherwise: Any) -> Value:
        self._first += self._sizes.new()
        return self._constant(np.asarray(otherwise), "int64") if found is None else found

    def _constant(self, array: npt.NDArray[Any], dtype: str) -> Value:
        key = (dtype, array.shape, array.tobytes())
        if key not in self._fixed:
            name = f"literal:{len(self._fixed)}"
            self._fixed[key] = Value(name, array.shape, dtype, array)
            self._first.append(Operation(name, "constant", (), (self._fixed[key],)))
        return self._fixed[key]

    def _calls(self, starts: Sequence[int]) -> list[LayerCall]:
        calls = []
        counts: dict[str, int] = {}
        for note in sorted(self._notes, key=lambda note: note.first):
            index = counts.get(note.path, 0)
            counts[note.path] = index + 1
            made = tuple(self._values[atom] for atom in note.outputs if atom in self._values)
            first, stop = starts[note.first], starts[note.stop]
            calls.append((stop, LayerCall(note.path, index, note.is_layer, first, stop, made)))
        # In the order in which they ended; the inner ones first if they ended together.
        calls.sort(key=lambda pair: (pair[0], -pair[1].first))
        return [call for _, call in calls]
