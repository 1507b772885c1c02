"""Random numbers in a traced program: the same draw at every call.

JAX draws from keys. A key that Keras takes from a seed generator is computed from a variable, which gets a
constant value, whatever the model has drawn before. The numbers that a sample gets would still depend on its
row in the batch, so the caller must run one sample at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jax.extend.core import JaxprEqn, Var, jaxprs_in_params

from vis.backend.jax.noted import scope_of
from vis.backend.jax.program import has_derivative, preceding
from vis.backend.jax.sizes import is_symbolic
from vis.backend.jax.tracing import Trace

_DRAWING = frozenset("random_bits random_gamma threefry2x32 rng_bit_generator rng_uniform".split())


def fixed_draws(trace: Trace, outputs: Sequence[Any]) -> tuple[tuple[str, ...], dict[Var, npt.NDArray[Any]]]:
    """Return the random operations that some outputs depend on, by name, and the values of their seeds."""
    program = trace.program
    seeds = {var for var in program.inputs[: len(trace.variables)] if not has_derivative(var.aval)}
    arguments = set(trace.arguments)
    names: list[str] = []
    values: dict[Var, npt.NDArray[Any]] = {}
    for equation in preceding(program.equations, outputs):
        drawing = _drawing(equation)
        if not drawing:
            continue
        before = preceding(program.equations, equation.invars)
        taken = {atom for each in [*before, equation] for atom in each.invars if isinstance(atom, Var)}
        for seed in (var for var in program.inputs if var in seeds & taken):
            values.setdefault(seed, _value(seed, len(values)))
        varies = any(is_symbolic(size) for var in equation.outvars for size in var.aval.shape)
        if taken & (seeds | arguments) or varies:
            scope = scope_of(equation.source_info.name_stack)
            names += ["/".join(filter(None, [scope, each])) for each in drawing]
    return tuple(dict.fromkeys(names)), values


def _value(seed: Var, number: int) -> npt.NDArray[Any]:
    value: npt.NDArray[Any] = np.zeros(seed.aval.shape, seed.aval.dtype)
    value.flat[-1] = number
    return value


def _drawing(equation: JaxprEqn) -> list[str]:
    """Return the names of what draws in an equation: itself, or something inside it."""
    name = equation.primitive.name
    if name in _DRAWING:
        return [name]
    return [f"{inner} inside {name}" for inner in _inside(equation)]


def _inside(equation: JaxprEqn) -> Iterator[str]:
    for jaxpr in jaxprs_in_params(equation.params):
        for inner in jaxpr.eqns:
            if inner.primitive.name in _DRAWING:
                yield inner.primitive.name
            yield from _inside(inner)
