"""Single equations of a jaxpr in the terms of `vis.graph.words`."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vis.backend.jax.kinds import CUSTOM, ELEMENTWISE, IDENTITIES, LOGICAL, LOOPS, RANDOM, REDUCTIONS
from vis.backend.jax.known import Known


@dataclass(frozen=True)
class Sizes:
    """An operand that an operation of `vis.graph` has and its equation has not: sizes, possibly symbolic."""

    sizes: tuple[Any, ...]


@dataclass(frozen=True)
class Size:
    """The same for one size."""

    size: Any


@dataclass(frozen=True)
class Told:
    """An operation: its kind, its operands (variables, literals, NumPy arrays, sizes) and its attributes."""

    kind: str
    operands: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


def told(equation: Any, known: Known) -> Told:
    """Return what an equation computes; its kind is the name of its primitive if there is no word for it."""
    name, operands = equation.primitive.name, tuple(equation.invars)
    if name in ELEMENTWISE:
        return Told(ELEMENTWISE[name], operands)
    if name in LOGICAL and all(atom.aval.dtype == bool for atom in operands):
        return Told(LOGICAL[name], operands)
    if name in IDENTITIES:
        return Told("identity", operands)
    if name in RANDOM:
        return Told("random", operands)
    if name in LOOPS:
        return Told("loop", operands)
    if name == CUSTOM:
        # Its operands are the results, which are used, and the arguments, which receive the gradient.
        return Told(
            "identity", operands, {"differentiated": tuple(range(len(equation.outvars), len(operands)))}
        )
    reader = _READERS.get(name)
    found = None if reader is None else reader(equation, known)
    return Told(name, operands) if found is None else found


def size(dimension: Any) -> int | None:
    """Return a size, or None if it is symbolic."""
    return int(dimension) if isinstance(dimension, int | np.integer) else None


def whole(indices: Sequence[Any]) -> tuple[int, ...]:
    return tuple(int(index) for index in indices)


# ---- elementwise ------------------------------------------------------------------------------------------


def _power(equation: Any, known: Known) -> Told:
    (x,), y = equation.invars, equation.params["y"]
    if y in (2, -1):
        return Told("square" if y == 2 else "reciprocal", (x,))
    return Told("power", (x, np.asarray(y, x.aval.dtype)))


def _power_of_two(equation: Any, known: Known) -> Told:
    (x,) = equation.invars
    return Told("power", (np.asarray(2, x.aval.dtype), x))


def _select(equation: Any, known: Known) -> Told | None:
    which, *cases = equation.invars
    return Told("select", (which, *cases[::-1])) if len(cases) == 2 else None


def _clip(equation: Any, known: Known) -> Told:
    low, x, high = equation.invars
    return Told("clip", (x, low, high))


def _cast(equation: Any, known: Known) -> Told:
    return Told("cast", tuple(equation.invars), {"dtype": str(equation.outvars[0].aval.dtype)})


# ---- windows ----------------------------------------------------------------------------------------------


def _pairs(padding: Sequence[Any]) -> list[tuple[int, int] | None]:
    """Return paddings, with None for those that depend on sizes."""
    sides = [(size(before), size(behind)) for before, behind in padding]
    return [None if a is None or b is None else (a, b) for a, b in sides]


def _convolution(equation: Any, known: Known) -> Told | None:
    params = equation.params
    x, kernel = equation.invars
    (batch, channels, *spatial), (filters, _, *sides), out = params["dimension_numbers"]
    strides, turned = whole(params["window_strides"]), whole(params["lhs_dilation"])
    transposed = any(step > 1 for step in turned)
    if batch != 0 or tuple(out) != (batch, channels, *spatial) or spatial != sorted(spatial):
        return None
    if params["batch_group_count"] != 1 or (transposed and any(step > 1 for step in strides)):
        return None
    rank = len(x.aval.shape)
    rows: dict[str, list[Any]] = {
        "window": [1] * rank,
        "strides": [1] * rank,
        "dilations": [1] * rank,
        "padding": [(0, 0)] * rank,
    }
    for place, axis in enumerate(spatial):
        window, dilation = int(kernel.aval.shape[sides[place]]), int(params["rhs_dilation"][place])
        (padding,) = _pairs([params["padding"][place]])
        if transposed and padding is not None:
            reach = (window - 1) * dilation
            padding = (reach - padding[0], reach - padding[1])
        rows["window"][axis] = window
        rows["strides"][axis] = turned[place] if transposed else strides[place]
        rows["dilations"][axis] = dilation
        rows["padding"][axis] = padding
    groups = int(params["feature_group_count"])
    more = {"channels": channels, "groups": groups, "transposed": transposed, "filters": (filters,)}
    return Told("convolution", (x, kernel), rows | more)


def window(equation: Any) -> dict[str, Any] | None:
    """Return the attributes of a pool."""
    params = equation.params
    if any(step != 1 for step in params["base_dilation"]):
        return None
    sizes, strides = whole(params["window_dimensions"]), whole(params["window_strides"])
    still = [axis for axis, pair in enumerate(zip(sizes, strides, strict=True)) if axis and pair == (1, 1)]
    return {
        "window": list(sizes),
        "strides": list(strides),
        "dilations": list(whole(params["window_dilation"])),
        "padding": _pairs(params["padding"]),
        "channels": still[0] if len(still) == 1 else None,
    }


def _max_pool(equation: Any, known: Known) -> Told | None:
    attributes = window(equation)
    return None if attributes is None else Told("max_pool", tuple(equation.invars), attributes)


# ---- shapes -----------------------------------------------------------------------------------------------


def _inserted(short: Sequence[Any], long: Sequence[Any]) -> tuple[int, ...] | None:
    """Return the axes of size 1 that the longer shape has and the shorter one has not, or None."""
    axes, place = [], 0
    for axis, dimension in enumerate(long):
        if place < len(short) and dimension == short[place]:
            place += 1
        elif dimension == 1:
            axes.append(axis)
        else:
            return None
    return tuple(axes) if place == len(short) else None


def _reshape(equation: Any, known: Known) -> Told | None:
    x, new = equation.invars[0], equation.outvars[0].aval.shape
    if equation.params.get("dimensions") is not None:
        return None
    old = x.aval.shape
    if len(new) >= len(old) and (axes := _inserted(old, new)) is not None:
        return Told("expand_dims", (x,), {"axes": axes})
    if len(new) < len(old) and (axes := _inserted(new, old)) is not None:
        return Told("squeeze", (x,), {"axes": axes})
    return Told("reshape", (x, Sizes(tuple(new))))


def _broadcast(equation: Any, known: Known) -> Told:
    x, new = equation.invars[0], equation.outvars[0].aval.shape
    along = whole(equation.params["broadcast_dimensions"])
    axes = tuple(axis for axis in range(len(new)) if axis not in along)
    stretched = [axis for axis, old in zip(along, x.aval.shape, strict=True) if old != new[axis]]
    if not stretched and all(new[axis] == 1 for axis in axes):
        return Told("expand_dims", (x,), {"axes": axes})
    return Told("broadcast", (x, Sizes(tuple(new))), {"axes": axes})


def _slice(equation: Any, known: Known) -> Told:
    params, x = equation.params, equation.invars[0]
    strides = whole(params["strides"] or [1] * len(x.aval.shape))
    return Told("slice", (x,), sliced(x, params["start_indices"], params["limit_indices"], strides))


def _dynamic_slice(equation: Any, known: Known) -> Told | None:
    x, *starts = equation.invars
    begins = [known.number(start) for start in starts]
    found = [int(begin) for begin in begins if begin is not None]
    if len(found) < len(begins):
        return None
    begin, end = [], []
    for first, count, length in zip(found, equation.params["slice_sizes"], x.aval.shape, strict=True):
        last = size(length - count)
        begin.append(0 if count == length else first if last is None else min(max(first, 0), last))
        end.append(length if count == length else begin[-1] + count)
    return Told("slice", (x,), sliced(x, begin, end, [1] * len(begin)))


def sliced(x: Any, begin: Sequence[Any], end: Sequence[Any], strides: Sequence[int]) -> dict[str, Any]:
    """Return the attributes of a slice."""
    symbolic = [
        size(length) is None and last == length for last, length in zip(end, x.aval.shape, strict=True)
    ]
    return {
        "begin": [size(first) for first in begin],
        "end": [size(last) for last in end],
        "strides": list(strides),
        "open": tuple(axis for axis, is_open in enumerate(symbolic) if is_open),
        "dropped": (),
        "added": (),
    }


def _pad(equation: Any, known: Known) -> Told | None:
    config = [[size(number) for number in row] for row in equation.params["padding_config"]]
    if any(None in row or row[2] for row in config):
        return None
    paddings = [(before, behind) for before, behind, _ in config]
    return Told("pad", tuple(equation.invars), {"paddings": paddings, "mode": "constant"})


def _product(equation: Any, known: Known) -> Told:
    (contracted, batched) = equation.params["dimension_numbers"]
    free = iter(string.ascii_letters)
    sides = [[""] * len(atom.aval.shape) for atom in equation.invars]
    out = ""
    for pairs, kept in ((batched, True), (contracted, False)):
        for axes in zip(*pairs, strict=True):
            letter = next(free)
            out += letter if kept else ""
            for side, axis in zip(sides, axes, strict=True):
                side[axis] = letter
    for side in sides:
        for axis, letter in enumerate(side):
            if not letter:
                side[axis] = next(free)
                out += side[axis]
    return Told("product", tuple(equation.invars), {"letters": (*map("".join, sides), out)})


def _tile(equation: Any, known: Known) -> Told:
    return Told("tile", (*equation.invars, np.asarray(equation.params["reps"], np.int32)))


def _with(kind: str, **names: str) -> Callable[[Any, Known], Told]:
    """Return the reader of a primitive whose parameters are the attributes, by these names."""

    def read(equation: Any, known: Known) -> Told:
        found = {attribute: equation.params[name] for attribute, name in names.items()}
        plain = {key: int(value) if key == "axis" else whole(value) for key, value in found.items()}
        return Told(kind, tuple(equation.invars), plain)

    return read


def _reduction(equation: Any, known: Known) -> Told:
    axes = whole(equation.params["axes"])
    return Told(equation.primitive.name, tuple(equation.invars), {"axes": axes, "keepdims": False})


_READERS: dict[str, Callable[[Any, Known], Told | None]] = {
    "dim_as_value": lambda equation, known: Told("identity", (Size(equation.params["dim"]),)),
    "integer_pow": _power,
    "exp2": _power_of_two,
    "select_n": _select,
    "clamp": _clip,
    "convert_element_type": _cast,
    "conv_general_dilated": _convolution,
    "reduce_window_max": _max_pool,
    "dot_general": _product,
    "reshape": _reshape,
    "broadcast_in_dim": _broadcast,
    "squeeze": _with("squeeze", axes="dimensions"),
    "transpose": _with("transpose", permutation="permutation"),
    "rev": _with("reverse", axes="dimensions"),
    "concatenate": _with("concatenate", axis="dimension"),
    "stack": _with("stack", axis="axis"),
    "split": _with("split", axis="axis"),
    "tile": _tile,
    "slice": _slice,
    "dynamic_slice": _dynamic_slice,
    "pad": _pad,
    **dict.fromkeys(REDUCTIONS, _reduction),
}
