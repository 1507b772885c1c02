"""Statistics of an explanation over noisy copies of the input."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from types import EllipsisType
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.base import Attribution, Explainer
from vis.attributions.batches import Arrays
from vis.attributions.gradient import GradientExplainer
from vis.attributions.operators import OperatorLike
from vis.attributions.sampled import average, checked_scale, units
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.engine import Differentiation, Score
from vis.errors import InputError
from vis.typing import Layer
from vis.words import NoiseScale, Reducer


class Smoothed(Explainer):
    """A statistic of an explanation over copies of the input with normal noise.

    Args:
        model: a Keras model, whose gradient is taken, or any explainer.
        output_layer, operator, backprop_modifier, output_layer_index, wrt, fold_layers: see `Explainer`; if
            `model` is an explainer, pass them to it instead.
        batch_size: the largest number of copies that the model is given at once; small batches are faster on
            a CPU, large ones on a GPU.
        reducer: see `Explainer`; `...` for the reducer of the explainer, or the mean for a model.
        nb_samples: the number of noisy copies.
        noise: the standard deviation of the noise, in the unit of `noise_scale`.
        seed: the seed of the noise; all samples of a batch get the same noise, each at its own scale.
        noise_scale: `"range"`: `noise` is a fraction of the maximum minus the minimum of each sample,
            separately for each input, or for the output of the layer `wrt`; `"absolute"`: `noise` is in the
            units of the input.

    Raises:
        InputError: if `nb_samples`, `noise`, `seed` or `noise_scale` is invalid, or options that belong to
            the explainer are given together with one.
    """

    at_least = 1
    squares = True

    def __init__(
        self,
        model: keras.Model | Explainer,
        output_layer: Layer | None = None,
        batch_size: int | None = 16,
        operator: OperatorLike = None,
        reducer: Reducer | EllipsisType | None = ...,
        nb_samples: int = 50,
        noise: float = 0.2,
        seed: int = 0,
        backprop_modifier: BackpropModifierLike = None,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
        noise_scale: NoiseScale = "range",
    ) -> None:
        options: dict[str, Any] = {
            "output_layer": output_layer,
            "operator": operator,
            "backprop_modifier": backprop_modifier,
            "output_layer_index": output_layer_index,
            "wrt": wrt,
            "fold_layers": fold_layers or None,
        }
        given = [name for name, value in options.items() if value is not None]
        if not isinstance(model, Explainer):
            self.explainer: Explainer = GradientExplainer(model, batch_size=batch_size, **options)
        elif given:
            kind = type(model).__name__
            raise InputError(
                f"{type(self).__name__} of an explainer uses the settings of that explainer. Received: "
                f"{given[0]}={options[given[0]]!r} beside {kind}(...). Pass {given[0]} to {kind}."
            )
        else:
            self.explainer = model
        self.score, self.model = self.explainer.score, self.explainer.model
        self._set_up(batch_size, self.explainer.reducer if isinstance(reducer, EllipsisType) else reducer)
        self.has_channels = self.explainer.has_channels
        self.nb_samples = checks.whole("nb_samples", nb_samples, self.at_least)
        if not checks.is_number(noise) or not 0 <= noise < math.inf:
            raise InputError(f"noise must be a standard deviation >= 0. Received: {noise!r}.")
        self.noise = float(noise)
        self.noise_scale = checked_scale(noise_scale)
        self.seed = checks.whole("seed", seed, 0)

    def _arguments(self) -> dict[str, Any]:
        own = type(self.explainer) is GradientExplainer
        given = {**super()._arguments(), "model": self.model if own else self.explainer}
        if not own:
            given |= dict.fromkeys(("output_layer", "operator", "backprop_modifier", "wrt"))
            given["fold_layers"] = False
        return {**given, "reducer": ... if self.reducer == self.explainer.reducer else self.reducer}

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        weights = np.full(self.nb_samples, 1 / self.nb_samples)
        explained = zip(self.score.explained(arrays), self.score.steps(arrays), strict=True)
        deviations = [self.noise * units(array, self.noise_scale, steps) for array, steps in explained]

        def noisy(array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
            random = np.random.default_rng([self.seed, number, which])
            return np.asarray(array + deviations[which] * random.standard_normal(array.shape[1:], np.float32))

        moments = average(
            self.explainer.attribute,
            arrays,
            targets,
            noisy,
            weights,
            self.batch_size,
            self.score.which,
            self.squares,
        )
        pairs = zip(moments.sums, moments.squares or moments.sums, strict=True)
        return Attribution([self.made_of(mean, square) for mean, square in pairs])

    def _with(self, score: Differentiation[Score]) -> Smoothed:
        other = copy.copy(self)
        other.explainer, other.score = self.explainer._with(replace(score, tells=False)), score
        return other

    def empty(self, arrays: Arrays) -> Arrays:
        return self.explainer.empty(arrays)

    def made_of(self, mean: npt.NDArray[Any], square: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the statistic.

        Args:
            mean: the mean of the attributions over the copies, `(batch, ...)`.
            square: the mean of their squares, of the same shape.
        """
        raise NotImplementedError


class SmoothGrad(Smoothed):
    """The mean over noisy copies: `mean_k M(x + e_k)`, `e_k ~ N(0, s^2)`, which smooths a map.

    Args: see `Smoothed`.

    Reference:
        Smilkov et al.: SmoothGrad: removing noise by adding noise, 2017.
    """

    squares = False

    def made_of(self, mean: npt.NDArray[Any], square: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return mean


class SquareGrad(Smoothed):
    """The mean of the squares over noisy copies: `mean_k M(x + e_k)^2`.

    Args: see `Smoothed`.

    Reference:
        Hooker et al.: A Benchmark for Interpretability Methods in Deep Neural Networks, 2019.
    """

    def made_of(self, mean: npt.NDArray[Any], square: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return square


class VarGrad(Smoothed):
    """The unbiased variance over noisy copies: `n / (n - 1) (mean_k M(x + e_k)^2 - (mean_k M(x + e_k))^2)`.

    Args: see `Smoothed`; `nb_samples` is at least 2.

    Reference:
        Adebayo et al.: Local Explanation Methods for Deep Neural Networks Lack Sensitivity, 2018.
    """

    at_least = 2

    def made_of(self, mean: npt.NDArray[Any], square: npt.NDArray[Any]) -> npt.NDArray[Any]:
        variance = np.maximum(square - mean**2, 0)
        return np.asarray(variance * (self.nb_samples / (self.nb_samples - 1)))
