"""Which output of each sample is explained: labels, positions and weights, all as weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import FilterError, InputError

__all__ = ["as_weights"]


def as_weights(
    targets: npt.ArrayLike, count: int, shape: tuple[int, ...], axis: int = -1
) -> npt.NDArray[np.float32]:
    """Return the weight of each output of each sample, `(count, *shape)`.

    Labels count from 0 and are integers or whole floats, as Keras's losses take them; nothing is broadcast.

    Args:
        targets: one of: weights, `(count, *shape)`, such as one-hot rows; an int, the class for all samples,
            counted from the last if it is negative; a label per sample, `(count,)` or `(count, 1)`; a label
            per position, `(count, *positions)`, with or without a last axis of 1, which stands for its
            one-hot rows; a position per sample, `(count, axes)`, an index per axis of the outputs. A class of
            outputs with positions is its mean over the positions. If there is a single output, 0 and 1 both
            ask for it, and other numbers are its weight: -1 asks for less of it. If there is one channel with
            positions, a label per position is its weight.
        count: the number of samples.
        shape: the outputs of one sample: `(classes,)`, `(steps, classes)`, `(height, width, classes)`, or
            `()`.
        axis: the axis of the classes in `(count, *shape)`.

    Raises:
        InputError: if the targets have another form, or an ambiguous one.
        FilterError: if a class or an index is outside the outputs.
    """
    array = _numbers(targets)
    axis = axis % (len(shape) + 1) - 1  # in the shape of a sample
    positions, classes = _without(shape, axis), shape[axis] if shape else 1
    integer = array.dtype.kind in "iu"
    # True and false are labels of two classes, or weights.
    labels = integer or (array.dtype.kind == "b" and classes <= 2) or _whole(array)
    if integer and array.ndim == 0 and (shape or array == 0):
        _check(array[None], classes)
        return _of_classes(np.full(count, array), shape, axis)
    numbers = array.dtype.kind in "fiub"
    per_sample = numbers and array.shape in ((count,), (count, 1))
    if per_sample and len(shape) < 2 and classes == 1 and (labels or array.ndim > 1) and (shape or integer):
        weights = _weights(array, integer).reshape(count, *shape)
        return np.where(weights == 0, np.float32(1), weights)
    if numbers and array.shape == (count, *shape):
        return _weights(array, integer and classes == 1)
    if per_sample and labels:
        array = array.reshape(count)
        _check_labels(array, max(classes, 2))
        return _of_classes(array * (classes > 1), shape, axis)
    per_position = (
        numbers and bool(positions) and array.shape in ((count, *positions), (count, *positions, 1))
    )
    indices = integer and bool(positions) and array.shape == (count, len(shape))
    if indices and not per_position:
        for axis, size in enumerate(shape):
            _check(array[:, axis], size)
        weights = np.zeros((count, *shape), np.float32)
        weights[tuple([np.arange(count), *array.T])] = 1
        return weights
    if per_position and not indices and (labels or classes == 1):
        array = array.reshape(count, *positions)
        if classes == 1:
            return np.expand_dims(_weights(array, integer), axis + 1)
        _check_labels(array, classes)
        rows = np.asarray(array[..., None] == np.arange(classes), np.float32)
        return np.moveaxis(rows, -1, axis + 1)
    raise InputError(
        f"The targets of {count} samples with outputs of shape {shape} are {_forms(count, shape, axis)}. "
        f"Received: {type(targets).__name__} of type {array.dtype} and shape {array.shape}"
        f"{', a position of each sample or a label per step' if indices and per_position else ''}."
    )


def predicted(outputs: npt.NDArray[Any], axis: int = -1) -> npt.NDArray[np.float32]:
    """Return the weights of the predicted class of each sample: the largest output, or mean over positions.

    Args:
        outputs: `(batch, ..., classes)`, or `(batch,)`.
        axis: the axis of the classes.
    """
    if outputs.ndim == 1:
        return np.ones(outputs.shape, np.float32)
    axis = axis % outputs.ndim
    positions = tuple(at for at in range(1, outputs.ndim) if at != axis)
    means = outputs.astype(np.float64).mean(axis=positions) if positions else outputs
    return _of_classes(means.argmax(axis=-1), outputs.shape[1:], axis - 1)


def classes_of(weights: npt.NDArray[Any], axis: int = -1) -> npt.NDArray[np.int64]:
    """Return the class of each sample whose weights `predicted` has returned, `(batch,)`.

    Args:
        weights: `(batch, ..., classes)`.
        axis: the axis of the classes.
    """
    last = np.moveaxis(weights, axis, -1)
    of_first_position = last.reshape(len(last), -1, last.shape[-1])[:, 0]
    return np.asarray(of_first_position.argmax(axis=-1), np.int64)


def _numbers(targets: Any) -> npt.NDArray[Any]:
    try:
        return checks.array(targets)
    except ValueError:
        return np.empty(0, object)


def _whole(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind != "f" or array.ndim == 0 or not np.isfinite(array).all():
        return False
    return bool((array == np.rint(array)).all())


def _weights(array: npt.NDArray[Any], of_one: bool) -> npt.NDArray[np.float32]:
    """Return weights; integers of a single output are -1, 0 or 1, or they are labels of other outputs."""
    if of_one and not np.isin(array, (-1, 0, 1)).all():
        wrong = int(array[~np.isin(array, (-1, 0, 1))][0])
        raise FilterError(
            f"Target {wrong} is out of range: there is a single output, with the labels 0 and 1. The true "
            "values of a regression are not targets: leave them out. Weights are floats."
        )
    return array.astype(np.float32)


def _of_classes(classes: npt.NDArray[Any], shape: tuple[int, ...], axis: int) -> npt.NDArray[np.float32]:
    weights = np.zeros((len(classes), *shape), np.float32)
    if not shape:
        return weights + 1
    last = np.moveaxis(weights, axis % len(shape) + 1, -1)
    # A class of outputs with positions is their mean.
    last[np.arange(len(classes)), ..., classes.astype(np.int64)] = 1 / np.prod(
        last.shape[1:-1], dtype=np.float32
    )
    return weights


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(size for at, size in enumerate(shape) if at != axis % len(shape))


def _check(indices: npt.NDArray[Any], size: int) -> None:
    wrong = indices[(indices < -size) | (indices >= size)]
    if wrong.size:
        raise FilterError(
            f"Target {int(wrong[0])} is out of range: there are {size} outputs, so valid indices are "
            f"{-size} to {size - 1}."
        )


def _check_labels(labels: npt.NDArray[Any], size: int) -> None:
    wrong = np.argwhere((labels < 0) | (labels >= size))
    if len(wrong):
        where = tuple(int(i) for i in wrong[0])
        at = f", at {where[1:]}" if where[1:] else ""
        raise FilterError(
            f"Target {int(labels[where])} is out of range: there are {size} outputs, so labels are 0 to "
            f"{size - 1}. It belongs to sample {where[0]} of a batch{at}. "
            "If it is not a class, leave the sample out, or pass weights that are zero there."
        )


def _forms(count: int, shape: tuple[int, ...], axis: int) -> str:
    forms = f"weights of shape {(count, *shape)}"
    if shape:
        forms += f", a class from 0 to {shape[axis] - 1} as an int or as {count} ints"
    if len(shape) > 1:
        forms += (
            f", labels of shape {(count, *_without(shape, axis))}, positions of shape {(count, len(shape))}"
        )
    return forms
