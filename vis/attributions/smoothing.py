"""Statistics of an explanation over noisy copies of the input."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.attributions.base import Attribution, Explainer, whole
from vis.attributions.batches import Arrays
from vis.attributions.gradient import GradientExplainer
from vis.attributions.sampled import average
from vis.errors import InputError


class Smoothed(Explainer):
    """A statistic of an explanation over copies of the input with normal noise.

    Args:
        model: a Keras model, whose gradient is taken, or any explainer.
        output_layer, operator, reducer, backprop_modifier, options: see `Explainer`; an explainer
            brings its own, so that none but `batch_size` and `reducer` may be given.
        batch_size: the largest number of copies that the model is given at once; on a CPU small batches are
            the faster ones, on a GPU large ones.
        nb_samples: the number of noisy copies.
        noise: the standard deviation of the noise, in the units of the input.
        seed: of the noise, which is the same for each sample of a batch.
    """

    at_least = 1
    squares = True

    def __init__(
        self,
        model: Any,
        output_layer: Any = None,
        batch_size: int | None = 16,
        operator: Any = None,
        reducer: str | None = "mean",
        nb_samples: int = 50,
        noise: float = 0.2,
        seed: int = 0,
        backprop_modifier: Any = None,
        **options: Any,
    ) -> None:
        if isinstance(model, Explainer):
            if options or any(given is not None for given in (output_layer, operator, backprop_modifier)):
                raise InputError(
                    "An explainer that is smoothed brings its output_layer, operator, backprop_modifier and "
                    "other options along. Received: some here. Give them to the explainer."
                )
            self.explainer = model
        else:
            self.explainer = GradientExplainer(
                model, output_layer, batch_size, operator, reducer, backprop_modifier, **options
            )
        self._explain(self.explainer.score, batch_size, reducer)
        self.has_channels = self.explainer.has_channels
        self.nb_samples = whole("nb_samples", nb_samples, self.at_least)
        if not (isinstance(noise, int | float | np.number) and 0 <= noise < math.inf):
            raise InputError(f"noise is a standard deviation of at least 0. Received: {noise!r}.")
        self.noise = float(noise)
        self.seed = whole("seed", seed, 0)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        weights = np.full(self.nb_samples, 1 / self.nb_samples)
        changed = len(self.score.explained(arrays))
        moments = average(
            self.explainer.attribute,
            arrays,
            targets,
            self._noisy,
            weights,
            self.batch_size,
            changed,
            self.squares,
        )
        pairs = zip(moments.sums, moments.squares or moments.sums, strict=True)
        return Attribution([self.made_of(mean, square) for mean, square in pairs])

    def fixed(self) -> Explainer:
        other = copy.copy(self)
        other.explainer = self.explainer.fixed()
        other.score = other.explainer.score
        return other

    def empty(self, arrays: Arrays) -> Arrays:
        return self.explainer.empty(arrays)

    def made_of(self, mean: npt.NDArray[Any], square: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the statistic, given the means of the attributions and of their squares."""
        raise NotImplementedError

    def _noisy(self, array: npt.NDArray[Any], which: int, number: int) -> npt.NDArray[Any]:
        random = np.random.default_rng([self.seed, number, which])
        return np.asarray(array + self.noise * random.standard_normal(array.shape[1:], np.float32))


class SmoothGrad(Smoothed):
    """The mean over noisy copies: `mean_k M(x + e_k)`, `e_k ~ N(0, noise^2)`, which smooths a map.

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
