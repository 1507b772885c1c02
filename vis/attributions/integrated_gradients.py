"""Integrated gradients: a path from a baseline to the input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.attributions.references import FromSet, ways
from vis.attributions.sampled import Change, average
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.errors import InputError
from vis.progress import each
from vis.typing import Inputs, Layer
from vis.words import IntegrationMethod, Reducer

METHODS = get_args(IntegrationMethod)
_ZERO = 0.0  # the default itself: another 0.0 has been given


class IntegratedGradients(FromSet):
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
        baseline: `x0`: a number, or one input, in the structure of the model's inputs if it has several; or a
            function that makes the baseline of each sample, given that sample without its batch axis.
        method: `"gauss-legendre"`, exact for polynomials up to the degree `2 steps - 1`, or
            `"trapezoid"`, even steps from 0 to 1, at least 2.
        baseline_value: Xplique's name of `baseline`.
        baselines: several baselines in place of one, such as some samples of the training data, `(n, ...)`;
            the mean of the attributions over all of them. `GradientShap` draws from them instead.
        multiply_by_inputs: whether the mean gradient is multiplied by `x - x0`; if not, it is returned as it
            is, and does not add up to anything.

    Raises:
        InputError: if `steps`, `baseline`, `baselines` or `method` is invalid, or more than one of the
            baselines is given.

    Reference:
        Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017, equation (1);
        Erion et al.: Improving Performance of Deep Learning Models with Axiomatic Attribution Priors and
        Expected Gradients, 2021, for several baselines.
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
        baseline: Inputs | Callable[[Any], Any] = _ZERO,
        method: IntegrationMethod = "gauss-legendre",
        backprop_modifier: BackpropModifierLike = None,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
        baseline_value: Inputs | None = None,
        baselines: Inputs | None = None,
        multiply_by_inputs: bool = True,
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
        self.multiply_by_inputs = bool(multiply_by_inputs)
        self.baselines = baselines
        if baselines is not None:
            checks.either(None if baseline is _ZERO else baseline, baselines, "baseline", "baselines")
            self.baseline = baseline
            self._set(baselines)
        else:
            self.baseline = self._take(baseline)
            self._check_known()
        self.method = method
        self._points, self._weights = nodes(self.steps, method)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "baseline_value": None}

    @property
    def argument(self) -> str:  # type: ignore[override]
        """The argument that gives the references."""
        return "baseline" if self.baselines is None else "baselines"

    @property
    def adds_up(self) -> bool:  # type: ignore[override]
        """Whether the attributions add up to the rise of the score."""
        return self.multiply_by_inputs

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        explained = self.score.explained(arrays)
        total: Arrays = [np.zeros(array.shape) for array in explained]
        starts = self._starts(arrays)
        for start in each(starts, "baselines"):
            change = on_the_way(start, self._points)
            found = average(
                super().attribute, arrays, targets, change, self._weights, self.batch_size, self.score.which
            ).sums
            steps = ways(explained, start) if self.multiply_by_inputs else [1.0] * len(found)
            total = [
                sums + step * part / len(starts) for sums, step, part in zip(total, steps, found, strict=True)
            ]
        return Attribution(total)


def on_the_way(start: Arrays, points: npt.NDArray[np.float64]) -> Change:
    """Return what changes a sample to each point on the way from its reference."""

    def change(array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
        return np.asarray(start[which] + points[number] * (array - start[which]))

    return change


def nodes(steps: int, method: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the points in [0, 1] and the weights of a rule for the integral from 0 to 1."""
    if method == "gauss-legendre":
        points, weights = np.polynomial.legendre.leggauss(steps)
        return (points + 1) / 2, weights / 2
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights
