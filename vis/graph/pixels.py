"""The pixel range that a model expects, read from the first operations after its input.

Scalings and shifts by constants (possibly per channel), casts, and operations that move pixels without
changing them are followed up to the first other operation: a convolution, a matrix product, a normalization
with variables. There, a pixel value `v` has become `scale * v + shift`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.graph.elementwise import computed, is_elementwise
from vis.graph.words import Graph, Operation, Value

RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
_SHAPES = frozenset("identity cast reshape expand_dims squeeze".split())
# Operations that move pixels, or mix pixels of one channel.
_MOVES = _SHAPES | frozenset(
    "stop_gradient transpose slice pad concatenate stack resize gather repeat clip maximum minimum round "
    "floor reduce_mean average_pool max_pool reverse tile split".split()
)


@dataclass(frozen=True)
class _Affine:
    """What pixels have become: `scale * v + shift`, one entry for all channels or one each, `(channels,)`."""

    scale: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]


def pixel_range(graph: Graph, number: int = 0) -> tuple[float, float]:
    """Return the pixel range `(low, high)` that a model expects, one of `RANGES`.

    Let [a, b] be what becomes of a range in a channel before the first operation other than a scaling or a
    shift. The result is the range for which

        |log(b - a)| + 10 * max(0, a, -b) / (b - a)

    averaged over the channels, is smallest: there, the values are of the order of 1 and include zero. If
    nothing is scaled or shifted, the result is `(0, 1)`; for a model with integer inputs it is `(0, 255)`.

    Args:
        graph: what the model computes.
        number: which of its inputs is the picture.
    """
    picture = graph.inputs[number]
    if picture.dtype.startswith(("int", "uint")):
        return 0.0, 255.0
    found = _joined(_met(graph, picture))

    def unlikely(limits: tuple[float, float]) -> float:
        ends = np.sort([found.scale * limit + found.shift for limit in limits], axis=0)
        width = ends[1] - ends[0]
        outside = np.maximum(0, np.maximum(ends[0], -ends[1]))
        return float(np.mean(abs(np.log(width)) + 10 * outside / width))

    with np.errstate(all="ignore"):
        return min(RANGES, key=unlikely)


def _met(graph: Graph, picture: Value) -> list[_Affine]:
    """Return the inputs of the first other operations."""
    known = {picture: _Affine(np.ones(1), np.zeros(1))}
    numbers: dict[Value, npt.NDArray[Any] | None] = {}
    met: dict[Value, _Affine] = {}
    for operation in graph.operations:
        operands = [value for value in operation.operands if value in known]
        if not operands or operation.kind == "shape":
            continue
        after = _after(
            operation,
            [known[value] for value in operands],
            [_number(graph, value, numbers) for value in operation.operands if value not in known],
            operation.operands[0] in known,
        )
        if after is None:
            met.update({value: known[value] for value in operands})
        else:
            known.update(dict.fromkeys(operation.outputs, after))
    return list(met.values()) or [known.get(graph.outputs[0], known[picture])]


def _joined(parts: Sequence[_Affine]) -> _Affine:
    """Return what the pixels of all parts have become, channel after channel."""
    return _Affine(
        np.concatenate([part.scale for part in parts]), np.concatenate([part.shift for part in parts])
    )


def _after(
    operation: Operation,
    pixels: Sequence[_Affine],
    numbers: Sequence[npt.NDArray[Any] | None],
    is_first: bool,
) -> _Affine | None:
    """Return what an operation makes of pixels, or None unless it scales, shifts or moves them."""
    one = pixels[0]
    if operation.kind in _MOVES:
        return _joined(pixels)
    if operation.kind == "negative":
        return _Affine(-one.scale, -one.shift)
    number = numbers[0] if len(pixels) == 1 and len(numbers) == 1 else None
    if number is None or number.dtype.kind not in "fiu":
        return None
    number = number.astype(np.float64)
    scale: npt.NDArray[Any] = np.ones(1)
    shift: npt.NDArray[Any] = np.zeros(1)
    if operation.kind == "add":
        shift = number
    elif operation.kind == "subtract":
        scale, shift = (scale, -number) if is_first else (-scale, number)
    elif operation.kind == "multiply":
        scale = number
    elif operation.kind == "divide" and is_first:
        scale = 1 / number
    else:
        return None
    try:
        made = np.broadcast_arrays(scale * one.scale, scale * one.shift + shift)
    except ValueError:
        return None
    return _Affine(*made) if np.isfinite(made).all() and np.all(made[0]) else None


def _number(
    graph: Graph, value: Value, known: dict[Value, npt.NDArray[Any] | None]
) -> npt.NDArray[Any] | None:
    """Return the constant of a value, for each channel, `(channels,)`, or for all; None if unknown."""
    if value not in known:
        operation = graph.maker(value)
        number = value.constant
        if number is None and operation.operands and operation.kind in _SHAPES:
            number = _number(graph, operation.operands[0], known)
        elif number is None and operation.operands and is_elementwise(operation):
            parts = [_number(graph, operand, known) for operand in operation.operands]
            given = [part for part in parts if part is not None]
            number = computed(operation, given) if len(given) == len(parts) else None
        if number is not None and number.dtype.kind in "fiub":
            number = number.squeeze()
            if number.ndim > 1:  # a mean image
                number = number.reshape(-1, number.shape[-1]).mean(axis=0)
            number = np.atleast_1d(number)
        known[value] = number
    return known[value]
