"""The results of a run, row by row: maps, numbers, names, and the skipped inputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks, listing
from vis.attributions.groups import opened
from vis.errors import InputError
from vis.reports.labels import Labels, check_labels, read_labels


@dataclass(frozen=True)
class Row:
    """The result of a run for one input.

    Attributes:
        number: the row in the group.
        name: the file, or `row 7`.
        maps: by name, each without a batch axis; none if they were not requested or the input was skipped.
        prediction: the predicted class, or None.
        target: the explained class; or a text, such as `weights`; or None.
        score: the explained score, or None.
        skipped: why there is no map, or None.
    """

    number: int
    name: str
    maps: Mapping[str, npt.NDArray[np.float32]]
    prediction: int | None = None
    target: int | str | None = None
    score: float | None = None
    skipped: str | None = None

    @property
    def equal(self) -> bool | None:
        """Whether the predicted class is the target, or None if that has no meaning."""
        if self.prediction is None or not isinstance(self.target, int):
            return None
        return self.prediction == self.target


class Run:
    """A group of explanations, read part by part.

    Args:
        path: the group's folder.
        names: the names of the inputs, one for each row; None for those in the text file beside the group, if
            there is one.
        labels: the names of the classes, see `read_labels`.

    Attributes:
        count: how many rows are finished.
        settings, source, versions: what is known about the run.
        chosen: whether the targets are the predicted classes, so that comparing them tells nothing.

    Raises:
        InputError: if there is no such group, or names or labels do not fit it.
    """

    def __init__(
        self, path: str | os.PathLike[str], names: Sequence[str] | None = None, labels: Labels | None = None
    ) -> None:
        self.path = Path(path)
        group = opened(path)
        try:
            said: dict[str, Any] = dict(group.attrs)
            progress = said["progress"]
            self.count = checks.whole("samples", progress["samples"], 0)
            self.complete = bool(progress["complete"])
            self.chosen = progress["targets"] == "predicted"
            self._skipped = {int(number): str(reason) for number, reason in progress["skipped"]}
            self.settings, self.versions = dict(said["settings"]), dict(said["versions"])
            self.source = dict(said.get("source", {}))
            self.about = {name: said.get(name) for name in ("batch_size", "weights")}
            self._arrays = dict(group.arrays())
            self.map_names = sorted(name for name in self._arrays if name.split("_")[0] == "maps")
            lengths = [self._arrays[name].shape[0] for name in (*self.map_names, "scores", "targets")]
            if not self.map_names or min(lengths) < self.count:
                raise KeyError("maps")
        except (TypeError, KeyError, ValueError) as error:
            raise InputError(f"{str(path)!r} does not contain maps of this library.") from error
        if not self.count:
            raise InputError(f"{str(path)!r} has no finished map yet. Run again to continue it.")
        self._names = self._listed() if names is None else [*map(str, names)]
        if self._names is not None and len(self._names) < self.count:
            where = f"{self.listing.name!r} lists" if names is None else "Received:"
            raise InputError(
                f"There is a name for each map. {where} {len(self._names)} for {self.count} maps in "
                f"{str(path)!r}."
            )
        predictions = self._numbers("predictions", slice(0, self.count))
        if predictions is None and self.chosen:
            predictions = self._numbers("targets", slice(0, self.count))
        self._predictions = predictions
        # Of a layer inside, targets are filters; an earlier version did not tell.
        self.of_classes = predictions is None or bool((predictions >= 0).any())
        self.labels: dict[int, str] = {} if labels is None else read_labels(labels)
        if self.labels:
            if not self.of_classes:
                raise InputError(
                    f"{str(path)!r} explains filters or a single output, which have no labels. Leave them "
                    "out."
                )
            check_labels(self.labels, self._occurring())

    @property
    def listing(self) -> Path:
        """The text file beside the group that lists the inputs, one per line."""
        return listing.beside(self.path)

    @property
    def skipped(self) -> int:
        """How many of the finished rows were skipped."""
        return sum(number < self.count for number in self._skipped)

    def name(self, number: int) -> str:
        return f"row {number}" if self._names is None else self._names[number]

    def label(self, number: int | str | None) -> str | None:
        """Return the label of a class, or None."""
        return self.labels.get(number) if isinstance(number, int) else None

    def named(self, number: int | str | None) -> str:
        """Return a class, or what else is explained, in words: `cat (3)`, or `3` without labels."""
        label = self.label(number)
        return "" if number is None else str(number) if label is None else f"{label} ({number})"

    @property
    def has_names(self) -> bool:
        """Whether its inputs have names."""
        return self._names is not None

    @property
    def of_pictures(self) -> bool:
        """Whether there is one map for each input, of the shape of a picture."""
        return len(self.map_names) == 1 and len(self._arrays["maps"].shape) == 4

    def rows(self, drawn: range, only: bool = False) -> Iterator[Row]:
        """Yield rows in order, with maps for those that are drawn, reading one chunk after the other.

        Args:
            drawn: the rows whose maps are read.
            only: yield no others.
        """
        size = self._arrays[self.map_names[0]].chunks[0]
        asked = drawn if only else range(self.count)
        for start in range(asked.start // size * size, asked.stop, size):
            part = slice(max(start, asked.start), min(start + size, asked.stop))
            wanted = range(max(part.start, drawn.start), min(part.stop, drawn.stop))
            names = self.map_names if wanted else []
            maps = {name: self._read(name, slice(wanted.start, wanted.stop)) for name in names}
            targets, scores = self._targets(part), self._read("scores", part)
            for number, target, score in zip(range(part.start, part.stop), targets, scores, strict=True):
                here = maps.items() if number in wanted else ()
                of_row = {name: rows[number - wanted.start] for name, rows in here}
                yield self._row(number, of_row, target, float(score))

    def part(self, first: int, count: int | None) -> range:
        """Return `count` rows from one on, or all.

        Raises:
            InputError: if there are none.
        """
        first = checks.whole("first", first, 0)
        if first >= self.count:
            raise InputError(f"{str(self.path)!r} has {self.count} maps. Received: the first is {first}.")
        end = self.count if count is None else min(self.count, first + checks.whole("count", count))
        return range(first, end)

    def signed(self, drawn: range) -> bool:
        """Tell whether one of the maps that are drawn has a negative value."""
        rows = self.rows(drawn, only=True)
        return any(bool((array < 0).any()) for row in rows for array in row.maps.values())

    def _row(self, number: int, maps: Mapping[str, Any], target: int | str | None, score: float) -> Row:
        reason = self._skipped.get(number)
        if reason is None and not all(np.isfinite(array).all() for array in maps.values()):
            reason = "Its map has values that are NaN or infinite."
        if reason is not None:
            return Row(number, self.name(number), {}, skipped=reason)
        prediction = -1 if self._predictions is None else int(self._predictions[number])
        known = score if np.isfinite(score) else None
        return Row(number, self.name(number), maps, prediction if prediction >= 0 else None, target, known)

    def _read(self, name: str, part: slice) -> npt.NDArray[Any]:
        try:
            return np.asarray(self._arrays[name][part])
        except Exception as error:  # whatever the bytes provoke
            raise InputError(
                f"{name!r} of {str(self.path)!r} cannot be read: {error}. Its files are damaged or missing."
            ) from error

    def _numbers(self, name: str, part: slice) -> npt.NDArray[Any] | None:
        """Return an array of whole numbers, one for each row, or None if there is no such array."""
        held = self._arrays.get(name)
        whole_numbers = held is not None and len(held.shape) == 1 and held.dtype.kind in "iu"
        return self._read(name, part) if whole_numbers else None

    def _targets(self, part: slice) -> list[int | str | None]:
        classes = self._numbers("targets", part)
        if classes is not None:
            return [int(number) for number in classes]
        values = np.moveaxis(self._read("targets", part), self.settings.get("class_axis", -1), -1)
        if values.ndim < 2 or values.shape[-1] == 1:
            single = values.reshape(len(values), -1)
            # The output itself is explained with a weight of one.
            return ["weights" if len(row) != 1 else None if row[0] == 1 else f"{row[0]:g}" for row in single]
        used = (values.reshape(len(values), -1, values.shape[-1]) != 0).any(axis=1)
        return [int(row.argmax()) if row.sum() == 1 else "weights" for row in used]

    def _occurring(self) -> list[int]:
        """Return the classes that occur, sorted."""
        found = [self._predictions, self._numbers("targets", slice(0, self.count))]
        numbers = {int(number) for each in found if each is not None for number in np.unique(each)}
        return sorted(number for number in numbers if number >= 0)

    def _listed(self) -> list[str] | None:
        try:
            return listing.decoded(self.listing.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise InputError(f"{str(self.listing)!r} cannot be read: {error.strerror}.") from error
