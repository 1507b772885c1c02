"""The Zarr group that holds explanations: created in one step, written chunk by chunk, and checked when read.

The group's attributes say how far a run has come. They are replaced after each chunk, so a run may be killed
at any moment: the next one repeats the unfinished chunk, with the same result.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, files
from vis.attributions.base import Explainer
from vis.attributions.batches import Arrays
from vis.errors import InputError
from vis.files.reading import dicts_in
from vis.version import __version__

# Chunks of files are a few megabytes, but no more batches than a killed run would be sorry to do again.
_CHUNK_BYTES, _CHUNK_BATCHES = 4 * 2**20, 16
# What earlier versions did not write; their groups are continued without it.
_NEWER = frozenset({"predictions"})
_METADATA = ("zarr.json", ".zarray")
_CODECS = frozenset(
    {"blosc", "bytes", "crc32c", "gzip", "lz4", "sharding_indexed", "transpose", "zlib", "zstd"}
)


@dataclass
class Part:
    """The samples of a chunk: the first row, the number of rows, and which of them could be read."""

    start: int
    rows: int
    arrays: Arrays
    given: Any
    kept: list[int]
    skipped: list[list[Any]] = field(default_factory=list)


@dataclass
class State:
    """How far a run has come: the finished rows, digests of the first inputs and targets, the skipped rows.

    `first` is the number of rows behind the digests; groups of earlier versions do not have it.
    """

    samples: int = 0
    complete: bool = False
    first: int = 0
    inputs: str = ""
    targets: str = ""
    skipped: list[list[Any]] = field(default_factory=list)


class Group:
    """A group that is being written, and how far it has come.

    Args:
        explainer: makes the maps.
        path: the group's folder.
        batch: the number of samples in a batch.
        resume: continue what is in the folder; if False, a folder that exists is an error.
        source: see `vis.attributions.store.write`.

    Raises:
        InputError: if the folder contains anything else, or maps with other settings.
    """

    def __init__(
        self,
        explainer: Explainer,
        path: str | os.PathLike[str],
        batch: int,
        resume: bool,
        source: dict[str, Any] | None = None,
    ) -> None:
        _zarr()  # before anything is explained
        self._folder = Path(path)
        self.batch = batch
        weights = digest(explainer.model.weights)
        self._said = {"settings": explainer.settings(), "weights": weights, "batch_size": batch}
        self._source = None if source is None else _as_json(source)
        self._moved = False
        self.state = State()
        self._arrays: dict[str, Any] = {}
        self._waiting: list[tuple[Part, dict[str, npt.NDArray[Any]] | None]] = []
        if files.exists(self._folder):
            if not resume:
                raise InputError(f"{str(path)!r} exists. Remove it, or pass resume=True to continue it.")
            self.state = _read(self._folder, self._said)
            with self._told():
                self._open()

    def check_inputs(self, inputs: str, targets: str, first: int) -> None:
        """Compare the digests of the first inputs and targets with those of the run, and note them.

        Args:
            inputs, targets: the digests.
            first: the number of rows behind them.

        Raises:
            InputError: if the run has explained others.
        """
        for what, here in (("inputs", inputs), ("targets", targets)):
            if self.state.samples and getattr(self.state, what) != here:
                raise InputError(
                    f"{str(self._folder)!r} contains maps of other {what}. Choose another path, or remove it."
                )
        self.state.inputs, self.state.targets, self.state.first = inputs, targets, first

    def put(self, part: Part, arrays: dict[str, npt.NDArray[Any]] | None) -> None:
        """Write a batch as soon as its chunk is full; without arrays, all of its rows are skipped ones."""
        self._waiting.append((part, arrays))
        if not self._arrays:
            if arrays is None:
                return  # what a map looks like is not known yet
            with self._told():
                _create(self._folder, self._said, arrays, self.batch * _batches(arrays, part.rows))
                self._open()
        if (part.start + part.rows) % self._arrays["scores"].chunks[0] == 0:
            self._flush()

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Write what is finished, however the run ends."""
        try:
            yield
        finally:
            self._flush()

    def finish(self) -> None:
        """Note that the run is complete.

        Raises:
            InputError: if it has no row.
        """
        if not self._arrays:
            raise InputError("There is nothing to explain. Received: no sample that can be read.")
        if not self.state.complete or self._moved:
            self.state.complete = True
            _save(self._folder, self.state, self._source)

    def _open(self) -> None:
        held = opened(self._folder, "r+")
        self._arrays = dict(held.arrays())
        self._moved = self._source not in (None, held.attrs.get("source"))
        if "scores" not in self._arrays:
            raise InputError("its array 'scores' is missing")

    def _flush(self) -> None:
        if not self._waiting or not self._arrays:
            return
        parts, self._waiting = self._waiting, []
        with self._told():
            end = _put(self._arrays, parts)
            skipped = [item for part, _ in parts for item in part.skipped]
            state = replace(self.state, samples=end, complete=False, skipped=self.state.skipped + skipped)
            _save(self._folder, state, self._source)
            self.state = state

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of the disk, or of damaged files
            raise InputError(
                f"{str(self._folder)!r} cannot be written: {getattr(error, 'strerror', None) or error}. "
                f"{self.state.samples} samples are finished and kept. Run again to continue."
            ) from error


def _batches(arrays: dict[str, npt.NDArray[Any]], rows: int) -> int:
    """Return how many batches such as this one, with this number of rows, make a chunk."""
    size = sum(array.nbytes for array in arrays.values()) * max(rows, 1) // len(arrays["scores"])
    return max(1, min(_CHUNK_BATCHES, _CHUNK_BYTES // size))


def digest(arrays: Any) -> str:
    found = hashlib.sha256()
    for array in arrays:
        value = np.asarray(array)
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    return found.hexdigest()


def _zarr() -> Any:
    return checks.extra("zarr", "zarr", "Writing explanations needs zarr")


def opened(path: str | os.PathLike[str], mode: str = "r") -> Any:
    """Return the group in a folder.

    Raises:
        InputError: if there is no group, or its arrays are not stored as plain numbers.
    """
    zarr, folder = _zarr(), checks.group(os.fspath(path))
    try:
        for part in (folder, *(item for item in folder.iterdir() if item.is_dir())):
            for name in _METADATA:
                if (part / name).exists():
                    said = json.loads((part / name).read_text())
                    # Attributes hold any values; consolidated metadata are not used below.
                    apart = ("attributes", "consolidated_metadata")
                    _check_codecs(part, {key: value for key, value in said.items() if key not in apart})
        # Zarr 2 does not use consolidated metadata unless it is asked to.
        options = {} if zarr.__version__.startswith("2.") else {"use_consolidated": False}
        return zarr.open_group(str(folder), mode=mode, **options)
    except InputError:
        raise
    except Exception as error:  # damaged files raise errors of any kind
        raise InputError(
            f"{os.fspath(path)!r} does not contain maps of this library. Choose another path."
        ) from error


def _check_codecs(folder: Path, said: Any) -> None:
    """Raise for an array that needs another decoder than those of plain numbers: pickle would run code.

    Args:
        folder: of an array or a group.
        said: its metadata.
    """
    for item in dicts_in(said):
        codecs = [item.get("compressor"), *(item.get("codecs") or []), *(item.get("filters") or [])]
        for codec in codecs:
            name = codec.get("name", codec.get("id")) if isinstance(codec, dict) else codec
            if name is not None and name not in _CODECS:
                raise InputError(
                    f"{str(folder)!r} uses the codec {name!r}, which this library never writes, so it is not "
                    "read. Choose another path."
                )


def _create(folder: Path, said: dict[str, Any], arrays: dict[str, npt.NDArray[Any]], chunk: int) -> None:
    """Make a group without rows, completely or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        new = Path(temporary) / folder.name
        group = _zarr().open_group(str(new), mode="w")
        versions = {name: version(name) for name in ("keras", "numpy", keras.config.backend())}
        group.attrs.update({**said, "versions": {"vis": __version__, **versions}})
        create = getattr(group, "create_array", None) or group.create_dataset
        for name, array in arrays.items():
            rest = array.shape[1:]
            fill = -1 if array.dtype.kind == "i" else float("nan")
            create(name, shape=(0, *rest), chunks=(chunk, *rest), dtype=array.dtype, fill_value=fill)
        _save(new, State())
        new.replace(folder)


def _put(group: dict[str, Any], parts: list[tuple[Part, dict[str, npt.NDArray[Any]] | None]]) -> int:
    """Write consecutive batches, those without arrays as skipped rows; return the row behind the last."""
    start, last = parts[0][0].start, parts[-1][0]
    end = last.start + last.rows
    for name, held in group.items():
        rows = np.full((end - start, *held.shape[1:]), held.fill_value, held.dtype)
        for part, arrays in parts:
            if arrays is not None:
                if group.keys() - arrays.keys() or arrays.keys() - group.keys() - _NEWER:
                    raise InputError(f"it contains {sorted(group)} instead of {sorted(arrays)}")
                rows[[part.start - start + row for row in part.kept]] = arrays[name]
        held.resize((end, *held.shape[1:]))
        held[start:end] = rows
    return end


def _read(folder: Path, said: dict[str, Any]) -> State:
    """Return how far the run in a folder has come.

    Raises:
        InputError: if it contains something else, or maps with other settings.
    """
    group = opened(folder)
    try:
        held = dict(group.attrs)
        state = State(**held["progress"])
        checks.whole("samples", state.samples, 0)
    except (TypeError, KeyError, InputError) as error:
        raise InputError(
            f"{str(folder)!r} does not contain maps of this library. Choose another path."
        ) from error
    wanted = json.loads(json.dumps(said))
    for kind in said:
        if held.get(kind) != wanted[kind]:
            raise InputError(
                f"{str(folder)!r} contains maps with other settings: "
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
    # Another method has other settings anyway.
    names = ["method"] if "method" in names else names
    return ", ".join(
        f"{name} is {held[kind].get(name)!r} there, {wanted[kind].get(name)!r} here" for name in names
    )


def _as_json(source: dict[str, Any]) -> Any:
    """Return a source as it will be read again.

    Raises:
        InputError: if it is not a dict of values that JSON can hold.
    """
    try:
        if isinstance(source, dict):
            return json.loads(json.dumps(source, allow_nan=False))
        problem = type(source).__name__
    except (TypeError, ValueError) as error:
        problem = str(error)
    raise InputError(
        "source must be a dict that JSON can hold: names with text, numbers, lists and None. Received: "
        f"{problem}."
    )


def _save(folder: Path, state: State, source: dict[str, Any] | None = None) -> None:
    """Replace the group's attributes; if that is interrupted, the old or the new ones remain complete."""
    new = {"progress": vars(state), **({} if source is None else {"source": source})}
    path = folder / "zarr.json"
    if path.exists():
        said = json.loads(path.read_text())
        said["attributes"].update(new)
    else:  # Zarr's format 2 keeps them in a separate file
        path = folder / ".zattrs"
        said = {**json.loads(path.read_text()), **new}
    with files.written(path) as temporary:
        temporary.write_text(json.dumps(said, indent=2))
