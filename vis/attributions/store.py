"""Explanations on disk: a Zarr group that is written chunk by chunk, and continued where it was left.

What is done stands in the group's attributes, which are replaced after each chunk, so that a run may be
killed at any moment: the next one does the unfinished chunk again, with the same result.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import files
from vis.attributions.base import Explained, Explainer
from vis.attributions.batches import Arrays, batches, check_targets, has_rows, is_array, is_stream, sized
from vis.errors import InputError, SkippedWarning, warn
from vis.source import Source
from vis.version import __version__

_BATCH = 64
# Chunks of files are a few megabytes, but no more batches than a killed run would be sorry to do again.
_CHUNK_BYTES, _CHUNK_BATCHES = 4 * 2**20, 16


def write(
    explainer: Explainer,
    inputs: Any,
    path: str | os.PathLike[str],
    targets: Any = None,
    resume: bool = True,
    progress: bool = True,
) -> None:
    """Explain inputs of any number into a chunked Zarr group, with constant memory.

    The group has the arrays `maps` `(N, ...)` float32 (`maps_NAME` for each of several inputs), `targets`
    (classes `(N,)`, or weights) and `scores` `(N,)`, a few batches to a chunk, and as attributes the settings
    of the explainer, a digest of the model's weights, and the versions. Run again, it is continued.

    Args:
        explainer: explains.
        inputs: as `Explainer.explain`; arrays on disk are read part by part. Or an object with a length
            and an item per sample, such as `vis.files.ImageFolder`: an item that raises `InputError` is
            skipped, and its row is NaN.
        path: the group's folder.
        targets: as `Explainer.explain`.
        resume: continue what is there; else, a path that exists is refused.
        progress: show a progress bar.

    Raises:
        InputError: if the path holds something else, or explanations of another model, with other settings or
            of other inputs; or if it cannot be written, whatever is finished being kept.
        ImportError: without zarr: `pip install "keras-vis3[zarr]"`.

    Warns:
        SkippedWarning: for each item that is skipped.
    """
    from tqdm import tqdm

    group = _Group(explainer, path, explainer.at_once() or _BATCH, resume)
    explainer = explainer.fixed()
    done = group.state.samples
    shown = partial(tqdm, unit="sample", disable=not progress, delay=1, leave=False)
    with group.kept(), shown(total=_length(inputs), initial=done) as bar:
        for part in _parts(explainer, inputs, targets, group.batch, done):
            if part.start == 0:
                group.check_inputs(_digest(part.arrays))
            if part.start >= done:
                found = explainer.explain_arrays(part.arrays, part.given, scores=True) if part.kept else None
                group.put(part, None if found is None else _named(explainer, found, part.given))
                bar.update(part.rows)
    group.finish()


def explained(explainer: Explainer, inputs: Any, targets: Any = None) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays that `write` would write for a batch: `maps`, `targets` and `scores`.

    Args: as `Explainer.explain`, for arrays.
    """
    ((arrays, given),) = batches(explainer.score.source, inputs, targets, None)
    return _named(explainer, explainer.explain_arrays(arrays, given, scores=True), given)


def gather(
    explainer: Explainer,
    found: Iterable[dict[str, npt.NDArray[Any]]],
    path: str | os.PathLike[str],
    batch: int,
) -> None:
    """Write what `explained` has returned, elsewhere perhaps, for one batch after the other.

    Args:
        explainer: what has explained them.
        found: the arrays of each batch.
        path: the group's folder, which does not exist.
        batch: the number of samples of each batch but the last.
    """
    group, start = _Group(explainer, path, batch, resume=False), 0
    with group.kept():
        for arrays in found:
            rows = len(arrays["scores"])
            group.put(_Part(start, rows, [], None, list(range(rows))), arrays)
            start += rows
    group.finish()


def read(path: str | os.PathLike[str], first: int = 0, count: int | None = None) -> npt.NDArray[np.float32]:
    """Return maps that `write` has written, `(N, ...)`; of those that were skipped, zeros.

    Args:
        path: the group's folder.
        first: the first row.
        count: the number of rows, or None for all.

    Raises:
        InputError: if there is no such group or row.
    """
    try:
        held = _zarr().open_group(os.fspath(path), mode="r")["maps"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{os.fspath(path)!r} holds no explanations of this library.") from error
    rows = held[first : None if count is None else first + count]
    if not len(rows):
        raise InputError(f"{os.fspath(path)!r} has {held.shape[0]} maps. Received: the first is {first}.")
    return np.asarray(np.nan_to_num(rows, nan=0.0), np.float32)


@dataclass
class _State:
    """How far a run has come: the rows done, a digest of the first chunk's inputs, and what was skipped."""

    samples: int = 0
    complete: bool = False
    inputs: str = ""
    skipped: list[list[Any]] = field(default_factory=list)


class _Group:
    """The group that is written, and how far it has come."""

    def __init__(self, explainer: Explainer, path: str | os.PathLike[str], batch: int, resume: bool) -> None:
        self._zarr = _zarr()
        self._folder = Path(path)
        self.batch = batch
        weights = _digest(explainer.model.weights)
        self._said = {"settings": explainer.settings(), "weights": weights, "batch_size": batch}
        self.state = _State()
        self._arrays: dict[str, Any] = {}
        self._waiting: list[tuple[_Part, dict[str, npt.NDArray[Any]] | None]] = []
        if self._folder.exists():
            if not resume:
                raise InputError(f"{str(path)!r} exists. Remove it, or pass resume=True to continue it.")
            self.state = _read(self._zarr, self._folder, self._said)
            self._open()

    def check_inputs(self, digest: str) -> None:
        if self.state.samples and self.state.inputs != digest:
            raise InputError(
                f"{str(self._folder)!r} holds explanations of other inputs. Choose another path, or "
                "remove it."
            )
        self.state.inputs = digest

    def put(self, part: _Part, arrays: dict[str, npt.NDArray[Any]] | None) -> None:
        """Write a batch, or, without arrays, rows of nothing, as soon as its chunk is full."""
        self._waiting.append((part, arrays))
        if not self._arrays:
            if arrays is None:
                return  # what a map looks like is not known yet
            with self._told():
                _create(
                    self._zarr, self._folder, self._said, arrays, self.batch * _batches(arrays, part.rows)
                )
                self._open()
        if (part.start + part.rows) % self._arrays["scores"].chunks[0] == 0:
            self._flush()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Write what is finished, whatever ends the run."""
        try:
            yield
        finally:
            self._flush()

    def finish(self) -> None:
        if not self._arrays:
            raise InputError("There is nothing to explain. Received: no sample that can be read.")
        if not self.state.complete:
            self.state.complete = True
            _save(self._folder, self.state)

    def _open(self) -> None:
        self._arrays = dict(self._zarr.open_group(str(self._folder), mode="r+").arrays())

    def _flush(self) -> None:
        if not self._waiting or not self._arrays:
            return
        parts, self._waiting = self._waiting, []
        with self._told():
            end = _put(self._arrays, parts)
            skipped = [item for part, _ in parts for item in part.skipped]
            state = replace(self.state, samples=end, skipped=self.state.skipped + skipped)
            _save(self._folder, state)
            self.state = state

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, InputError) as error:
            raise InputError(
                f"{str(self._folder)!r} cannot be written: {getattr(error, 'strerror', None) or error}. "
                f"{self.state.samples} samples are finished and kept. Run again to continue."
            ) from error


def _batches(arrays: dict[str, npt.NDArray[Any]], rows: int) -> int:
    """Return how many batches such as this one, of some rows, make a chunk."""
    size = sum(array.nbytes for array in arrays.values()) * max(rows, 1) // len(arrays["scores"])
    return max(1, min(_CHUNK_BATCHES, _CHUNK_BYTES // size))


@dataclass
class _Part:
    """The samples of a chunk: how many rows they take from where, and which of those could be read."""

    start: int
    rows: int
    arrays: Arrays
    given: Any
    kept: list[int]
    skipped: list[list[Any]] = field(default_factory=list)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError('Writing explanations needs zarr: pip install "keras-vis3[zarr]".') from error
    return zarr


def _digest(arrays: Any) -> str:
    found = hashlib.sha256()
    for array in arrays:
        value = np.asarray(array)
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def _length(inputs: Any) -> int | None:
    """Return the number of samples, or None if it is not known before they are read."""
    if is_stream(inputs):
        return None
    if _has_items(inputs):
        return len(inputs)
    first = keras.tree.flatten(inputs)[0] if isinstance(inputs, list | tuple | dict) else inputs
    shape = getattr(first, "shape", None)
    return int(shape[0]) if shape else None


def _has_items(inputs: Any) -> bool:
    """Tell whether inputs are an object with a length and an item per sample, but no array or structure."""
    plain = isinstance(inputs, list | tuple | dict) or is_array(inputs) or is_stream(inputs)
    return not plain and hasattr(inputs, "__len__") and hasattr(inputs, "__getitem__")


def _parts(explainer: Explainer, inputs: Any, targets: Any, chunk: int, done: int) -> Iterator[_Part]:
    """Yield the chunks: the first one, and those that are not done; of a stream, all."""
    source = explainer.score.source
    if not is_stream(inputs):
        count, read = (len(inputs), None) if _has_items(inputs) else sized(source, inputs)
        check_targets(targets, count)
        each = has_rows(targets)
        for start in [*([0] if done else []), *range(done, count, chunk)]:
            part = slice(start, min(start + chunk, count))
            given = np.asarray(targets[part]) if each else targets
            yield _items(source, inputs, part, given) if read is None else _whole(start, read(part), given)
        return
    start, waiting = 0, _Waiting()
    for arrays, given in batches(source, inputs, targets, chunk):
        waiting.add(arrays, given)
        while waiting.rows >= chunk:
            yield _whole(start, *waiting.take(chunk))
            start += chunk
    if waiting.rows:
        yield _whole(start, *waiting.take(waiting.rows))


def _whole(start: int, arrays: Arrays, given: Any) -> _Part:
    rows = len(arrays[0])
    return _Part(start, rows, arrays, given, list(range(rows)))


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


def _items(source: Source, inputs: Any, part: slice, given: Any) -> _Part:
    """Read the items of a chunk; what cannot be read is skipped."""
    read, kept, skipped = [], [], []
    for number in range(part.start, part.stop):
        try:
            read.append(inputs[number])
            kept.append(number - part.start)
        except InputError as error:
            warn(f"Sample {number} is skipped: {error}", SkippedWarning)
            skipped.append([number, str(error)])
    arrays: Arrays = []
    if kept:
        ((arrays, _),) = batches(source, iter(read), None, None)
    given = given[kept] if has_rows(given) else given
    return _Part(part.start, part.stop - part.start, arrays, given, kept, skipped)


def _named(explainer: Explainer, found: Explained, given: Any) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a chunk by their names in the group."""
    symbols = explainer.score.source.symbols
    names = ["maps"]
    if len(found.maps) > 1:
        names = [f"maps_{symbol.name}" for symbol in keras.tree.flatten(symbols)]
    classes = given is None or (np.ndim(given) <= 1 and np.asarray(given).dtype.kind in "iu")
    targets = found.targets
    if classes and targets.ndim == 2:
        targets = targets.argmax(axis=1).astype(np.int64)
    assert found.scores is not None  # noqa: S101 - they were asked for
    scores = found.scores.astype(np.float32)
    return {**dict(zip(names, found.maps, strict=True)), "targets": targets, "scores": scores}


def _create(
    zarr: Any, folder: Path, said: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], chunk: int
) -> None:
    """Make the group without a row, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary) / folder.name
        group = zarr.open_group(str(new), mode="w")
        versions = {name: version(name) for name in ("keras", "numpy", keras.config.backend())}
        group.attrs.update({**said, "versions": {"vis": __version__, **versions}})
        create = getattr(group, "create_array", None) or group.create_dataset
        for name, array in arrays.items():
            rest = array.shape[1:]
            fill = -1 if array.dtype.kind == "i" else float("nan")
            create(name, shape=(0, *rest), chunks=(chunk, *rest), dtype=array.dtype, fill_value=fill)
        _save(new, _State())
        new.replace(folder)


def _put(group: dict[str, Any], parts: list[tuple[_Part, dict[str, npt.NDArray[Any]] | None]]) -> int:
    """Write batches that follow each other, those without arrays as rows of nothing; return the end."""
    start, last = parts[0][0].start, parts[-1][0]
    end = last.start + last.rows
    for name, held in group.items():
        rows = np.full((end - start, *held.shape[1:]), held.fill_value, held.dtype)
        for part, arrays in parts:
            if arrays is not None:
                rows[[part.start - start + row for row in part.kept]] = arrays[name]
        held.resize((end, *held.shape[1:]))
        held[start:end] = rows
    return end


def _read(zarr: Any, folder: Path, said: dict[str, Any]) -> _State:
    """Return how far the run in a folder has come.

    Raises:
        InputError: if it holds something else, or explanations with other settings.
    """
    try:
        held = dict(zarr.open_group(str(folder), mode="r").attrs)
        state = _State(**held["progress"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{str(folder)!r} holds no explanations of this library. Choose another path."
        ) from error
    wanted = json.loads(json.dumps(said))
    for kind in said:
        if held.get(kind) != wanted[kind]:
            raise InputError(
                f"{str(folder)!r} holds explanations with another configuration: "
                f"{_difference(held, wanted, kind)}. Choose another path, or remove it."
            )
    return state


def _difference(held: dict[str, Any], wanted: dict[str, Any], kind: str) -> str:
    if kind == "weights":
        return "the model has other weights"
    if not isinstance(held.get(kind), dict):
        return f"{kind} is {held.get(kind)!r} there, {wanted[kind]!r} here"
    names = [
        name for name in {**wanted[kind], **held[kind]} if held[kind].get(name) != wanted[kind].get(name)
    ]
    return ", ".join(
        f"{name} is {held[kind].get(name)!r} there, {wanted[kind].get(name)!r} here" for name in names
    )


def _save(folder: Path, state: _State) -> None:
    """Replace the attributes of the group, whatever the moment at which that is interrupted."""
    path = folder / "zarr.json"
    if path.exists():
        said = json.loads(path.read_text())
        said["attributes"]["progress"] = vars(state)
    else:  # Zarr's format 2 has them in a file of their own
        path = folder / ".zattrs"
        said = {**json.loads(path.read_text()), "progress": vars(state)}
    with files.written(path) as temporary:
        temporary.write_text(json.dumps(said, indent=2))
