"""HSIC: how much the score depends on each feature, measured by kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from vis import checks
from vis.attributions.coalitions import Coalitions, is_constant
from vis.attributions.features import FeaturesLike
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike
from vis.typing import Explainable, Layer


class HsicAttribution(Coalitions[npt.NDArray[Any]]):
    """HSIC of mask and score: `tr(K_i H L H) / (n - 1)^2`, zero if the score does not depend on feature i.

    K_i is the Sobolev kernel of the masks m_i of the feature,
    `1 + (m - 1/2)(m' - 1/2) + ((m - m')^2 - |m - m'| + 1/6) / 2`, which for binary masks is half the kernel
    `m = m'` up to what H removes; L the Gaussian kernel of the scores, `exp(-(s - s')^2 / (2 w^2))`, w the
    median of their distances that are not zero; H subtracts the mean. The n masks are a Latin hypercube.

    Args:
        nb_design: n, the number of masks.
        binary: whether features are kept or not, each with probability 1/2, or kept by a share, uniform in
            [0, 1], for which the inputs must be real numbers.
        seed: of the masks, which are the same for each sample.
        model, output_layer, batch_size, operator, features, baseline, output_layer_index, wrt, fold_layers:
            see `Coalitions`.
        progress: see `Perturbed`.

    Returns from `explain`:
        See `Coalitions`; from 0 on, without a sign or a unit. Chance gives a feature without an effect up to
        about `1 / (4 n)`. Zero everywhere if the score is the same for all masks.

    Raises:
        InputError: if an option is out of its range, the features or the baseline do not fit the inputs, or
            these are integers or text and the masks not binary.

    Reference:
        Novello, Fel, Vigouroux: Making Sense of Dependence: Efficient Black-box Explanations Using Dependence
        Measure, 2022, sections 3 and 4.
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
        nb_design: int = 500,
        binary: bool = True,
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
        self.nb_design = checks.whole("nb_design", nb_design, 2)
        self.binary = bool(binary)
        self.seed = checks.whole("seed", seed, 0)

    def table(self, count: int) -> npt.NDArray[Any]:
        shares = qmc.LatinHypercube(count, seed=self.seed).random(self.nb_design)
        return np.asarray(shares >= 0.5 if self.binary else shares)

    def shares(
        self, table: npt.NDArray[Any], scores: npt.NDArray[np.float64], whole: float
    ) -> npt.NDArray[np.float64]:
        if is_constant(scores):
            return np.zeros(table.shape[1])
        distances = np.abs(scores[:, None] - scores)
        # Equal scores may differ by the rounding of a model, as in `is_constant`.
        apart = distances[distances > 1e-6 * np.abs(scores).max()]
        alike = np.exp(-((distances / np.median(apart)) ** 2) / 2)
        alike -= alike.mean(axis=0)
        alike -= alike.mean(axis=1, keepdims=True)
        found = [np.sum(_sobolev(masks.astype(np.float64)) * alike) for masks in table.T]
        return np.asarray(found) / (self.nb_design - 1) ** 2


def _sobolev(masks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Sobolev kernel of each pair of numbers from 0 to 1."""
    away, apart = masks - 0.5, np.abs(masks[:, None] - masks)
    return np.asarray(1 + away[:, None] * away + (apart**2 - apart + 1 / 6) / 2)
