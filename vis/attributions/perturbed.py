"""Explanations by scores alone: those of inputs of which parts are replaced by a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, inputs, models
from vis.attributions.base import Explainer
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.errors import InputError
from vis.progress import Work
from vis.typing import Explainable, Inputs, Layer

# What replaces the values that are taken out: numbers or inputs, or a function of a batch of inputs.
BaselineLike: TypeAlias = Inputs | Callable[[npt.NDArray[Any]], npt.ArrayLike]
# masks(the number of a sample, which of its masks) -> for each input the share that is kept of each value,
# (masks, ...), booleans or numbers from 0 to 1 that broadcast to samples
Masks = Callable[[int, slice], Arrays]


class Perturbed(Explainer):
    """Explains by the scores of perturbed inputs, `m x + (1 - m) b`, of which a mask m keeps a part.

    The baseline b replaces what is taken out. Masked time steps stay as they are. No gradient is needed: a
    function from a batch of arrays to outputs `(batch, ...)` is explained like a model, see
    `vis.attributions.wrapped`.

    Args:
        model: a Keras model or a function.
        baseline: what replaces values: a number; an input, for several inputs in their structure; or, for a
            single input, a function from a batch to its baselines, such as `vis.metrics.blurred`.
        progress: whether a bar shows how many perturbed inputs of a batch have been scored.
        output_layer, batch_size, operator, output_layer_index, wrt, fold_layers: see `Explainer`.
    """

    has_channels = False
    takes_functions = True

    def __init__(
        self,
        model: Explainable,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        baseline: BaselineLike = 0.0,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
        progress: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, None, wrt, fold_layers)
        self._set_up(batch_size, None)
        self._perturb("baseline", baseline, progress)

    def _perturb(self, argument: str, baseline: Any, progress: bool) -> None:
        """Note how inputs are perturbed."""
        symbols = self.score.source.symbols
        known = None if symbols is None else [symbol.dtype for symbol in keras.tree.flatten(symbols)]
        self.baseline = baseline if callable(baseline) else _checked_baseline(argument, baseline, known)
        self._named = argument
        self._progress = bool(progress)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "progress": self._progress}

    def channels(self, arrays: Sequence[Any]) -> list[int | None]:
        """Return the axis of the channels of what is explained, in a batch of each input; None for none.

        The channels of a position belong together: those of images, of volumes, and of the output of a layer.

        Args:
            arrays: what is explained, or only their shapes.
        """
        found: list[int | None] = []
        for index, array in enumerate(arrays):
            rank, wrt = len(np.shape(array) if hasattr(array, "shape") else array), self.score.wrt
            if wrt is not None:
                found.append(models.filter_axis(wrt, rank) % rank if rank > 2 else None)
            else:
                found.append(self.score.source.channel_axis(index, rank) if rank > 3 else None)
        return found

    def empty(self, arrays: Arrays) -> Arrays:
        explained = self.score.explained(arrays)
        return [
            np.zeros([0, *self.positions(array, axis)])
            for array, axis in zip(explained, self.channels(explained), strict=True)
        ]

    @staticmethod
    def positions(array: npt.NDArray[Any], axis: int | None) -> list[int]:
        """Return the shape of a sample of an array, with 1 for the axis of its channels."""
        return [1 if at == axis else size for at, size in enumerate(array.shape)][1:]

    def per_input(self, given: object, count: int) -> list[Any]:
        """Return an option for each of some inputs: the same for all, or one each in their structure."""
        symbols = None if self.score.wrt is not None else self.score.source.symbols
        if count == 1 or symbols is None or not isinstance(given, dict | list | tuple):
            return [given] * count
        return inputs.in_order(symbols, given)

    def perturbed(
        self, arrays: Arrays, targets: npt.NDArray[Any], counts: Sequence[int], masks: Masks
    ) -> Iterator[tuple[int, slice, Arrays, npt.NDArray[np.float64]]]:
        """Yield the scores of perturbed inputs: the sample, which of its masks, these, and the scores.

        Args:
            arrays: what `attribute` is given, each `(batch, ...)`.
            targets: of the batch, `(batch, ...)`.
            counts: the number of masks of each sample.
            masks: makes masks.
        """
        explained, steps = self.score.explained(arrays), self.score.steps(arrays)
        baselines = self._baselines(explained)
        total = int(sum(counts))
        at_once = self.batch_size or total
        with Work(total, "inputs", bar=self._progress) as work:
            for jobs in _jobs(counts, at_once):
                made = [(sample, part, masks(sample, part)) for sample, part in jobs]
                changed = [
                    np.concatenate(
                        [
                            _mixed(kept[index], array[sample], baseline[sample], free[sample % len(free)])
                            for sample, _, kept in made
                        ]
                    )
                    for index, (array, baseline, free) in enumerate(
                        zip(explained, baselines, steps, strict=True)
                    )
                ]
                rows = np.repeat([sample for sample, _ in jobs], [part.stop - part.start for _, part in jobs])
                given = [array[rows] for array in arrays]
                given[self.score.which] = changed
                scores = self.score.values(given, targets[rows]).astype(np.float64)
                work.advance(len(rows))
                done = 0
                for sample, part, kept in made:
                    many = part.stop - part.start
                    yield sample, part, kept, scores[done : done + many]
                    done += many

    def _baselines(self, explained: Arrays) -> Arrays:
        """Return the baseline of each sample of each input, `(batch, ...)`, in the type of the input.

        Raises:
            InputError: if it does not fit the inputs.
        """
        if callable(self.baseline):
            if len(explained) > 1:
                raise InputError(
                    "A baseline that is a function is for one input. Received: a model with "
                    f"{len(explained)} inputs. Pass numbers or arrays in their structure."
                )
            parts = [self.baseline]
        else:
            parts = self.per_input(self.baseline, len(explained))
        return [replacement(part, array, self._named) for part, array in zip(parts, explained, strict=True)]


def _checked_baseline(argument: str, given: Any, known: list[str] | None) -> Any:
    """Return a baseline.

    Args:
        argument: its name.
        given: the baseline.
        known: the types of the inputs, if they are known.

    Raises:
        InputError: if it is something else than finite numbers, or than text or a boolean for such inputs.
    """
    for part in keras.tree.flatten(given):
        array = checks.array(part)
        text = array.dtype.kind in "US" or all(isinstance(item, str | bytes) for item in array.flat)
        number = array.dtype.kind in "fiub" and bool(np.isfinite(array).all())
        special = "string" if text else "bool" if array.dtype == bool and not array.ndim else None
        fits = special is None or known is None or special in known
        if not (number or text) or not fits:
            raise InputError(
                f"{argument} must be a finite number, an input, or a function of inputs. Received: {given!r}."
            )
    return given


def replacement(baseline: Any, array: npt.NDArray[Any], argument: str) -> npt.NDArray[Any]:
    """Return what replaces the values of inputs, with a row for each sample, in their type.

    Args:
        baseline: a number or text, one input, an input for each sample, or a function of a batch of inputs
            that returns one of these.
        array: the inputs, `(batch, ...)`.
        argument: what messages call the baseline.

    Raises:
        InputError: if it has another shape, is not finite, or the type of the inputs cannot hold it.
    """
    part = checks.array(baseline(array.copy()) if callable(baseline) else baseline)
    if part.shape not in ((), array.shape[1:], (1, *array.shape[1:]), array.shape):
        raise InputError(
            f"{argument} must be a number, or have the shape of one input, {array.shape[1:]}, or of the "
            f"inputs, {array.shape}, as what a function returns. Received: the shape {part.shape}."
        )
    if array.dtype.kind != "O" and not (part.dtype.kind in "fiub" and np.isfinite(part).all()):
        raise InputError(
            f"{argument} must be a finite number, one input, or a function that returns one of these, for "
            f"inputs of type {array.dtype}. Received: {baseline!r}."
        )
    if array.dtype.kind in "iub" and not np.array_equal(part, part.astype(array.dtype)):
        raise InputError(
            f"{argument} must be integers for an input of integers ({array.dtype}). Received: {part!r}."
        )
    if array.dtype.kind == "O" and part.dtype.kind not in "USO":
        raise InputError(
            f"{argument} must be text, such as '', for inputs of text. Received: {part.dtype} for inputs of "
            f"type {array.dtype}."
        )
    return np.broadcast_to(part.astype(array.dtype), array.shape)


def of_each(name: str, given: Any, sizes: list[int] | None) -> list[int]:
    """Return the value for each axis, or the single one where the number of axes is not known."""
    several = (
        list(given) if isinstance(given, list | tuple) else [given] * (1 if sizes is None else len(sizes))
    )
    if sizes is not None and len(several) != len(sizes):
        raise InputError(f"{name} must be a number, or one per axis of {sizes}. Received: {given!r}.")
    return [checks.whole(name, side) for side in several]


def _jobs(counts: Sequence[int], at_once: int) -> Iterator[list[tuple[int, slice]]]:
    """Yield which masks of which samples come together, at most `at_once`."""
    jobs: list[tuple[int, slice]] = []
    free = at_once
    for sample, count in enumerate(counts):
        start = 0
        while start < count:
            stop = min(count, start + free)
            jobs.append((sample, slice(start, stop)))
            free -= stop - start
            start = stop
            if not free:
                yield jobs
                jobs, free = [], at_once
    if jobs:
        yield jobs


def _mixed(
    kept: npt.NDArray[Any], sample: npt.NDArray[Any], baseline: npt.NDArray[Any], free: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Return a sample of which masks keep a part, `(masks, ...)`; what is not free stays.

    Raises:
        InputError: for a share of what is not a number that can be divided.
    """
    if kept.dtype == bool:
        return np.where(kept | ~free, sample, baseline)
    if sample.dtype.kind in "iubO":
        raise InputError(
            f"Masks with values between 0 and 1 need inputs of real numbers. Received: {sample.dtype}. "
            "Explain tokens by wrt= the layer that embeds them."
        )
    real = np.result_type(sample.dtype, np.float32)
    share = np.where(free, kept, 1).astype(real)
    mixed = share * sample.astype(real)
    if baseline.any():
        mixed += (1 - share) * baseline.astype(real)
    return np.asarray(mixed, sample.dtype)
