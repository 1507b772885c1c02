"""Batches of inputs with their targets, from arrays, data sets and anything else that can be read in turn."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis import inputs as inputs_
from vis.engine import Source
from vis.errors import InputError
from vis.progress import Work, is_watched

Arrays = list[npt.NDArray[Any]]
Batch = tuple[Arrays, Any]
# pick(targets, whether they came with the inputs) -> those of the output that is explained
Pick = Callable[[Any, bool], Any]
# More items than any data set has that ends.
_MOST = 2**40


def batches(
    source: Source, inputs: Any, targets: Any, batch_size: int | None, pick: Pick | None = None
) -> Iterator[Batch]:
    """Yield the arrays of each batch in flat order, with its targets, or None.

    Args:
        source: the model.
        inputs: what `Model.predict` takes: arrays or tensors with a batch axis, in the structure of the
            model's inputs; or a data set or another iterator, of inputs, of pairs `(inputs, targets)` or of
            triples with sample weights, which are ignored. Its items are single samples or batches.
        targets: an int for all samples, or an array with a row per sample; None if `inputs` brings them, or
            for the predicted class.
        batch_size: the largest number of samples in a batch; None for all at once.
        pick: chooses the targets of what is explained among those of several outputs.

    Raises:
        InputError: if the inputs or targets do not fit the model or each other.
    """
    targets = targets if pick is None else pick(targets, False)
    shared = not has_rows(targets)
    if not is_stream(inputs):
        count, read = sized(source, inputs)
        check_targets(targets, count)
        for start in range(0, max(count, 1), batch_size or max(count, 1)):
            part = slice(start, start + (batch_size or count))
            yield read(part), targets if shared else checks.array(targets[part])
        return
    done = 0
    for arrays, own in _parts(source, inputs, batch_size, pick):
        count = len(arrays[0])
        if own is not None and targets is not None:
            raise InputError("Targets are given twice. Received: pairs (inputs, targets), and targets.")
        if own is None and not shared:
            own = checks.array(targets[done : done + count])
            if len(own) != count:
                raise InputError(
                    f"Each sample needs a target. Received: {len(targets)} targets for more samples."
                )
        yield arrays, targets if own is None else own
        done += count
    check_targets(targets, done)


def watched(
    source: Source, inputs: Any, targets: Any, batch_size: int | None, pick: Pick | None = None
) -> Iterator[Batch]:
    """Yield the same as `batches`, and tell how many samples are done."""
    total = sized(source, inputs)[0] if is_watched() and not is_stream(inputs) else None
    with Work(total, "samples") as work:
        for arrays, own in batches(source, inputs, targets, batch_size, pick):
            yield arrays, own
            work.advance(len(arrays[0]))


def in_memory(source: Source, inputs: Any, targets: Any, pick: Pick | None = None) -> tuple[Any, Any]:
    """Return inputs and targets that can be read more than once: a stream is read into arrays."""
    if not is_stream(inputs):
        return inputs, targets if pick is None else pick(targets, False)
    found = list(batches(source, inputs, targets, None, pick))
    if not found:
        raise InputError("There is nothing to explain. Received: an empty data set.")
    joined = [np.concatenate(parts) for parts in zip(*[arrays for arrays, _ in found], strict=True)]
    given = [own for _, own in found]
    known = None if source.symbols is None else inputs_.names(source.symbols)
    return (
        joined[0] if known is None or len(known) == 1 else dict(zip(known, joined, strict=True)),
        np.concatenate(given) if has_rows(given[0]) else given[0],
    )


def has_rows(targets: Any) -> bool:
    """Tell whether there is a target per sample, and not one for all, or none."""
    try:
        return targets is not None and np.ndim(targets) > 0
    except ValueError as error:
        raise InputError(
            f"The targets are not an array: {error}. Received: {type(targets).__name__}."
        ) from None


def check_targets(targets: Any, count: int) -> None:
    """Raise `InputError` if there are targets per sample, but not as many as samples."""
    if has_rows(targets) and len(targets) != count:
        raise InputError(f"Each sample needs a target. Received: {count} samples, {len(targets)} targets.")


def is_array(inputs: Any) -> bool:
    """Tell whether inputs are one array, in memory or on disk."""
    return hasattr(inputs, "dtype") and len(getattr(inputs, "shape", ())) > 0


def is_stream(inputs: Any) -> bool:
    """Tell whether inputs are read in turn: a data set, an iterator or another object, but not an array."""
    plain = isinstance(inputs, list | tuple | Mapping | str | bytes)
    array = any(hasattr(inputs, name) for name in ("shape", "__array__"))
    return hasattr(inputs, "element_spec") or (
        not plain and not array and (hasattr(inputs, "__iter__") or hasattr(inputs, "__getitem__"))
    )


def has_items(inputs: Any) -> bool:
    """Tell whether a stream is an object with a length, and an item for each number below it."""
    if not (hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")):
        return False
    # A class that is made to be iterated may derive from one that is made to be indexed, as in PyTorch.
    for cls in type(inputs).__mro__:
        if "__getitem__" in vars(cls) or "__iter__" in vars(cls):
            return "__getitem__" in vars(cls)
    return True


def length_of(stream: Any) -> int | None:
    """Return how many items a stream says that it has, or None.

    Raises:
        InputError: if it says that it never ends.
    """
    try:
        length = len(stream)
    except TypeError:
        length = None
    # An infinite `tf.data.Dataset` has the cardinality -1, an infinite `PyDataset` no number of batches, and
    # an infinite `MapDataset` of grain the largest length, divided by the size of its batches.
    endless = getattr(stream, "num_batches", 0) is None or (length or 0) > _MOST
    if endless or int(getattr(stream, "cardinality", int)()) == -1:
        raise InputError(
            "The data set never ends. Received: an infinite one. Pass some: dataset.take(n), or dataset[:n]."
        )
    return length


def is_batch(source: Source, item: Any) -> bool:
    """Tell whether an item of a stream is a batch, and not a single sample."""
    return _is_batch(source, _pair(source, item)[0])


def _items(stream: Any) -> Iterator[Any]:
    """Return what a stream holds, as many items as it says that it has: it may begin again, without end."""
    length = length_of(stream)
    if length is not None and has_items(stream):
        # Where grain has filtered an item out, there is None.
        return (item for number in range(length) if (item := stream[number]) is not None)
    return iter(stream) if length is None else itertools.islice(stream, length)


def sized(source: Source, inputs: Any) -> tuple[int, Callable[[slice], Arrays]]:
    """Return the number of samples of arrays, and what reads a part of them."""
    if is_array(inputs):
        # Part by part, so that an array on disk is never in memory as a whole.
        return int(inputs.shape[0]), lambda part: source.batch(inputs[part])
    arrays = source.batch(inputs)
    return len(arrays[0]), lambda part: [array[part] for array in arrays]


def _parts(source: Source, stream: Any, batch_size: int | None, pick: Pick | None) -> Iterator[Batch]:
    """Yield what a stream holds in batches; single samples are gathered, large batches are cut."""
    waiting: list[tuple[Any, Any]] = []
    limit = batch_size or 2**63
    for element in _items(stream):
        inputs, targets = _pair(source, element)
        if targets is not None and pick is not None:
            targets = pick(targets, True)
        if _is_batch(source, inputs):
            arrays = source.batch(inputs)
            count = len(arrays[0])
            if targets is not None:
                targets = checks.array(targets)
                targets = np.full(count, targets) if targets.ndim == 0 else targets
                if len(targets) != count:
                    raise InputError(
                        "Each sample needs a target. Received: a batch of "
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
    """Return inputs and targets of an item: inputs, a pair, or a triple with sample weights."""
    symbols = [] if source.symbols is None else keras.tree.flatten(source.symbols)
    parts = list(element) if isinstance(element, list | tuple) else [element]
    first: Any = parts[0] if parts else None
    structure = isinstance(first, list | tuple | dict)
    shapes = [part.shape for part in parts if hasattr(part, "shape")]
    if len(parts) > 3 or not isinstance(element, list | tuple):
        pair = False
    elif len(symbols) > 1:
        # Several arrays that are not together are the inputs of the model.
        of_arrays = all(hasattr(part, "shape") for part in keras.tree.flatten(first))
        pair = structure and (isinstance(element, tuple) or of_arrays)
    elif isinstance(element, tuple):
        # Three numbers are the features of a sample.
        pair = len(parts) < 3 or structure or np.ndim(first) >= _least_rank(symbols)
    else:
        # A list of what stacks is an array. PyTorch makes lists of pairs, too.
        whole = bool(symbols) and bool(shapes) and len(shapes[0]) == len(symbols[0].shape)
        arrays = len(shapes) == len(parts) > 1
        pair = (
            isinstance(first, dict)
            or _has_targets(parts)
            or (arrays and (whole or len(set(map(tuple, shapes))) > 1))
        )
    if not pair:
        return _single(source, element), None
    return _single(source, first), parts[1] if len(parts) > 1 else None


def _has_targets(parts: list[Any]) -> bool:
    """Tell whether an array is followed by structures of arrays: the targets of several outputs."""
    return hasattr(parts[0] if parts else None, "shape") and any(
        isinstance(part, list | tuple | dict)
        and all(hasattr(leaf, "shape") for leaf in keras.tree.flatten(part))
        for part in parts[1:]
    )


def _least_rank(symbols: list[Any]) -> int:
    """Return the smallest number of axes of a sample of the only input: a last axis of 1 may be missing."""
    shape = symbols[0].shape if symbols else (None, None)
    return len(shape) - 1 - (len(shape) > 1 and shape[-1] == 1)


def _single(source: Source, inputs: Any) -> Any:
    several = source.symbols is not None and len(keras.tree.flatten(source.symbols)) > 1
    if several or not isinstance(inputs, list | tuple):
        return inputs
    # A list of numbers is an array; a list of one array is the structure of one input.
    if len(inputs) == 1 and hasattr(inputs[0], "shape"):
        return inputs[0]
    return _stacked(inputs)


def _is_batch(source: Source, inputs: Any) -> bool:
    if source.symbols is None:
        return np.ndim(inputs) >= (inputs_.rank(source.model) or 0)
    first = inputs_.in_order(source.symbols, inputs)[0]
    shape = keras.tree.flatten(source.symbols)[0].shape
    return np.ndim(first) == len(shape) or inputs_.lacks_last_axis(np.shape(first), shape)


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
    return source.batch(inputs), given


def _stacked(rows: Sequence[Any]) -> npt.NDArray[Any]:
    arrays = [checks.array(row) for row in rows]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise InputError(
            "All samples of a batch must have the same shape, and so must their targets. "
            f"Received: {' and '.join(map(str, shapes))}."
        )
    return np.stack(arrays)
