"""Integers that choose a row, such as the tokens of an embedding: out of range, JAX returns NaN for them.

They are followed from the inputs to the rows that they choose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jax.extend.core import JaxprEqn, Literal, Var

from vis.backend.jax.tracing import Trace
from vis.errors import InputError

_PASSING = frozenset(
    "convert_element_type copy reshape broadcast_in_dim squeeze expand_dims transpose".split()
)


def token_counts(trace: Trace) -> dict[int, int]:
    """Return how many rows there are to choose from, by the positions of the arguments that choose."""
    found: dict[int, int] = {}
    places = {var: place for place, var in enumerate(trace.arguments)}
    # The arguments by what has their numbers, possibly counted from the end.
    known = {var: place for var, place in places.items() if np.dtype(var.aval.dtype).kind in "iu"}
    for equation in trace.program.equations:
        operands = [atom for atom in equation.invars if isinstance(atom, Var) and atom in known]
        name = equation.primitive.name
        if not operands:
            continue
        place = known[operands[0]]
        if name == "gather":
            count = _rows(equation)
            if count is not None and equation.invars[1] in known:
                found[place] = min(count, found.get(place, count))
        elif name in _PASSING or _counts_from_the_end(equation, known):
            known[equation.outvars[0]] = place
    return found


def _rows(equation: JaxprEqn) -> int | None:
    """Return how many rows there are if one index chooses among them, or None."""
    axes = equation.params["dimension_numbers"].start_index_map
    if len(axes) != 1 or equation.params["slice_sizes"][axes[0]] != 1:
        return None
    count = equation.invars[0].aval.shape[axes[0]]
    return count if isinstance(count, int) else None


def _counts_from_the_end(equation: JaxprEqn, known: Mapping[Any, int]) -> bool:
    """Tell whether an equation is a part of `where(i < 0, i + count, i)`."""
    operands = equation.invars
    if equation.primitive.name == "add":
        return any(isinstance(atom, Literal) for atom in operands)
    cases = operands[1:]
    return equation.primitive.name == "select_n" and all(
        isinstance(atom, Var) and atom in known for atom in cases
    )


def check_tokens(counts: Mapping[int, int], arrays: Sequence[Any]) -> None:
    """Raise an error if an integer is out of range.

    Args:
        counts: the numbers of rows, by the positions of the arrays.
        arrays: what a compiled function is given.
    """
    for place, count in counts.items():
        array = np.asarray(arrays[place])
        wrong = array[(array < 0) | (array >= count)]
        if wrong.size:
            raise InputError(
                f"The model cannot run on an input of shape {tuple(np.shape(arrays[0]))}: the token or "
                f"category {wrong.flat[0]} is not in the range 0 to {count - 1}."
            )
