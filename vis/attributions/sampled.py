"""Averages over many changed inputs, in memory that does not grow with their number.

A change depends on its number and not on the sample: each sample of a batch is changed in the same way, so
its map does not depend on its neighbours or on the batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.errors import InputError
from vis.progress import Work
from vis.words import NoiseScale

# change(array of one of what is changed (batch, ...), its number, number of the change) -> the changed array
Change = Callable[[npt.NDArray[np.float64], int, int], npt.NDArray[Any]]
Attribute = Callable[[Arrays, npt.NDArray[Any]], Attribution]
_ALL = np.ones((), bool)


class Moments:
    """The weighted sum of attributions, and that of their squares, gathered in float64."""

    def __init__(self) -> None:
        self.sums: Arrays = []
        self.squares: Arrays = []

    def add(self, parts: Arrays, weights: npt.NDArray[np.float64], squares: bool) -> None:
        """Add attributions `(changes, batch, ...)`, weighted by `(changes,)`."""
        if not self.sums:
            self.sums = [np.zeros(part.shape[1:]) for part in parts]
            self.squares = [np.zeros(part.shape[1:]) for part in parts] if squares else []
        # One after the other, so that the sum does not depend on how many come together.
        for i, part in enumerate(parts):
            for weight, values in zip(weights, part, strict=True):
                self.sums[i] += np.multiply(values, weight, dtype=np.float64)
                if squares:
                    self.squares[i] += weight * np.square(values, dtype=np.float64)


def average(
    attribute: Attribute,
    arrays: Arrays,
    targets: npt.NDArray[Any],
    change: Change,
    weights: npt.NDArray[np.float64],
    batch_size: int | None,
    changed: slice,
    squares: bool = False,
) -> Moments:
    """Return the weighted sum of the attributions of changed inputs, one change per weight.

    Args:
        attribute: attributes a batch.
        arrays: what an explainer attributes, each `(batch, ...)`.
        targets: of the batch, `(batch, ...)`.
        change: changes an input.
        weights: of the changes.
        batch_size: the largest number of samples that the model is given at once; None for all.
        changed: those of the arrays that are changed.
        squares: whether the squares are wanted, too.
    """
    count = len(arrays[0])
    at = range(len(arrays))[changed]
    # Strings are kept as they are.
    wide = [arrays[i] if arrays[i].dtype.kind == "O" else arrays[i].astype(np.float64) for i in at]
    moments = Moments()
    for numbers in turns(len(weights), count, batch_size):
        copies = [
            np.concatenate(
                [_changed(change, array, wide[at.index(i)], at.index(i), number) for number in numbers]
                if i in at
                else [array] * len(numbers)
            )
            for i, array in enumerate(arrays)
        ]
        repeated = np.concatenate([targets] * len(numbers))
        found = attribute(copies, repeated).maps
        parts = [part.reshape(len(numbers), count, *part.shape[1:]) for part in found]
        moments.add(parts, weights[numbers.start : numbers.stop], squares)
    return moments


def turns(total: int, count: int, batch_size: int | None) -> Iterator[range]:
    """Yield the numbers of the changes that are made at once to a batch of `count` samples, and tell of them.

    Args:
        total: the number of changes.
        count: the number of samples.
        batch_size: the largest number of samples that the model is given at once; None for all.
    """
    most = total if batch_size is None else max(1, min(total, batch_size // count))
    # As few batches, but equal ones: where a size is compiled for, the last is filled up.
    at_once = math.ceil(total / math.ceil(total / most))
    with Work(total * count, "inputs") as work:
        for start in range(0, total, at_once):
            numbers = range(start, min(start + at_once, total))
            yield numbers
            work.advance(len(numbers) * count)


def checked_scale(noise_scale: Any) -> NoiseScale:
    """Return the unit of noise.

    Raises:
        InputError: if it is unknown.
    """
    if noise_scale not in get_args(NoiseScale):
        raise InputError(
            f"noise_scale must be one of {', '.join(get_args(NoiseScale))}. Received: {noise_scale!r}. With "
            "'range', noise is a fraction of each sample's maximum minus minimum."
        )
    scale: NoiseScale = noise_scale
    return scale


def units(
    array: npt.NDArray[Any], noise_scale: NoiseScale, steps: npt.NDArray[np.bool_] = _ALL
) -> npt.NDArray[Any]:
    """Return the unit of the noise of each sample: 0 where its time steps are masked.

    Args:
        array: `(batch, ...)`.
        noise_scale: `"range"`: the maximum minus the minimum of each sample; `"absolute"`: 1.
        steps: which time steps are not masked; it broadcasts to the array.
    """
    if noise_scale == "absolute" or array.dtype.kind == "O":  # text is kept as it is
        return steps.astype(np.float64)
    axes: Any = {"axis": tuple(range(1, array.ndim)), "keepdims": True, "where": steps}
    wide = array.astype(np.float64)
    ranges = wide.max(initial=-np.inf, **axes) - wide.min(initial=np.inf, **axes)
    return np.asarray(np.where(steps, ranges, 0))


def _changed(
    change: Change, array: npt.NDArray[Any], wide: npt.NDArray[np.float64], which: int, number: int
) -> npt.NDArray[Any]:
    # Tokens and categories have nothing between them.
    return array if array.dtype.kind in "iubO" else change(wide, which, number).astype(array.dtype)
