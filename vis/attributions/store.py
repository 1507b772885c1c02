"""Explanations on disk: any number of inputs, explained batch by batch into a Zarr group, and read back."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.ahead import read_ahead
from vis.attributions.asked import pick_of
from vis.attributions.base import Explained, Explainer, checked
from vis.attributions.batches import (
    Arrays,
    batches,
    check_targets,
    has_items,
    has_rows,
    is_batch,
    is_stream,
    length_of,
    sized,
)
from vis.attributions.groups import Group, Part, digest, opened
from vis.engine import Source
from vis.errors import InputError, SkippedWarning, did_you_mean, warn
from vis.progress import Work
from vis.typing import Data, Inputs, Targets

__all__ = ["explained", "gather", "read", "write"]

_BATCH = 64


def write(
    explainer: Explainer,
    inputs: Data,
    path: str | os.PathLike[str],
    targets: Targets = None,
    resume: bool = True,
    progress: bool = True,
    *,
    source: dict[str, Any] | None = None,
) -> None:
    """Explain any number of inputs, with constant memory, and write the maps to a chunked Zarr group.

    The group has the arrays `maps` `(N, ...)` float32 (`maps_NAME` for each of several inputs), `targets`
    (classes `(N,)`, or weights), `predictions` `(N,)` (the class with the largest output, -1 where there is
    no class) and `scores` `(N,)`, with a few batches to a chunk. Its attributes are the settings of the
    explainer, a digest of the model's weights, the versions and the source. The same call continues a run
    that was interrupted.

    Args:
        explainer: makes the maps.
        inputs: as `Explainer.explain`; arrays on disk are read part by part. If an object has a length and
            an item per sample, as `vis.files.ImageFolder` has, an item that raises `InputError` is skipped,
            and its row is NaN; if it has an attribute `workers` of 2 or more, that many threads read its
            items ahead.
        path: the group's folder.
        targets: as `Explainer.explain`.
        resume: continue the run at this path; if False, a path that exists is an error.
        progress: show a progress bar.
        source: where the inputs come from, in values that JSON can hold, such as the folder of the pictures
            and their shape, for readers of the group. A continued run keeps the last one.

    Raises:
        InputError: if the path holds something else, or explanations of another model, with other settings or
            of other inputs; or if it cannot be written. What is finished is kept.
        ImportError: without zarr: `pip install "keras-vis3[zarr]"`.

    Warns:
        SkippedWarning: for each item that is skipped.
    """
    explainer = checked(explainer)
    group = Group(explainer, path, explainer.at_once() or _BATCH, resume, source)
    explainer = explainer.fixed()
    done = group.state.samples
    items = is_stream(inputs) and has_items(inputs) and _of_samples(explainer.score.source, inputs)
    total = _length(inputs, items)
    first = group.state.first or done
    parts = contextlib.closing(_parts(explainer, inputs, targets, group.batch, done, items, first))
    work = Work(total, "samples", done, bar=progress, delay=1)
    with group.kept(), work, parts as coming:
        for part in coming:
            if part.start == 0:
                group.check_inputs(digest(part.arrays), _digest_of_targets(part), part.rows)
            if part.start >= done:
                found = None
                if part.kept:
                    found = explainer.explain_arrays(part.arrays, part.given, scores=True)
                group.put(part, None if found is None else _named(explainer, found, part.given))
                work.advance(part.rows)
    group.finish()


def explained(explainer: Explainer, inputs: Inputs, targets: Targets = None) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays that `write` writes for a batch: `maps`, `targets`, `predictions`, `scores`.

    Args: as `Explainer.explain`, for arrays.
    """
    ((arrays, given),) = batches(explainer.score.source, inputs, targets, None, pick_of(explainer.score))
    return _named(explainer, explainer.explain_arrays(arrays, given, scores=True), given)


def gather(
    explainer: Explainer,
    found: Iterable[dict[str, npt.NDArray[Any]]],
    path: str | os.PathLike[str],
    batch: int,
) -> None:
    """Write what `explained` has returned for each batch, perhaps in another process.

    Args:
        explainer: the one that has explained them.
        found: the arrays of each batch.
        path: the group's folder, which may not exist yet.
        batch: the number of samples of each batch but the last.
    """
    group, start = Group(explainer, path, batch, resume=False), 0
    with group.kept():
        for arrays in found:
            rows = len(arrays["scores"])
            group.put(Part(start, rows, [], None, list(range(rows))), arrays)
            start += rows
    group.finish()


def read(
    path: str | os.PathLike[str], first: int = 0, count: int | None = None, *, name: str = "maps"
) -> npt.NDArray[Any]:
    """Return rows of an array that `write` has written, `(N, ...)`.

    Args:
        path: the group's folder.
        first: the first row.
        count: the number of rows, or None for all.
        name: the array: `maps`, or `maps_NAME` for one of several inputs, float32 with zeros for skipped
            samples; `scores`, with NaN for them; `targets` or `predictions`, with -1 for them. See `write`.

    Raises:
        InputError: if there is no such group, array or row.
    """
    first = checks.whole("first", first, 0)
    count = None if count is None else checks.whole("count", count)
    try:
        arrays = dict(opened(path).arrays())
        if arrays and name not in arrays:
            raise InputError(
                f"{os.fspath(path)!r} has no array {name!r}.{did_you_mean(name, arrays)} It has "
                f"{', '.join(map(repr, sorted(arrays)))}."
            )
        held = arrays[name]
        rows = np.asarray(held[first : None if count is None else first + count])
    except InputError:
        raise
    except Exception as error:  # damaged files raise errors of any kind
        raise InputError(
            f"{os.fspath(path)!r} does not contain maps of this library, or they are damaged: {error}"
        ) from error
    if not len(rows):
        raise InputError(f"{os.fspath(path)!r} has {held.shape[0]} maps. Received: the first is {first}.")
    return np.nan_to_num(rows, nan=0.0).astype(np.float32) if name.split("_")[0] == "maps" else rows


def _digest_of_targets(part: Part) -> str:
    if part.given is None:
        return "predicted"
    given = checks.array(part.given)
    return digest([np.broadcast_to(given, (part.rows, *given.shape)) if given.ndim == 0 else given])


def _length(inputs: Any, items: bool) -> int | None:
    """Return the number of samples, or None if it is not known before they are read."""
    if is_stream(inputs):
        known = length_of(inputs)
        return known if items else None
    first = keras.tree.flatten(inputs)[0] if isinstance(inputs, list | tuple | dict) else inputs
    shape = getattr(first, "shape", None)
    return int(shape[0]) if shape else None


def _of_samples(source: Source, inputs: Any) -> bool:
    """Tell whether the items of an object are samples, and not batches; the first that can be read tells."""
    for number in range(len(inputs)):
        with contextlib.suppress(InputError):
            if (item := inputs[number]) is not None:
                return not is_batch(source, item)
    return True


def _parts(
    explainer: Explainer, inputs: Any, targets: Any, chunk: int, done: int, items: bool, first: int
) -> Generator[Part, None, None]:
    """Yield the chunks: the first, as it was when the run began, and what is not done; of a stream, all."""
    source, pick = explainer.score.source, pick_of(explainer.score)
    if items or not is_stream(inputs):
        count, read = (len(inputs), None) if items else sized(source, inputs)
        targets = pick(targets, False)
        check_targets(targets, count)
        each = has_rows(targets)
        # What is added to a run that had ended within a chunk first fills that chunk.
        ends = [*range(done - done % chunk + chunk, count, chunk), count] if done < count else []
        parts = [slice(*pair) for pair in itertools.pairwise([done, *ends])]
        if done:
            parts.insert(0, slice(0, min(first, chunk, count)))
        numbers = itertools.chain.from_iterable(range(part.start, part.stop) for part in parts)
        workers = int(getattr(inputs, "workers", 1)) if items else 1
        with contextlib.closing(read_ahead(inputs.__getitem__, numbers, workers, chunk)) as coming:
            for part in parts:
                given = checks.array(targets[part]) if each else targets
                yield (
                    _items(explainer, coming, part, given)
                    if read is None
                    else _whole(part.start, read(part), given)
                )
        return
    start, waiting = 0, _Waiting()
    for arrays, given in batches(source, inputs, targets, chunk, pick):
        waiting.add(arrays, given)
        while waiting.rows >= chunk:
            yield _whole(start, *waiting.take(chunk))
            start += chunk
    if waiting.rows:
        yield _whole(start, *waiting.take(waiting.rows))


def _whole(start: int, arrays: Arrays, given: Any) -> Part:
    rows = len(arrays[0])
    return Part(start, rows, arrays, given, list(range(rows)))


class _Waiting:
    """Gathers batches of any size into chunks of one."""

    def __init__(self) -> None:
        self._batches: list[tuple[Arrays, Any]] = []
        self.rows = 0

    def add(self, arrays: Arrays, given: Any) -> None:
        if len(arrays[0]):
            self._batches.append((arrays, given))
            self.rows += len(arrays[0])

    def take(self, rows: int) -> tuple[Arrays, Any]:
        arrays = [
            np.concatenate(parts) for parts in zip(*[arrays for arrays, _ in self._batches], strict=True)
        ]
        given = self._batches[0][1]
        each = has_rows(given)
        if each:
            given = np.concatenate([np.asarray(given) for _, given in self._batches])
        self._batches = []
        self.rows = 0
        if len(arrays[0]) > rows:
            self.add([array[rows:] for array in arrays], given[rows:] if each else given)
        return [array[:rows] for array in arrays], given[:rows] if each else given


def _items(explainer: Explainer, coming: Iterator[Callable[[], Any]], part: slice, given: Any) -> Part:
    """Read the items of a chunk, each by the next function; what cannot be read is skipped."""
    read, kept, skipped = [], [], []
    for number in range(part.start, part.stop):
        try:
            item = next(coming)()
            if item is None:
                raise InputError("the data set has filtered it out.")
            read.append(item)
            kept.append(number - part.start)
        except InputError as error:
            warn(f"Sample {number} is skipped: {error}", SkippedWarning)
            skipped.append([number, str(error)])
    arrays: Arrays = []
    given = given[kept] if has_rows(given) else given
    if kept:
        ((arrays, given),) = batches(
            explainer.score.source, iter(read), given, None, pick_of(explainer.score)
        )
    return Part(part.start, part.stop - part.start, arrays, given, kept, skipped)


def _named(explainer: Explainer, found: Explained, given: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a chunk by their names in the group."""
    symbols = explainer.score.source.symbols
    names = ["maps"]
    if len(found.maps) > 1:
        names = [f"maps_{symbol.name}" for symbol in keras.tree.flatten(symbols)]
    targets = found.targets
    one = given is None or np.size(given) in (1, len(targets))
    of_one = given is None or (np.ndim(given) <= 1 and np.asarray(given).dtype.kind in "iu")
    if targets.ndim == 2 and one and (of_one or targets.shape[1] > 1):
        targets = targets.argmax(axis=1).astype(np.int64)
    assert found.scores is not None and found.predictions is not None  # noqa: S101 - they were asked for
    about = {"targets": targets, "predictions": found.predictions, "scores": found.scores.astype(np.float32)}
    return {**dict(zip(names, found.maps, strict=True)), **about}
