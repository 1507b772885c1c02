"""Attributions to the values inside a layer, on a path of the inputs; and the gradient of one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, models
from vis.attributions.base import Attribution, path_in
from vis.attributions.batches import Arrays
from vis.attributions.gradient import GradientExplainer
from vis.attributions.integrated_gradients import METHODS, nodes, on_the_way
from vis.attributions.operators import OperatorLike
from vis.attributions.references import FromReferences
from vis.attributions.sampled import average
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.errors import InputError
from vis.progress import each
from vis.typing import Inputs, Layer
from vis.words import IntegrationMethod, Reducer


class LayerPath(FromReferences):
    """Attributes the score to each value of a layer, along the path of the inputs from a baseline.

    Args:
        model, output_layer, operator: see `Explainer`.
        layer: the layer whose output is attributed, named as `output_layer`.
        batch_size: the largest number of points that the model is given at once.
        steps: the number of points; `LayerConductance` has one more, and differences between them.
        baseline: the start of the path, as for `IntegratedGradients`.
        method: the points, see `IntegratedGradients`.

    Returns from `explain`:
        float32, in the shape of the output of the layer, `(N, ...)`.

    Raises:
        LayerError: if there is no such layer.
        GradientError: if the score does not depend on it.
        InputError: if `steps`, `baseline` or `method` is invalid, or no input takes floats.
    """

    has_channels = False
    over_inputs = False

    def __init__(
        self,
        model: keras.Model,
        layer: Layer,
        output_layer: Layer | None = None,
        batch_size: int | None = 16,
        operator: OperatorLike = None,
        steps: int = 50,
        baseline: Inputs = 0.0,
        method: IntegrationMethod = "gauss-legendre",
    ) -> None:
        self._ask(model, output_layer, None, operator, None, None, False)
        self._set_up(batch_size, None)
        self.layer = models.find_layer(model, layer)
        if method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}. Received: {method!r}.")
        self.steps = checks.whole("steps", steps, 2 if method == "trapezoid" else 1)
        self.method = method
        self.baseline = self._take(baseline)
        self._check_known()
        symbols = self.score.source.symbols
        known = [] if symbols is None else keras.tree.flatten(symbols)
        if known and not any(keras.backend.is_float_dtype(symbol.dtype) for symbol in known):
            raise InputError(
                f"{type(self).__name__} moves the inputs along a path, and there is nothing between tokens "
                f"or categories. Received: a model that takes {known[0].dtype}. Pass the part of the model "
                "above its embedding."
            )

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "layer": path_in(self.model, self.layer)}

    def empty(self, arrays: Arrays) -> Arrays:
        # Of one sample of zeros, as the model may not tell the shape.
        one = [np.zeros((1, *array.shape[1:]), array.dtype) for array in arrays[: self.score.inputs]]
        score = replace(self.score, wrt=self.layer)
        return [array[:0] for array in score.explained(score.begin(one))]

    def by_layer(self, arrays: Arrays, targets: npt.NDArray[Any]) -> tuple[Any, Any]:
        """Return the gradient of the score by the output of the layer, and that output, `(batch, ...)`."""
        found = self.score.gradients(arrays, targets, watch=self.layer)
        (gradient,), (value,) = found.gradients, found.values
        return gradient, value


class InternalInfluence(LayerPath):
    """How strongly each value of a layer drives the score: `int_0^1 dS/dA (x0 + a (x - x0)) da`.

    `A` is the output of the layer, and the path is one of the inputs.

    Args: see `LayerPath`.

    Reference:
        Leino et al.: Influence-Directed Explanations for Deep Convolutional Networks, 2018, definition 1.
    """

    adds_up = False

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        (start,), (points, weights) = self._starts(arrays), nodes(self.steps, self.method)

        def gradient(arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
            return Attribution([self.by_layer(arrays, targets)[0]])

        change = on_the_way(start, points)
        return Attribution(
            average(gradient, arrays, targets, change, weights, self.batch_size, self.score.which).sums
        )


class LayerConductance(LayerPath):
    """What of the rise of the score flows through each value of a layer.

    `int_0^1 dS/dA dA/da (x0 + a (x - x0)) da`, with `A` the output of the layer, as the sum over the points
    a_k of `dS/dA(a_k) (A(a_k+1) - A(a_k))`. With many steps, the attributions of a layer that every path
    crosses add up to `S(x) - S(x0)`.

    Args: see `LayerPath`.

    Reference:
        Dhamdhere, Sundararajan, Yan: How Important Is a Neuron?, 2018, equation (3); the sum is Captum's.
    """

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        (start,), (points, _) = self._starts(arrays), nodes(self.steps + 1, self.method)
        change, at = on_the_way(start, points), range(len(arrays))[self.score.which]
        total: Any = 0.0
        before: Any = None
        for number in each(range(len(points)), "inputs", len(arrays[0])):
            there = list(arrays)
            for which, i in enumerate(at):
                if arrays[i].dtype.kind not in "iubO":
                    there[i] = change(arrays[i].astype(np.float64), which, number).astype(arrays[i].dtype)
            gradient, value = self.by_layer(there, targets)
            if before is not None:
                total = total + before[0] * (value.astype(np.float64) - before[1])
            before = gradient.astype(np.float64), value.astype(np.float64)
        return Attribution([total])


class NeuronGradient(GradientExplainer):
    """The gradient of one value inside a model by the inputs, `dA_i / dx`.

    The value is chosen by the targets of `explain`: an index for a layer without positions, `(N, 3)` indices
    `(row, column, channel)` for a convolution, in the order of its axes. An index alone means the mean of
    that channel over its positions, wherever the channels are.

    Args:
        model, batch_size, reducer, backprop_modifier, wrt: see `Explainer`.
        layer: the layer of the value, named as `output_layer`.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3, for a class.
    """

    def __init__(
        self,
        model: keras.Model,
        layer: Layer,
        batch_size: int | None = 64,
        reducer: Reducer | None = "mean",
        *,
        backprop_modifier: BackpropModifierLike = None,
        wrt: Layer | None = None,
    ) -> None:
        self._ask(model, layer, None, None, backprop_modifier, wrt, False)
        self._set_up(batch_size, reducer)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "layer": self.output_layer}
