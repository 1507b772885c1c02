"""DeepLIFT: contributions of the differences from a baseline, or from each of a set of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.gradient import GradientExplainer
from vis.attributions.operators import OperatorLike
from vis.attributions.references import FromReferences, FromSet, ways
from vis.attributions.sampled import average
from vis.backprop_modifiers import BackpropModifier
from vis.relevance.deep_lift import RESCALE
from vis.typing import Inputs, Layer
from vis.words import Reducer

_MODIFIER = BackpropModifier(RESCALE.name, RESCALE)


class DeepLift(FromReferences):
    """How much of the rise of the score from a baseline each value of an input accounts for.

    `m (x - x0)`: the multipliers m flow back from the score as gradients do, but with the slope between the
    baseline and the input, `(y - y0) / (x - x0)`, in place of the derivative of an activation. The rules for
    products, maxima and softmaxes are in `vis.relevance.deep_lift`. The attributions of a sample add up to
    `S(x) - S(x0)`, up to rounding, see `residuals`. Time steps that the model masks in `x` stay as they are.

    Args:
        model, output_layer, batch_size, operator, output_layer_index, wrt: see `Explainer`.
        baseline: `x0`: a number, or one input, in the structure of the model's inputs if it has several.
        reducer: how the channels of an image become one; the sum keeps the total.

    Raises:
        InputError: if `baseline` is invalid.

    Warns:
        PartialOverrideWarning: if the model has operations for which the attributions need not add up.

    Reference:
        Shrikumar, Greenside, Kundaje: Learning Important Features Through Propagating Activation Differences,
        2017, section 3.5.1, the rescale rule.
    """

    def __init__(
        self,
        model: keras.Model,
        baseline: Inputs = 0.0,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "sum",
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, _MODIFIER, wrt, False)
        self._set_up(batch_size, reducer)
        self.baseline = self._take(baseline)
        self._check_known()

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        return _compared(self, arrays, targets, self._starts(arrays)[0])


class DeepLiftShap(FromSet):
    """Approximates Shapley values: the mean over baselines x_k of `m_k (x - x_k)`, as `DeepLift` has them.

    The attributions of a sample add up to `S(x) - mean_k S(x_k)`, up to rounding, see `residuals`.

    Args:
        model, output_layer, operator, output_layer_index, wrt: see `Explainer`.
        baselines: the references x_k, such as some samples of the training data, `(n, ...)`; in the structure
            of the model's inputs if it has several. The time for a sample grows with their number.
        batch_size: the largest number of pairs of a sample and a baseline that the model is given at once.
        reducer: how the channels of an image become one; the sum keeps the total.

    Raises:
        InputError: if `baselines` is invalid.

    Warns:
        PartialOverrideWarning: as `DeepLift`.

    Reference:
        Lundberg, Lee: A Unified Approach to Interpreting Model Predictions, 2017, section 4.2.
    """

    def __init__(
        self,
        model: keras.Model,
        baselines: Inputs,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "sum",
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, _MODIFIER, wrt, False)
        self._set_up(batch_size, reducer)
        self._set(baselines)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        count, starts = len(arrays), self._starts(arrays)

        def reference(array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
            return starts[number][which]

        def compared(both: Arrays, targets: npt.NDArray[Any]) -> Attribution:
            return _compared(self, both[:count], targets, both[count:])

        both = [*arrays, *self.score.explained(arrays)]
        weights = np.full(self.count, 1 / self.count)
        changed = slice(count, len(both))
        return Attribution(
            average(compared, both, targets, reference, weights, self.batch_size, changed).sums
        )


def _compared(
    explainer: GradientExplainer, arrays: Arrays, targets: npt.NDArray[Any], references: Arrays
) -> Attribution:
    """Return the multipliers of a batch times its differences from references, each `(batch, ...)`."""
    explained = explainer.score.explained(arrays)
    references = [
        array if array.dtype.kind in "iubO" else reference.astype(array.dtype)
        for array, reference in zip(explained, references, strict=True)
    ]
    found = explainer.score.gradients(arrays, targets, references=references)
    parts = [
        np.zeros(way.shape, np.float32) if multiplier is None else multiplier * way
        for multiplier, way in zip(found.gradients, ways(explained, references), strict=True)
    ]
    return Attribution(parts, found.scores, *found.outputs)
