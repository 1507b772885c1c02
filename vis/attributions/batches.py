"""Batches of inputs with their targets, from arrays, data sets and anything else that can be read in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import inputs as inputs_
from vis.errors import InputError
from vis.source import Source

Arrays = list[npt.NDArray[Any]]
Batch = tuple[Arrays, Any]


def batches(source: Source, inputs: Any, targets: Any, batch_size: int | None) -> Iterator[Batch]:
    """Yield the arrays of each batch in flat order, with its targets, or None.

    Args:
        source: the model.
        inputs: arrays with a batch axis, in the structure of the model's inputs; or a `tf.data.Dataset`, or
            another iterator, of inputs or of pairs `(inputs, targets)`, one by one or in batches.
        targets: an int for all samples, or an array with a row per sample; None if `inputs` brings them, or
            for the predicted class.
        batch_size: the largest number of samples in a batch; None for all at once.

    Raises:
        InputError: if the inputs or targets do not fit the model or each other.
    """
    shared = not has_rows(targets)
    if not is_stream(inputs):
        count, read = sized(source, inputs)
        check_targets(targets, count)
        for start in range(0, max(count, 1), batch_size or max(count, 1)):
            part = slice(start, start + (batch_size or count))
            yield read(part), targets if shared else np.asarray(targets[part])
        return
    done = 0
    for arrays, own in _parts(source, inputs, batch_size):
        count = len(arrays[0])
        if own is not None and targets is not None:
            raise InputError("The targets come twice. Received: pairs (inputs, targets), and targets.")
        if own is None and not shared:
            own = np.asarray(targets[done : done + count])
            if len(own) != count:
                raise InputError(
                    f"There is a target for each sample. Received: {len(targets)} targets for more samples."
                )
        yield arrays, targets if own is None else own
        done += count
    check_targets(targets, done)


def has_rows(targets: Any) -> bool:
    """Tell whether there is a target per sample, and not one for all, or none."""
    try:
        return targets is not None and np.ndim(targets) > 0
    except ValueError as error:
        raise InputError(f"The targets are no array: {error}. Received: {type(targets).__name__}.") from None


def check_targets(targets: Any, count: int) -> None:
    """Raise `InputError` if there are targets per sample, but not as many as samples."""
    if has_rows(targets) and len(targets) != count:
        raise InputError(
            f"There is a target for each sample. Received: {count} samples, {len(targets)} targets."
        )


def is_array(inputs: Any) -> bool:
    """Tell whether inputs are one array, in memory or on disk."""
    return hasattr(inputs, "dtype") and len(getattr(inputs, "shape", ())) > 0


def is_stream(inputs: Any) -> bool:
    """Tell whether inputs are read in turn: a `tf.data.Dataset` or another iterator."""
    return hasattr(inputs, "element_spec") or (hasattr(inputs, "__next__") and not hasattr(inputs, "shape"))


def sized(source: Source, inputs: Any) -> tuple[int, Callable[[slice], Arrays]]:
    """Return the number of samples of arrays, and what reads a part of them."""
    if is_array(inputs):
        # Part by part, so that an array on disk is never in memory as a whole.
        return int(inputs.shape[0]), lambda part: _arrays(source, inputs[part])
    arrays = _arrays(source, inputs)
    return len(arrays[0]), lambda part: [array[part] for array in arrays]


def _arrays(source: Source, inputs: Any) -> Arrays:
    if source.symbols is None:
        return [inputs_.unbuilt_batch(source.model, inputs)]
    return inputs_.batch_of_inputs(source.symbols, inputs)


def _parts(source: Source, stream: Any, batch_size: int | None) -> Iterator[Batch]:
    """Yield what a stream holds in batches; single samples are gathered, large batches are cut."""
    waiting: list[tuple[Any, Any]] = []
    limit = batch_size or 2**63
    for element in stream:
        inputs, targets = _pair(source, element)
        if _is_batch(source, inputs):
            arrays = _arrays(source, inputs)
            count = len(arrays[0])
            if targets is not None:
                targets = np.full(count, targets) if np.ndim(targets) == 0 else np.asarray(targets)
                if len(targets) != count:
                    raise InputError(
                        "There is a target for each sample. Received: a batch of "
                        f"{count} samples with {len(targets)} targets."
                    )
            for start in range(0, count, limit):
                part = slice(start, start + limit)
                yield [array[part] for array in arrays], None if targets is None else targets[part]
            continue
        waiting.append((inputs, targets))
        if len(waiting) == limit:
            yield _gathered(source, waiting)
            waiting = []
    if waiting:
        yield _gathered(source, waiting)


def _pair(source: Source, element: Any) -> tuple[Any, Any]:
    """Return inputs and targets; a tuple of two is a pair, unless it is the two inputs of the model."""
    count = 1 if source.symbols is None else len(keras.tree.flatten(source.symbols))
    inputs, targets = element, None
    if isinstance(element, tuple) and len(element) == 2:
        if count == 1 or isinstance(element[0], list | tuple | dict):
            inputs, targets = element
    elif isinstance(element, tuple) and len(element) == 1:
        inputs = element[0]
    if count == 1 and isinstance(inputs, list | tuple):
        # A list of numbers is an array; a list of one array is the structure of one input.
        alone = len(inputs) == 1 and source.symbols is not None and hasattr(inputs[0], "shape")
        inputs = inputs[0] if alone else np.asarray(inputs)
    return inputs, targets


def _is_batch(source: Source, inputs: Any) -> bool:
    if source.symbols is None:
        return True
    first = inputs_.in_order(source.symbols, inputs)[0]
    return np.ndim(first) == len(keras.tree.flatten(source.symbols)[0].shape)


def _gathered(source: Source, waiting: list[tuple[Any, Any]]) -> Batch:
    samples = [inputs for inputs, _ in waiting]
    if source.symbols is None:
        inputs: Any = _stacked(samples)
    else:
        columns = zip(*[inputs_.in_order(source.symbols, sample) for sample in samples], strict=True)
        known = inputs_.names(source.symbols)
        inputs = {name: _stacked(column) for name, column in zip(known, columns, strict=True)}
    targets = [targets for _, targets in waiting]
    given = None if targets[0] is None else _stacked(targets)
    return _arrays(source, inputs), given


def _stacked(rows: Sequence[Any]) -> npt.NDArray[Any]:
    arrays = [np.asarray(row) for row in rows]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise InputError(
            "The samples of a batch have the same shape, and so have their targets. "
            f"Received: {' and '.join(map(str, shapes))}."
        )
    return np.stack(arrays)
