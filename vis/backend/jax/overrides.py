"""Other derivatives for activations, in one program only.

The regions that `vis.graph` finds in a traced program are replaced as a whole: by a function that computes
the same, and whose derivative is the rule. No layer is touched, and nothing of JAX is patched. The bodies of
loops and branches stay as they are: their activations are reported as missed.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, Var

from vis.backend.contract import Coverage, Rule
from vis.backend.jax.program import Action, Program, Replacement, free, has_derivative, run
from vis.backend.jax.reading import index_of, read
from vis.backend.jax.words import Words
from vis.backend.ruled import ruled
from vis.graph import Graph, Region, find_activations


def override(
    rule: Rule, words: Words, sources: Sequence[Any], ends: Sequence[Any]
) -> tuple[list[Replacement], Coverage]:
    """Return what to run in place of the activations between some variables, and what the rule reaches.

    Args:
        rule: the derivative of the activations.
        words: what is computed.
        sources, ends: variables of its program.
    """
    graph, values = words.graph, words.values
    starts, stops = ([values[atom] for atom in atoms if atom in values] for atoms in (sources, ends))
    found = find_activations(graph, starts, stops)
    missed = [
        f"{region} inside {operation.name}"
        for operation in graph.between(starts, stops)
        for body in _bodies(words.equation(operation))
        for region in find_activations(body, body.inputs, body.outputs).found
    ]
    coverage = Coverage(tuple(map(str, found.found)), (*found.missed, *missed))
    return [_replacement(rule, words, region) for region in found.found], coverage


def _replacement(rule: Rule, words: Words, region: Region) -> Replacement:
    start, end = words.variables[region.start], words.variables[region.end]
    equations = frozenset(map(index_of, region.operations))
    program = words.trace.program
    actions = program.part(equations, start, end)
    others = tuple(var for var in free(actions) if var is not start)
    function = _ruled(rule, region.operations[-1].name, actions, start, others, end)
    return Replacement(equations, start, end, others, function)


def _ruled(
    rule: Rule, name: str, actions: Sequence[Action], start: Var, others: Sequence[Var], end: Var
) -> Any:
    """Return a function that computes `end` from `start` and other values, and whose derivative is a rule."""
    # Held weakly: a compiled gradient lasts as long as its rule, so it must not keep the rule alive.
    held = weakref.ref(rule)
    moving = [var for var in others if has_derivative(var.aval)]

    def computed(x: Any, *values: Any) -> Any:
        return run(actions, {start: x, **dict(zip(others, values, strict=True))}, [end])[0]

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def function(x: Any, *values: Any) -> Any:
        return computed(x, *values)

    def forward(x: Any, *values: Any) -> Any:
        y = computed(x, *values)
        return y, (x, y, values)

    def backward(saved: Any, grad: Any) -> Any:
        x, y, values = saved
        known = dict(zip(others, values, strict=True))

        def of_floats(x: Any, *floats: Any) -> Any:
            now = known | dict(zip(moving, floats, strict=True))
            return computed(x, *(now[var] for var in others))

        _, back = jax.vjp(of_floats, x, *(known[var] for var in moving))
        true_grad, *rest = back(grad)
        present = held()
        assert present is not None  # noqa: S101 - the caller keeps it as long as it differentiates
        gradient = ruled(present, name, x, y, grad, true_grad).astype(x.dtype)
        of_others = dict(zip(moving, rest, strict=True))
        return (gradient, *(of_others.get(var) for var in others))

    function.defvjp(forward, backward)
    return function


def _bodies(equation: Any) -> Iterator[Graph]:
    """Yield what the functions inside an equation compute, directly or indirectly."""
    for parameter in equation.params.values():
        for body in parameter if isinstance(parameter, tuple | list) else [parameter]:
            if isinstance(body, ClosedJaxpr | Jaxpr):
                program = Program(body)
                yield read(program.equations, program.inputs, program.outputs, program.constants, {})
                for inner in program.equations:
                    yield from _bodies(inner)


def where_positive(condition: Any, value: Any) -> Any:
    """Return `value` where `condition`, a tensor of its shape and type, is positive, and 0 elsewhere."""
    return jnp.where(condition > 0, value, 0)
