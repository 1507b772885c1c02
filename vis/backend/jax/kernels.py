"""Kernels as a gradient needs them: turned once for the weights, and not at every call.

The derivative of a convolution by its input is a convolution with the kernel mirrored and its channels
swapped. Where the weights are arguments, XLA moves the numbers of all kernels for that at each call: for
ResNet50 and one image, this takes a sixth of the time. So a gradient of large kernels takes them turned.
"""

from __future__ import annotations

import math
import operator
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Var

from vis.backend.jax.program import preceding

# From how many bytes of them kernels are kept turned, and for how many gradients at a time.
_LEAST = 2**22
_MOST = 4
_holding: list[weakref.ref[Turned]] = []
_lock = threading.Lock()


def are_large(tensors: Iterable[Any]) -> bool:
    """Tell whether tensors of some types take so many bytes that turning them matters."""
    size: int = sum(math.prod(each.shape) * each.dtype.itemsize for each in tensors)
    return size >= _LEAST


def split(closed: Any, count: int) -> tuple[Callable[..., list[Any]], Any] | None:
    """Return a function that turns the kernels, and a jaxpr that takes them after its other inputs.

    Return None if they are small.

    Args:
        closed: the closed jaxpr of a gradient.
        count: how many of its inputs, the first ones, are variables.
    """
    jaxpr = closed.jaxpr
    variables = jaxpr.invars[:count]
    alone, from_them = set(variables), []
    turned: dict[tuple[Var, tuple[int, ...]], Var] = {}
    equations = []
    for equation in jaxpr.eqns:
        taken = [atom for atom in equation.invars if isinstance(atom, Var)]
        if taken and alone.issuperset(taken) and not equation.effects:
            alone.update(equation.outvars)
            from_them.append(equation)
        elif equation.primitive.name == "conv_general_dilated" and equation.invars[1] in alone:
            equation = _taking_turned(equation, variables, turned)
        equations.append(equation)
    if not turned or not are_large(var.aval for var in turned.values()):
        return None
    kernels = [kernel for kernel, _ in turned]
    first = jaxpr.replace(
        constvars=(), invars=variables, outvars=kernels, eqns=preceding(from_them, kernels), effects=set()
    )

    def turn(values: Sequence[Any]) -> list[Any]:
        found = jax.core.eval_jaxpr(first, (), *values)
        return [jnp.transpose(kernel, order) for kernel, (_, order) in zip(found, turned, strict=True)]

    return turn, jaxpr.replace(invars=[*jaxpr.invars, *turned.values()], eqns=equations)


def _taking_turned(
    equation: Any, variables: Sequence[Var], turned: dict[tuple[Var, tuple[int, ...]], Var]
) -> Any:
    """Return a convolution that takes its kernel in Keras's order of dimensions: channels in and out last."""
    layer, kernel = equation.invars
    dimensions = equation.params["dimension_numbers"]
    rank = len(dimensions.rhs_spec)
    wanted = (rank - 1, rank - 2, *range(rank - 2))
    order = tuple(dimensions.rhs_spec[wanted.index(place)] for place in range(rank))
    if order == tuple(range(rank)) and kernel in variables:
        return equation
    shape = tuple(kernel.aval.shape[place] for place in order)
    new = turned.setdefault((kernel, order), Var(kernel.aval.update(shape=shape)))
    params = equation.params | {"dimension_numbers": dimensions._replace(rhs_spec=wanted)}
    return equation.replace(invars=[layer, new], params=params)


class Turned:
    """The kernels that a gradient takes, for the weights that it was called with last.

    They are kept for the few gradients that were called with new weights last.

    Args:
        turn: turns the kernels of some weights.
    """

    def __init__(self, turn: Callable[..., list[Any]]) -> None:
        self._turn = jax.jit(turn)
        self._kept: tuple[Sequence[Any], list[Any]] | None = None

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Return the kernels for the values of the variables."""
        kept = self._kept
        if kept is not None and all(map(operator.is_, kept[0], values)):
            return kept[1]
        found: list[Any] = self._turn(values)
        if not any(isinstance(each, jax.core.Tracer) for each in found):
            self._keep(values, found)
        return found

    def _keep(self, values: Sequence[Any], found: list[Any]) -> None:
        with _lock:
            others = [each for held in _holding if (each := held()) is not None and each is not self]
            for each in others[: 1 - _MOST]:
                each._kept = None
            _holding[:] = map(weakref.ref, [*others[1 - _MOST :], self])
            self._kept = values, found
