"""Explanations of the difference from references: a baseline, or a set of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, inputs, models
from vis.attributions.asked import pick_of, targets_of
from vis.attributions.batches import Arrays, watched
from vis.attributions.gradient import GradientExplainer
from vis.errors import InputError
from vis.typing import Data, Inputs, Targets

Shape = tuple[int | None, ...]


class FromReferences(GradientExplainer):
    """Explains `S(x) - mean_k S(x_k)`, the rise of the score from the references x_k.

    Time steps that the model masks in `x` stay as they are in all references.

    Args: see `Explainer`.
    """

    # How many references there are, and what the argument is called that gives them.
    count = 1
    # Whether the attributions add up to the rise of the score.
    adds_up = True
    argument = "baseline"

    def _take(self, given: Any) -> Any:
        """Return the references as given, checked, with arrays in place of lists of numbers."""
        if callable(given):
            return given
        given = keras.tree.map_structure(lambda part: checks.array(part) if np.ndim(part) else part, given)
        for part in keras.tree.flatten(given):
            array = checks.array(part)
            if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
                raise InputError(
                    f"The {self.argument} must be {self._wanted('finite ')}. Received: {given!r}."
                )
        return given

    def _wanted(self, finite: str) -> str:
        return f"a {finite}number, or an input of {finite}numbers"

    def _check_known(self) -> None:
        """Raise `InputError` if the references do not have the shape of the inputs, if that is known."""
        known = self._known_shapes()
        if known is not None and not callable(self._given()):
            self._references(known)

    def _known_shapes(self) -> list[Shape] | None:
        """Return the shapes of what is explained, of one sample, if they are known before any input."""
        if self.score.wrt is not None:
            shape = models.output_shape(self.score.wrt)
            return None if shape is None else [shape[1:]]
        symbols = self.score.source.symbols
        return None if symbols is None else [tuple(each.shape[1:]) for each in keras.tree.flatten(symbols)]

    def _given(self) -> Any:
        return vars(self)[self.argument]

    def _parts(self) -> Arrays:
        """Return the references of each input, as arrays."""
        symbols = None if self.score.wrt is not None else self.score.source.symbols
        given = [self._given()] if symbols is None else inputs.in_order(symbols, self._given())
        return [checks.array(part).astype(np.float64) for part in given]

    def _references(self, shapes: Sequence[Shape]) -> Arrays:
        """Return the references of each input, `(count, ...)`; of shape `(1,)` for a number.

        Args:
            shapes: of one sample of what is explained, in which None is any size.

        Raises:
            InputError: if the references do not have them.
        """
        given = self._given()
        if not isinstance(given, dict | list | tuple) and np.ndim(given) == 0:
            return [checks.array(given).astype(np.float64)[None] for _ in shapes]
        parts = self._parts()
        parts = [
            part[0] if part.shape[:1] == (1,) and part.ndim > len(shape) else part
            for part, shape in zip(parts, shapes, strict=True)
        ]
        if not all(map(_fits, [part.shape for part in parts], shapes)):
            raise InputError(
                f"The baseline must be a number, or have the shape of one input: {list(shapes)}. "
                f"Received: {[part.shape for part in parts]}."
            )
        return [part[None] for part in parts]

    def _starts(self, arrays: Arrays) -> list[Arrays]:
        """Return what each sample is compared with, for each reference: it, but for masked time steps."""
        explained, steps = self.score.explained(arrays), self.score.steps(arrays)
        if callable(self._given()):
            own = zip(
                *[self._own([array[i] for array in explained]) for i in range(len(arrays[0]))], strict=True
            )
            return [
                [
                    array if array.dtype.kind == "O" else np.where(free, np.stack(part), array)
                    for free, part, array in zip(steps, own, explained, strict=True)
                ]
            ]
        references = self._references([array.shape[1:] for array in explained])
        return [
            [
                array if array.dtype.kind == "O" else np.where(free, part[number], array.astype(np.float64))
                for free, part, array in zip(steps, references, explained, strict=True)
            ]
            for number in range(self.count)
        ]

    def _own(self, sample: Arrays) -> Arrays:
        """Return the reference of one sample, which a function makes of it alone."""
        symbols = None if self.score.wrt is not None else self.score.source.symbols
        single = symbols is None or len(sample) == 1
        copies = [part.copy() for part in sample]
        made = self._given()(copies[0] if single else inputs.packed(symbols, copies, None))
        parts = [made] if single else inputs.in_order(symbols, made)
        found = [checks.real(part, "What a baseline returns").astype(np.float64) for part in parts]
        shapes = [array.shape for array in sample]
        if [part.shape for part in found] != shapes or not all(np.isfinite(part).all() for part in found):
            raise InputError(
                f"A function as the {self.argument} must return finite numbers in the shape of the sample it "
                f"takes, {shapes}. Received: {[part.shape for part in found]}."
            )
        return found

    def residuals(self, inputs: Data, targets: Targets = None) -> npt.NDArray[np.float64]:
        """Return how far the attributions are from adding up: `S(x) - mean_k S(x_k) - sum`, `(N,)`.

        Args:
            inputs: as `explain`.
            targets: as `explain`.

        Raises:
            InputError: if the attributions are mean gradients, which do not add up to it.
        """
        if not self.adds_up:
            raise InputError(
                f"Mean gradients do not add up to the rise of the score. Received: {self!r}. Take "
                "IntegratedGradients with multiply_by_inputs=True, or LayerConductance."
            )
        found = []
        pick = pick_of(self.score)
        for arrays, given in watched(self.score.source, inputs, targets, self.at_once(), pick):
            weights = targets_of(self.score, arrays, given)
            arrays = self.score.begin(arrays)
            rise = self.score.values(arrays, weights).astype(np.float64)
            for references in self._starts(arrays):
                start = list(arrays)
                start[self.score.which] = [
                    reference.astype(array.dtype)
                    for array, reference in zip(self.score.explained(arrays), references, strict=True)
                ]
                rise -= self.score.values(start, weights).astype(np.float64) / self.count
            parts = self.attribute(arrays, weights).maps
            found.append(rise - sum(part.reshape(len(part), -1).sum(axis=1) for part in parts))
        if not found:
            raise InputError("There is nothing to explain. Received: an empty data set.")
        return np.concatenate(found)


class FromSet(FromReferences):
    """Explains the rise of the score from a set of references, see `FromReferences`.

    Args: see `Explainer`.
    """

    argument = "baselines"
    baselines: Any

    def _set(self, given: Inputs) -> None:
        """Note the set of references, checked."""
        self.baselines = self._take(given)
        shapes = [part.shape for part in self._parts()]
        if not all(shapes) or len({shape[0] for shape in shapes}) != 1 or not shapes[0][0]:
            raise InputError(
                f"The baselines must be {self._wanted('')}, as many for each input. Received: {shapes}."
            )
        self.count = shapes[0][0]
        self._check_known()

    def _wanted(self, finite: str) -> str:
        if self.argument != "baselines":
            return super()._wanted(finite)
        return f"one or several inputs of {finite}numbers, (n, ...)"

    def _references(self, shapes: Sequence[Shape]) -> Arrays:
        if self.argument != "baselines":
            return super()._references(shapes)
        parts = self._parts()
        if not all(map(_fits, [part.shape[1:] for part in parts], shapes)):
            raise InputError(
                f"The baselines must be several inputs, (n, ...), each of the shape {list(shapes)}. "
                f"Received: {[part.shape for part in parts]}."
            )
        return parts


def _fits(given: Shape, wanted: Shape) -> bool:
    return len(given) == len(wanted) and all(
        size in (None, own) for own, size in zip(given, wanted, strict=True)
    )


def ways(arrays: Arrays, references: Arrays) -> Arrays:
    """Return how far inputs are from their references; 0 for strings."""
    return [
        np.zeros(array.shape) if array.dtype.kind == "O" else array - reference.astype(np.float64)
        for array, reference in zip(arrays, references, strict=True)
    ]
