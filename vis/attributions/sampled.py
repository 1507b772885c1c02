"""Averages over many changed inputs, in memory that does not grow with their number.

A change depends on its number and not on the sample: each sample of a batch is changed in the same way, so
its map does not depend on its neighbours or on the batch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays

# change(array of one of what is changed (batch, ...), its number, number of the change) -> the changed array
Change = Callable[[npt.NDArray[np.float64], int, int], npt.NDArray[Any]]
Attribute = Callable[[Arrays, npt.NDArray[Any]], Attribution]


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
    count, total = len(arrays[0]), len(weights)
    most = total if batch_size is None else max(1, min(total, batch_size // count))
    # As few batches, but equal ones: where a size is compiled for, the last is filled up.
    at_once = math.ceil(total / math.ceil(total / most))
    at = range(len(arrays))[changed]
    # Strings are kept as they are.
    wide = [arrays[i] if arrays[i].dtype.kind == "O" else arrays[i].astype(np.float64) for i in at]
    moments = Moments()
    for start in range(0, total, at_once):
        numbers = range(start, min(start + at_once, total))
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


def _changed(
    change: Change, array: npt.NDArray[Any], wide: npt.NDArray[np.float64], which: int, number: int
) -> npt.NDArray[Any]:
    # Tokens and categories have nothing between them.
    return array if array.dtype.kind in "iubO" else change(wide, which, number).astype(array.dtype)
