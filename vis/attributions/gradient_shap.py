"""Expected gradients: points between noisy inputs and references, all drawn at random."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.attributions.references import FromSet
from vis.attributions.sampled import average
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.errors import InputError
from vis.typing import Inputs, Layer
from vis.words import Reducer


class GradientShap(FromSet):
    """Approximates Shapley values: the mean over draws k of `(x_k - r_k) dS/dx (r_k + a_k (x_k - r_k))`.

    Each r_k is one of the baselines, a_k a number between 0 and 1, and `x_k = x + e_k` with
    `e_k ~ N(0, noise^2)`. All samples of a batch get the same draws. The more there are, the closer the
    attributions of a sample add up to its score less the mean score of the baselines, see `residuals`. Time
    steps that the model masks stay as they are.

    Args:
        model, output_layer, operator, reducer, backprop_modifier, output_layer_index, wrt, fold_layers: see
            `Explainer`.
        baselines: the references, such as some samples of the training data, `(n, ...)`; in the structure of
            the model's inputs if it has several.
        batch_size: the largest number of points that the model is given at once.
        nb_samples: the number of draws.
        noise: the standard deviation of the noise, in the units of the input.
        seed: the seed of the draws.

    Raises:
        InputError: if `baselines`, `nb_samples`, `noise` or `seed` is invalid.

    Reference:
        Erion et al.: Improving Performance of Deep Learning Models with Axiomatic Attribution Priors and
        Expected Gradients, 2021, equation (4); Lundberg, Lee: A Unified Approach to Interpreting Model
        Predictions, 2017.
    """

    def __init__(
        self,
        model: keras.Model,
        baselines: Inputs,
        output_layer: Layer | None = None,
        batch_size: int | None = 16,
        operator: OperatorLike = None,
        reducer: Reducer | None = "mean",
        nb_samples: int = 50,
        noise: float = 0.0,
        seed: int = 0,
        backprop_modifier: BackpropModifierLike = None,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, backprop_modifier, wrt, fold_layers)
        self._set_up(batch_size, reducer)
        self._set(baselines)
        self.nb_samples = checks.whole("nb_samples", nb_samples)
        if not checks.is_number(noise) or not 0 <= noise < math.inf:
            raise InputError(f"noise must be a standard deviation >= 0. Received: {noise!r}.")
        self.noise = float(noise)
        self.seed = checks.whole("seed", seed, 0)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        explained, steps, starts = (
            self.score.explained(arrays),
            self.score.steps(arrays),
            self._starts(arrays),
        )
        count, parts = len(arrays), len(explained)

        def drawn(array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
            """Return a point on the way from a reference, and then the way, which follows it in the list."""
            random = np.random.default_rng([self.seed, number])
            start = starts[random.integers(self.count)][which % parts]
            share = random.random()
            noise = np.random.default_rng([self.seed, number, which % parts]).standard_normal(array.shape[1:])
            way = array + self.noise * steps[which % parts] * noise - start
            return np.asarray(start + share * way if which < parts else way)

        def at_points(both: Arrays, targets: npt.NDArray[Any]) -> Attribution:
            points = list(both[:count])
            points[self.score.which] = both[count : count + parts]
            found = super(GradientShap, self).attribute(points, targets).maps
            return Attribution(
                [
                    gradient * (0 if way.dtype.kind == "O" else way)
                    for gradient, way in zip(found, both[count + parts :], strict=True)
                ]
            )

        both = [*arrays, *explained, *explained]
        weights = np.full(self.nb_samples, 1 / self.nb_samples)
        changed = slice(count, len(both))
        return Attribution(average(at_points, both, targets, drawn, weights, self.batch_size, changed).sums)
