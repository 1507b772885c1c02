"""What a trace computes, in the terms of `vis.graph`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
from jax.core import Tracer
from jax.extend.core import JaxprEqn, Var

from vis.backend.contract import Spec
from vis.backend.jax.reading import index_of, read
from vis.backend.jax.sizes import with_sizes
from vis.backend.jax.symbols import computes_size
from vis.backend.jax.tracing import Trace, traced_program
from vis.graph import Graph, Operation, Value

_BEGUN = frozenset(["input", "variable", "constant"])


@dataclass(frozen=True)
class Words:
    """A trace in the terms of `vis.graph`, and how the two belong together.

    Args:
        trace: the trace.
        graph: what it computes.
        begun: the variables of the program by values of the graph that no operation computes.
    """

    trace: Trace
    graph: Graph
    begun: Mapping[Value, Var]

    def variable(self, value: Value) -> Var | None:
        """Return the variable of the program that a value tells, or None for a literal or a size."""
        return self.variables.get(value) or self.begun.get(value)

    def equation(self, operation: Operation) -> JaxprEqn:
        """Return the equation that an operation tells."""
        return self.trace.program.equations[index_of(operation)]

    @cached_property
    def variables(self) -> dict[Value, Var]:
        """The variables of the program by values of the graph."""
        found = dict(zip(self.graph.inputs, self.trace.arguments, strict=True))
        for operation in self.graph.operations:
            if operation.kind not in _BEGUN and not computes_size(operation):
                found.update(zip(operation.outputs, self.equation(operation).outvars, strict=True))
        return found

    @cached_property
    def values(self) -> dict[Var, Value]:
        """The values of the graph by variables of the program."""
        return {variable: value for value, variable in self.variables.items()}


def words_of(trace: Trace, outputs: Sequence[Any]) -> Words:
    """Return what a trace computes, with some of its variables or literals as outputs."""
    program = trace.program
    weights = {var: held.path for var, held in zip(program.inputs, trace.variables, strict=False)}
    held = set(map(id, trace.values))
    known = {
        var: value
        for var, value in program.constants.items()
        if not isinstance(value, Tracer) and id(value) not in held
    }
    # The variables, and the values of a trace around this one.
    weights |= {var: "" for var in program.constants if var not in known}
    graph = read(program.equations, trace.arguments, outputs, known, weights, trace.calls())
    firsts = [*trace.arguments, *weights, *known]
    begun = {step.outputs[0]: var for step, var in zip(graph.operations, firsts, strict=False)}
    return Words(trace, graph, begun)


def traced(forward: Callable[[list[Any]], Any], specs: Sequence[Spec]) -> Graph:
    """Return what a forward pass computes.

    Args:
        forward: takes one tensor per spec, and returns a structure of tensors.
        specs: the specs of its inputs.
    """

    def function(tensors: list[Any]) -> tuple[list[Any], None]:
        return keras.tree.flatten(forward(tensors)), None

    trace = with_sizes(functools.partial(traced_program, function), specs, only_told=True)
    return words_of(trace, trace.program.outputs).graph
