"""Samples with their targets and maps, batch by batch, and the scores of changed copies of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions import Explainer
from vis.attributions.asked import asked, pick_of, targets_of
from vis.attributions.base import Explained, checked
from vis.attributions.batches import in_memory, sized, watched
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import replacement
from vis.attributions.sampled import turns
from vis.engine import Differentiation, Score
from vis.errors import EmptyMapWarning, InputError, warn
from vis.typing import Data, Layer, Targets

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Samples:
    """A batch of samples with a map of each.

    Args:
        score: what the model is asked.
        array: the inputs, `(n, ...)`.
        targets: of the score, `(n, ...)`.
        maps: float64, with the axes of the inputs; it may have a single channel.
        rows: which of all samples these are.
        total: the number of all samples.
    """

    score: Differentiation[Score]
    array: Array
    targets: Array
    maps: Array
    rows: slice
    total: int

    @property
    def channels(self) -> int:
        """The axis of the channels."""
        return channel_axis(self.score, self.array)

    @property
    def base(self) -> Array:
        """The scores of the inputs as they are, `(n,)`."""
        return self.score.values([self.array], self.targets).astype(np.float64)

    def scores(self, change: Callable[[int], Array], count: int, batch_size: int) -> Array:
        """Return the scores of changed inputs, `(count, n)`.

        Args:
            change: returns the inputs as a number changes them, `(n, ...)`; called for each number in turn.
            count: the numbers are those below it.
            batch_size: the largest number of inputs that the model is given at once.
        """
        found = []
        for numbers in turns(count, len(self.array), batch_size):
            copies = np.concatenate([change(number).astype(self.array.dtype) for number in numbers])
            scores = self.score.values([copies], np.concatenate([self.targets] * len(numbers)))
            found.append(scores.reshape(len(numbers), -1).astype(np.float64))
        return np.concatenate(found)


def with_maps(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets,
    output_layer: Layer | None,
    operator: OperatorLike,
    batch_size: int,
) -> Iterator[Samples]:
    """Yield samples with their maps.

    Args and raises: see `vis.metrics.deletion`.
    """
    batch_size = checks.whole("batch_size", batch_size)
    score = asked(model, output_layer, operator).batched()
    heat = checks.real(maps, "A map").astype(np.float64)
    inputs, targets = in_memory(score.source, inputs, targets, pick_of(score))
    count, _ = sized(score.source, inputs)
    if not count or heat.shape[:1] != (count,):
        given = len(heat) if heat.ndim else 0
        raise InputError(f"Pass one map for each sample. Received: {count} samples, {given} maps.")
    done = 0
    for arrays, given in watched(score.source, inputs, targets, batch_size):
        array = only(arrays)
        rows = slice(done, done + len(array))
        done = rows.stop
        over = laid(heat[rows], array, channel_axis(score, array))
        if over is None or not np.isfinite(over).all():
            raise InputError(
                "A map must be finite and have the shape of its input, or one channel, or no channel axis. "
                f"Received: maps of shape {heat.shape} for inputs of shape {array.shape}."
            )
        yield Samples(score, array, targets_of(score, arrays, given), over, rows, count)


def explained(
    explainer: Explainer, inputs: Data, targets: Targets
) -> Iterator[tuple[Explainer, Array, Explained]]:
    """Yield an explainer for this run, and the inputs of each batch with their maps and targets."""
    run = checked(explainer).fixed()
    count = 0
    for arrays, given in watched(run.score.source, inputs, targets, run.at_once(), pick_of(run.score)):
        array = only(arrays)
        if len(array):
            yield run, array, run.explain_arrays([array], given)
        count += len(array)
    if not count:
        raise InputError("There is nothing to measure. Received: no samples.")


def maps_of_changed(
    run: Explainer, array: Array, targets: Array, change: Callable[[int], Array], count: int
) -> Iterator[Array]:
    """Yield the maps of changed inputs, `(n, ...)`, for each number below `count`, see `Samples.scores`."""
    for numbers in turns(count, len(array), run.at_once()):
        copies = np.concatenate([change(number).astype(array.dtype) for number in numbers])
        maps = only(run.explain_arrays([copies], np.concatenate([targets] * len(numbers))).maps)
        yield from maps.reshape(len(numbers), len(array), *maps.shape[1:]).astype(np.float64)


def only(arrays: list[Array]) -> Array:
    """Return the only array of several inputs or maps."""
    if len(arrays) != 1:
        raise InputError(
            f"Measures of maps need a model with one input. Received: a model with {len(arrays)} inputs."
        )
    return arrays[0]


def channel_axis(score: Differentiation[Score], array: Array) -> int:
    """Return the axis of the channels of an array of inputs."""
    return score.source.channel_axis(0, array.ndim)


def laid(values: Array, array: Array, channels: int) -> Array | None:
    """Return values laid over inputs, with as many axes, or None if they do not fit.

    Args:
        values: `(m, ...)`, in the shape of an input, with one channel, or without channels; of words,
            `(m, T)`, also one for each word as what embeds them gives it, `(m, T, 1)`.
        array: the inputs, `(n, ...)`.
        channels: the axis of their channels.
    """
    if array.ndim > 2 and values.ndim == array.ndim - 1:
        values = np.expand_dims(values, channels)
    elif array.ndim == 2 and values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    one = {channels} if array.ndim > 2 else set()
    fits = values.ndim == array.ndim and all(
        values.shape[axis] == array.shape[axis] or (axis in one and values.shape[axis] == 1)
        for axis in range(1, array.ndim)
    )
    return values if fits else None


def replaced_by(baseline: Any, array: Array, rows: slice) -> Array:
    """Return what replaces the values of inputs, in their shape.

    Args:
        baseline: a number, one input, one for each sample, or a function of the inputs.
        array: the inputs, `(n, ...)`.
        rows: which of all samples these are.

    Raises:
        InputError: see `vis.attributions.perturbed.replacement`.
    """
    if not callable(baseline):
        baseline = checks.array(baseline)
        if baseline.ndim == array.ndim and len(baseline) > 1:
            baseline = baseline[rows]
    return replacement(baseline, array, "The baseline")


def amount(name: str, value: Any) -> float:
    """Return a finite number that is not negative.

    Raises:
        InputError: if it is anything else.
    """
    if not checks.is_number(value) or not 0 <= value < math.inf:
        raise InputError(f"{name} must be a number >= 0. Received: {value!r}.")
    return float(value)


def known(values: Array, what: str, why: str) -> Array:
    """Return values of a measure, `(N,)`, and warn of those that are NaN.

    Args:
        values: one for each sample.
        what: what the message calls them: "The sparseness".
        why: a sentence that says when one is not known.
    """
    rows = np.flatnonzero(np.isnan(values))
    if rows.size:
        named = f"{', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else ''}"
        warn(f"{what} of {len(rows)} of {len(values)} samples is NaN: {named}. {why}", EmptyMapWarning)
    return values
