"""Whether what a map calls important matters to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import integrate, ndimage

from vis import checks
from vis.attributions.asked import asked, pick_of, targets_of
from vis.attributions.base import whole
from vis.attributions.batches import batches, in_memory, sized
from vis.errors import InputError

Baseline = float | npt.NDArray[Any] | Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


@dataclass(frozen=True)
class Curve:
    """The score of each sample while its places change.

    Attributes:
        fractions: of the places that are changed, `(steps + 1,)`, 0 to 1.
        scores: `(N, steps + 1)`.
    """

    fractions: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    @property
    def area(self) -> npt.NDArray[np.float64]:
        """The area under each curve by trapezoids, `(N,)`, in units of the score."""
        return np.asarray(integrate.trapezoid(self.scores, self.fractions, axis=1))


def deletion(
    model: Any,
    inputs: Any,
    maps: npt.ArrayLike,
    targets: Any = None,
    steps: int = 20,
    baseline: Baseline = 0.0,
    output_layer: Any = None,
    operator: Any = None,
    batch_size: int = 64,
) -> Curve:
    """Return the score while the places of an input are removed, those first that its map calls important.

    A small area is good: what is removed first is what the model needs.

    Args:
        model: a Keras model of one input. Probabilities make curves that can be compared: pass the model with
            its softmax.
        inputs: `(N, ...)`, an array; or a data set, which is read into one.
        maps: the shape of the inputs, with one channel, or without channels: then those of a place change
            together. Places of equal value change in their order.
        targets: as `vis.attributions.Explainer.explain`; None for the predicted class.
        steps: the places change in so many parts, from none to all.
        baseline: what takes the place: a number or one input, in the units of the input; an array such as
            `inputs`; or a function of them, such as `blurred`.
        output_layer, operator: as `vis.attributions.Explainer`.
        batch_size: the largest number of samples that the model is given at once.

    Raises:
        InputError, FilterError, LayerError, ModelError: see `vis.errors`.

    Reference:
        Petsiuk et al.: RISE: Randomized Input Sampling for Explanation of Black-box Models, 2018,
        algorithm 1.
    """
    return _curve(model, inputs, maps, targets, steps, baseline, output_layer, operator, batch_size, False)


def insertion(
    model: Any,
    inputs: Any,
    maps: npt.ArrayLike,
    targets: Any = None,
    steps: int = 20,
    baseline: Baseline | None = None,
    output_layer: Any = None,
    operator: Any = None,
    batch_size: int = 64,
) -> Curve:
    """Return the score while the places of an input are put in, those first that its map calls important.

    A large area is good: what is put in first is enough for the model.

    Args:
        baseline: what stands there before; None for `blurred` images, and 0 for inputs of other kinds.
        model, inputs, maps, targets, steps, output_layer, operator, batch_size: see `deletion`.

    Raises:
        InputError, FilterError, LayerError, ModelError: see `vis.errors`.

    Reference:
        Petsiuk et al.: RISE: Randomized Input Sampling for Explanation of Black-box Models, 2018,
        algorithm 1.
    """
    return _curve(model, inputs, maps, targets, steps, baseline, output_layer, operator, batch_size, True)


def blurred(images: npt.ArrayLike, sigma: float | None = None) -> npt.NDArray[np.float64]:
    """Return images under a normal window.

    Args:
        images: `(N, H, W, C)`, `(N, D, H, W, C)`.
        sigma: its standard deviation in pixels; None for 5 of 224 of the longest side, as in RISE.
    """
    array = np.asarray(images, np.float64)
    if array.ndim < 4:
        raise InputError(f"Images have samples, places and channels. Received: shape {array.shape}.")
    wide = max(array.shape[1:-1]) * 5 / 224 if sigma is None else sigma
    return np.asarray(ndimage.gaussian_filter(array, (0, *[wide] * (array.ndim - 2), 0)))


def _curve(
    model: Any,
    inputs: Any,
    maps: Any,
    targets: Any,
    steps: int,
    baseline: Any,
    output_layer: Any,
    operator: Any,
    batch_size: int,
    inserted: bool,
) -> Curve:
    steps, batch_size = whole("steps", steps), whole("batch_size", batch_size)
    score = asked(model, output_layer, operator)
    heat = checks.real(maps, "A map").astype(np.float64)
    inputs, targets = in_memory(score.source, inputs, targets, pick_of(score))
    count, _ = sized(score.source, inputs)
    if heat.shape[:1] != (count,):
        given = len(heat) if heat.ndim else 0
        raise InputError(f"There is a map for each sample. Received: {count} samples, {given} maps.")
    curves, done = [], 0
    for arrays, given in batches(score.source, inputs, targets, max(1, batch_size // (steps + 1))):
        if len(arrays) != 1:
            raise InputError(f"The places of one input change. Received: a model with {len(arrays)} inputs.")
        (array,) = arrays
        checks.real(array, "An input whose places change")
        weights = targets_of(score, arrays, given)
        rank = _ranks(heat[done : done + len(array)], array, score.source.channel_axis(0, array.ndim))
        if baseline is None and inserted:
            baseline = blurred if array.ndim >= 4 else 0.0
        other = _baseline(baseline, array, slice(done, done + len(array)))
        counts = np.rint(np.arange(steps + 1) * (rank.max() + 1) / steps)
        start, end = (other, array) if inserted else (array, other)
        changed = [np.where(rank < count, end, start).astype(array.dtype) for count in counts]
        flat = np.stack(changed, axis=1).reshape(-1, *array.shape[1:])
        asked_of = np.repeat(weights, steps + 1, axis=0)
        parts = [slice(first, first + batch_size) for first in range(0, len(flat), batch_size)]
        scores = np.concatenate([score.values([flat[part]], asked_of[part]) for part in parts])
        curves.append(scores.reshape(len(array), steps + 1).astype(np.float64))
        done += len(array)
    return Curve(np.arange(steps + 1) / steps, np.concatenate(curves))


def _ranks(heat: npt.NDArray[Any], array: npt.NDArray[Any], channels: int) -> npt.NDArray[np.int64]:
    """Return where each value of a map stands in their order, the largest first, laid over the input."""
    if array.ndim > 2 and heat.ndim == array.ndim - 1:
        heat = np.expand_dims(heat, channels % array.ndim)
    fits = heat.ndim == array.ndim and all(
        size == other or (axis == channels % array.ndim and size == 1 and array.ndim > 2)
        for axis, (size, other) in enumerate(zip(heat.shape, array.shape, strict=True))
    )
    if not fits or not np.isfinite(heat).all():
        raise InputError(
            "A map is finite and has the shape of its input, with one channel or without. Received: maps of "
            f"shape {heat.shape} for inputs of shape {array.shape}."
        )
    flat = heat.reshape(len(heat), -1)
    order = np.argsort(-flat, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(flat.shape[1]), flat.shape), axis=1)
    return ranks.reshape(heat.shape)


def _baseline(baseline: Any, array: npt.NDArray[Any], rows: slice) -> npt.NDArray[Any]:
    other = np.asarray(baseline(array) if callable(baseline) else baseline)
    if other.ndim == array.ndim and len(other) > 1 and not callable(baseline):
        other = other[rows]
    known = other.dtype.kind in "fiub" and np.isfinite(other).all()
    if not known or other.shape not in ((), array.shape[1:], (1, *array.shape[1:]), array.shape):
        raise InputError(
            "The baseline is a finite number, one input, as many as there are, or a function that returns "
            f"those. Received: type {other.dtype}, shape {other.shape}, for inputs of shape {array.shape}."
        )
    return np.broadcast_to(other, array.shape)
