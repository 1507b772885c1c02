"""Gradient descent on an input, with the loop inside one compiled function.

Where each gradient is modified by a function of arrays, the loop is Python's, and its parts are compiled.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from vis.backend.contract import CompiledDescent, Forward, Rule, Spec, Steps
from vis.backend.jax.compiled import widest_float
from vis.backend.jax.differentiated import Differentiated, traced_forward
from vis.backend.jax.sized import Compiled, translated
from vis.backend.jax.sizes import type_of, with_sizes
from vis.backend.jax.tracing import values_of
from vis.backend.steps import Descent, Modify, Point, Slope, modified

# What differs in each step is filled up to a multiple of this many, as XLA compiles for each number of them.
_ROOM = 32


class _Descent(Descent):
    def __init__(self, forward: Forward, specs: Sequence[Spec], steps: Steps, rule: Rule | None) -> None:
        start = replace(steps.start, dtype=str(type_of(steps.start)))
        super().__init__(specs, replace(steps, start=start), widest_float())
        # What is compiled holds no variables: JAX would keep them.
        plain = copy.copy(self)
        trace = with_sizes(functools.partial(traced_forward, forward), specs)
        made = Differentiated(trace, rule)
        self.coverage, self.draws, self.reading = made.coverage, made.draws, made.reading
        self._shapes = [each.shape for each in trace.types[steps.made :]]
        self._variables = made.variables
        gradient_of = Compiled(made, trace.types)

        def slope(values: list[Any], x: Any, rest: list[Any], own: list[Any]) -> Slope:
            seen, back = jax.vjp(lambda x: steps.first(x, own), x)
            found = gradient_of(values, [*seen, *rest])
            pairs = zip(found.gradients, seen, strict=True)
            (gradient,) = back([jnp.zeros_like(part) if g is None else g for g, part in pairs])
            return plain._slope(found.of_samples, found.terms, gradient)

        def loop(values: list[Any], point: Point, count: Any, rest: list[Any], drawn: list[Any]) -> Point:
            def step(i: Any, point: Point) -> Point:
                return plain._moved(point, slope(values, point.x, rest, [array[i] for array in drawn]))

            found: Point = jax.lax.fori_loop(0, count, step, point)
            return found

        self._loop, self._one_slope, self._one_move = jax.jit(loop), jax.jit(slope), jax.jit(plain._moved)

    def _run(
        self,
        forward: Forward,
        point: Point,
        steps: int,
        rest: list[Any],
        drawn: list[Any],
        modify: Modify | None,
    ) -> Point:
        values = values_of(self._variables)
        rest = [np.broadcast_to(array, shape) for array, shape in zip(rest, self._shapes, strict=True)]
        with translated():
            if modify is None:
                found: Point = self._loop(values, point, steps, rest, list(map(_filled, drawn)))
                return found
            for i in range(steps):
                slope = self._one_slope(values, point.x, rest, [array[i] for array in drawn])
                point = self._one_move(point, modified(slope, modify))
        return point


def _filled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.pad(array, [(0, -len(array) % _ROOM), *[(0, 0)] * (array.ndim - 1)])


def compile_descent(
    forward: Forward, specs: Sequence[Spec], steps: Steps, rule: Rule | None = None
) -> CompiledDescent:
    """Compile steps of gradient descent on the first input of a forward pass.

    Args:
        forward: takes one tensor per spec.
        specs: what it takes.
        steps: what the steps are.
        rule: the derivative of the activations, or None for the true one.
    """
    return _Descent(forward, specs, steps, rule)
