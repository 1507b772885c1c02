"""LIME: the coefficients of a linear regression on the scores of random coalitions."""

from __future__ import annotations

import copy
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt
from scipy import linalg

from vis import checks
from vis.attributions.coalitions import Coalitions, Regression
from vis.attributions.features import FeaturesLike
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike
from vis.errors import InputError
from vis.typing import Explainable, Layer

Distance = Literal["cosine", "euclidean"]


class Regressor(Protocol):
    """A regression like those of scikit-learn; when it is fitted, it has `coef_`."""

    def fit(self, X: npt.NDArray[Any], y: npt.NDArray[Any], sample_weight: npt.NDArray[Any]) -> object: ...


class Lime(Coalitions[Regression]):
    """LIME: the coefficients c of `S ~ c_0 + c z` over random coalitions z, near ones weighted most.

    Each of the F features is kept with probability 1/2. With v(z) the score of coalition z, c minimizes
    `sum_z w(z) (v(z) - c_0 - c z)^2 + alpha |c|^2`, where `w(z) = exp(-d(z)^2 / kernel_width^2)` and d is the
    distance of z from all features: `1 - sqrt(|z| / F)` (cosine) or `sqrt(F - |z|)` (euclidean).

    Args:
        nb_samples: the number of coalitions.
        distance: `"cosine"` or `"euclidean"`.
        kernel_width: in units of the distance; None for 0.25 (cosine) or `0.75 sqrt(F)` (euclidean).
        alpha: the penalty of the ridge regression; another regressor does not use it.
        regressor: what is fitted instead of the ridge regression: an object like those of scikit-learn, with
            `fit(X, y, sample_weight=)` and, after it, `coef_`. A copy is fitted for each sample.
        seed: of the coalitions, which are the same for each sample.
        model, output_layer, batch_size, operator, features, baseline, output_layer_index, wrt, fold_layers:
            see `Coalitions`.
        progress: see `Perturbed`.

    Returns from `explain`:
        See `Coalitions`, in units of the score.

    Raises:
        InputError: if an option is out of its range, all weights are zero, or the features or the baseline do
            not fit the inputs.

    Reference:
        Ribeiro, Singh, Guestrin: "Why Should I Trust You?": Explaining the Predictions of Any Classifier,
        2016, section 3.4, algorithm 1; the widths are those of the authors' package.
    """

    def __init__(
        self,
        model: Explainable,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        features: FeaturesLike = None,
        baseline: BaselineLike = 0.0,
        *,
        nb_samples: int = 1000,
        distance: Distance = "cosine",
        kernel_width: float | None = None,
        alpha: float = 1.0,
        regressor: Regressor | None = None,
        seed: int = 0,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
        progress: bool = False,
    ) -> None:
        super().__init__(
            model,
            output_layer,
            batch_size,
            operator,
            features,
            baseline,
            output_layer_index=output_layer_index,
            wrt=wrt,
            fold_layers=fold_layers,
            progress=progress,
        )
        self.nb_samples = checks.whole("nb_samples", nb_samples, 2)
        if distance not in get_args(Distance):
            raise InputError(f'distance must be "cosine" or "euclidean". Received: {distance!r}.')
        self.distance = distance
        self.kernel_width = None if kernel_width is None else _positive("kernel_width", kernel_width)
        self.alpha = _positive("alpha", alpha)
        if regressor is not None and not callable(getattr(regressor, "fit", None)):
            raise InputError(
                "regressor must have fit(X, y, sample_weight=) and coef_, like those of scikit-learn. "
                f"Received: {regressor!r}."
            )
        self.regressor = regressor
        self.seed = checks.whole("seed", seed, 0)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "regressor": None if self.regressor is None else repr(self.regressor)}

    def table(self, count: int) -> Regression:
        kept = np.random.default_rng(self.seed).random((self.nb_samples, count)) < 0.5
        missing = 1 - kept.mean(axis=1)
        if self.distance == "cosine":
            distances, width = 1 - np.sqrt(1 - missing), 0.25
        else:
            distances, width = np.sqrt(count * missing), 0.75 * np.sqrt(count)
        width = width if self.kernel_width is None else self.kernel_width
        weights = np.exp(-((distances / width) ** 2))
        if not weights.any():
            raise InputError(
                f"kernel_width must be large enough for coalitions whose distance is {distances.min():.3g} "
                f"or more: all weights are zero. Received: {width!r}."
            )
        rows: npt.NDArray[np.float64] = kept - np.average(kept, axis=0, weights=weights)
        weighted = rows.T * weights
        penalty = self.alpha * np.eye(count)
        return Regression(kept, weights, linalg.solve(weighted @ rows + penalty, weighted, assume_a="pos"))

    def shares(
        self, table: Regression, scores: npt.NDArray[np.float64], whole: float
    ) -> npt.NDArray[np.float64]:
        if self.regressor is None:
            return np.asarray(table.solution @ (scores - scores[0]), np.float64)
        fitted = copy.deepcopy(self.regressor)
        fitted.fit(table.kept.astype(np.float64), scores, sample_weight=table.weights)
        found = checks.real(getattr(fitted, "coef_", None), "The coefficients coef_ of regressor").ravel()
        if len(found) != table.kept.shape[1]:
            raise InputError(
                f"The coefficients coef_ of regressor must be one for each of {table.kept.shape[1]} "
                f"features. Received: {len(found)}."
            )
        return np.asarray(found, np.float64)


def _positive(name: str, value: Any) -> float:
    if not checks.is_number(value) or not 0 < value < np.inf:
        raise InputError(f"{name} must be a number > 0. Received: {value!r}.")
    return float(value)
