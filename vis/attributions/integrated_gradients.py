"""Integrated gradients: a path from a baseline to the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, inputs, models
from vis.attributions.asked import pick_of, targets_of
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays, batches
from vis.attributions.gradient import GradientExplainer
from vis.attributions.operators import OperatorLike
from vis.attributions.sampled import average
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.errors import InputError
from vis.typing import Data, Inputs, Layer, Targets
from vis.words import IntegrationMethod, Reducer

METHODS = get_args(IntegrationMethod)
_ZERO = 0.0  # the default itself: another 0.0 has been given


class IntegratedGradients(GradientExplainer):
    """How much each value of an input contributes to the rise of the score from a baseline.

    `(x - x0) int_0^1 dS/dx (x0 + a (x - x0)) da`, with the integral as a sum over `steps` points. The
    attributions of a sample add up to `S(x) - S(x0)`, up to the error of the sum, which `residuals` returns.
    Time steps that the model masks in `x` are masked along the whole path, and stay as they are.

    Args:
        model, output_layer, operator, reducer, backprop_modifier, output_layer_index, wrt, fold_layers: see
            `Explainer`.
        batch_size: the largest number of points that the model is given at once; small batches are faster on
            a CPU, large ones on a GPU.
        steps: the number of points.
        baseline: `x0`: a number, or one input, in the structure of the model's inputs if it has several.
        method: `"gauss-legendre"`, exact for polynomials up to the degree `2 steps - 1`, or
            `"trapezoid"`, even steps from 0 to 1, at least 2.
        baseline_value: Xplique's name of `baseline`.

    Raises:
        InputError: if `steps`, `baseline` or `method` is invalid, or the baseline is given under both
            names.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017, equation (1).
    """

    multiplies = True

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 16,
        operator: OperatorLike = None,
        reducer: Reducer | None = "mean",
        steps: int = 50,
        baseline: Inputs = _ZERO,
        method: IntegrationMethod = "gauss-legendre",
        backprop_modifier: BackpropModifierLike = None,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
        baseline_value: Inputs | None = None,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, backprop_modifier, wrt, fold_layers)
        self._set_up(batch_size, reducer)
        if method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}. Received: {method!r}.")
        self.steps = checks.whole("steps", steps, 2 if method == "trapezoid" else 1)
        if baseline_value is not None:
            given = None if baseline is _ZERO else baseline
            checks.either(given, baseline_value, "baseline", "baseline_value")
            baseline = baseline_value
        baseline = keras.tree.map_structure(
            lambda part: checks.array(part) if np.ndim(part) else part, baseline
        )
        for part in keras.tree.flatten(baseline):
            array = checks.array(part)
            if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
                raise InputError(
                    f"The baseline must be a finite number, or an input of finite numbers. Received: "
                    f"{baseline!r}."
                )
        self.baseline: Any = baseline
        known = self._known_shapes()
        if known is not None:
            self._baselines(known)
        self.method = method
        self._points, self._weights = nodes(self.steps, method)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "baseline_value": None}

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        explained = self.score.explained(arrays)
        baselines = self._starts(arrays)

        def on_the_way(array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
            way = array - baselines[which]
            return np.asarray(baselines[which] + self._points[number] * way)

        summed = average(
            super().attribute, arrays, targets, on_the_way, self._weights, self.batch_size, self.score.which
        ).sums
        steps = [
            np.zeros(array.shape) if array.dtype.kind == "O" else array - baseline
            for array, baseline in zip(explained, baselines, strict=True)
        ]
        return Attribution([step * part for step, part in zip(steps, summed, strict=True)])

    def residuals(self, inputs: Data, targets: Targets = None) -> npt.NDArray[np.float64]:
        """Return how far the attributions of each sample are from adding up: `S(x) - S(x0) - sum`, `(N,)`.

        Args:
            inputs: as `explain`.
            targets: as `explain`.
        """
        found = []
        pick = pick_of(self.score)
        for arrays, given in batches(self.score.source, inputs, targets, self.at_once(), pick):
            weights = targets_of(self.score, arrays, given)
            arrays = self.score.begin(arrays)
            start = list(arrays)
            start[self.score.which] = [
                baseline.astype(array.dtype)
                for array, baseline in zip(self.score.explained(arrays), self._starts(arrays), strict=True)
            ]
            rise = self.score.values(arrays, weights).astype(np.float64) - self.score.values(start, weights)
            parts = self.attribute(arrays, weights).maps
            found.append(rise - sum(part.reshape(len(part), -1).sum(axis=1) for part in parts))
        if not found:
            raise InputError("There is nothing to explain. Received: an empty data set.")
        return np.concatenate(found)

    def _starts(self, arrays: Arrays) -> Arrays:
        """Return where the path of each sample starts: at the baseline, except for masked time steps."""
        explained = self.score.explained(arrays)
        baselines = self._baselines([array.shape[1:] for array in explained])
        both = zip(self.score.steps(arrays), baselines, explained, strict=True)
        return [
            array if array.dtype.kind == "O" else np.where(steps, baseline, array.astype(np.float64))
            for steps, baseline, array in both
        ]

    def _known_shapes(self) -> list[tuple[int | None, ...]] | None:
        """Return the shapes of what is explained, of one sample, if they are known before any input."""
        if self.score.wrt is not None:
            shape = models.output_shape(self.score.wrt)
            return None if shape is None else [shape[1:]]
        symbols = self.score.source.symbols
        return None if symbols is None else [tuple(each.shape[1:]) for each in keras.tree.flatten(symbols)]

    def _baselines(self, shapes: Sequence[tuple[int | None, ...]]) -> Arrays:
        """Return the baseline of each input: a number, or of its shape, in which None is any size."""
        if not isinstance(self.baseline, dict) and np.ndim(self.baseline) == 0:
            return [checks.array(self.baseline).astype(np.float64) for _ in shapes]
        symbols = None if self.score.wrt is not None else self.score.source.symbols
        given = [self.baseline] if symbols is None else inputs.in_order(symbols, self.baseline)
        parts = [checks.array(part).astype(np.float64) for part in given]
        parts = [
            part[0] if part.shape[:1] == (1,) and part.ndim > len(shape) else part
            for part, shape in zip(parts, shapes, strict=True)
        ]
        for part, shape in zip(parts, shapes, strict=True):
            axes = zip(part.shape, shape, strict=False)
            if part.ndim != len(shape) or any(wanted not in (None, size) for size, wanted in axes):
                raise InputError(
                    f"The baseline must be a number, or have the shape of one input: {list(shapes)}. "
                    f"Received: {[part.shape for part in parts]}."
                )
        return parts


def nodes(steps: int, method: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the points in [0, 1] and the weights of a rule for the integral from 0 to 1."""
    if method == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(steps)
        return (points + 1) / 2, weights / 2
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights
