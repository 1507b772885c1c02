"""Integrated gradients: a path from a baseline to the input."""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.attributions.references import FromReferences, ways
from vis.attributions.sampled import average
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.errors import InputError
from vis.typing import Inputs, Layer
from vis.words import IntegrationMethod, Reducer

METHODS = get_args(IntegrationMethod)
_ZERO = 0.0  # the default itself: another 0.0 has been given


class IntegratedGradients(FromReferences):
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
        self.baseline = self._take(baseline)
        self._check_known()
        self.method = method
        self._points, self._weights = nodes(self.steps, method)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "baseline_value": None}

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        (baselines,) = self._starts(arrays)

        def on_the_way(array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
            way = array - baselines[which]
            return np.asarray(baselines[which] + self._points[number] * way)

        summed = average(
            super().attribute, arrays, targets, on_the_way, self._weights, self.batch_size, self.score.which
        ).sums
        steps = ways(self.score.explained(arrays), baselines)
        return Attribution([step * part for step, part in zip(steps, summed, strict=True)])


def nodes(steps: int, method: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the points in [0, 1] and the weights of a rule for the integral from 0 to 1."""
    if method == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(steps)
        return (points + 1) / 2, weights / 2
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights
