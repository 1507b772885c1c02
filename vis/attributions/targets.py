"""Which output of each sample is explained, in whatever form a user names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis.errors import FilterError, InputError


def as_weights(targets: Any, count: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Return the weight of each output of each sample, `(count, *shape)`.

    Args:
        targets: one of: weights, `(count, *shape)`, such as one-hot rows; a class for all samples, an int; a
            class per sample, `(count,)`; a position per sample, `(count, axes)`, an index per axis of the
            outputs. A class of outputs with places is their mean over the places.
        count: the number of samples.
        shape: the outputs of one sample: `(classes,)`, `(steps, classes)`, `(height, width, classes)`, or
            `()`.

    Raises:
        InputError: if the targets have another form.
        FilterError: if an index is outside the outputs.
    """
    try:
        array = np.asarray(targets)
    except ValueError:
        array = np.empty(0, object)
    integer = array.dtype.kind in "iu"
    if integer and array.ndim == 0:
        array = np.full(count, array)
    if array.dtype.kind in "fiub" and array.shape == (count, *shape) and not (integer and len(shape) == 0):
        return array.astype(np.float32)
    if integer and shape and array.shape in ((count,), (count, 1)):
        return _of_classes(array.reshape(count), shape)
    if integer and len(shape) > 1 and array.shape == (count, len(shape)):
        for axis, size in enumerate(shape):
            _check(array[:, axis], size)
        weights = np.zeros((count, *shape), np.float32)
        weights[tuple([np.arange(count), *array.T])] = 1
        return weights
    if not shape and integer and array.shape == (count,) and not array.any():
        return np.ones(count, np.float32)
    forms = f"weights of shape {(count, *shape)}"
    if shape:
        forms += f", a class from 0 to {shape[-1] - 1} as an int or as {count} ints"
    if len(shape) > 1:
        forms += f", positions of shape {(count, len(shape))}"
    raise InputError(
        f"The targets of {count} samples with outputs of shape {shape} are {forms}. "
        f"Received: {type(targets).__name__} of type {array.dtype} and shape {array.shape}."
    )


def predicted(outputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the weights of the predicted class of each sample: the largest output, in the mean over places.

    Args:
        outputs: `(batch, ..., classes)`, or `(batch,)`.
    """
    if outputs.ndim == 1:
        return np.ones(outputs.shape, np.float32)
    places = tuple(range(1, outputs.ndim - 1))
    means = outputs.astype(np.float64).mean(axis=places) if places else outputs
    return _of_classes(means.argmax(axis=-1), outputs.shape[1:])


def _of_classes(classes: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    _check(classes, shape[-1])
    weights = np.zeros((len(classes), *shape), np.float32)
    # A class of outputs with places is their mean.
    weights[np.arange(len(classes)), ..., classes] = 1 / np.prod(shape[:-1], dtype=np.float32)
    return weights


def _check(indices: npt.NDArray[Any], size: int) -> None:
    wrong = indices[(indices < -size) | (indices >= size)]
    if wrong.size:
        raise FilterError(
            f"Target {int(wrong[0])} is out of range: there are {size} outputs, so valid indices are "
            f"{-size} to {size - 1}."
        )
