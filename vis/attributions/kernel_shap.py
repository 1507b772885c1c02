"""Kernel SHAP: Shapley values by a weighted regression on the scores of coalitions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import linalg, special

from vis import checks
from vis.attributions.coalitions import Coalitions, Regression
from vis.attributions.features import FeaturesLike
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike
from vis.errors import InputError
from vis.typing import Explainable, Layer


class KernelShap(Coalitions[Regression]):
    """Kernel SHAP: the Shapley values phi of the features, whose sum is `S(x) - S(baseline)`.

    With v(z) the score where coalition z of the F features is kept, they minimize
    `sum_z w(z) (v(z) - v(0) - sum_{i in z} phi_i)^2` under `sum_i phi_i = S(x) - v(0)`, with the Shapley
    kernel `w(z) = (F - 1) / (binom(F, |z|) |z| (F - |z|))`. All coalitions are scored if there are at most
    `nb_samples`; the values are then exact. Otherwise coalitions are drawn by the kernel, each with its
    complement; contributions of features that do not interact are exact then, too.

    Args:
        nb_samples: the largest number of coalitions; None for 2 F + 2048, as in the package `shap`.
        seed: of the coalitions, which are the same for each sample.
        model, output_layer, batch_size, operator, features, baseline, output_layer_index, wrt, fold_layers:
            see `Coalitions`.
        progress: see `Perturbed`.

    Returns from `explain`:
        See `Coalitions`, in units of the score.

    Raises:
        InputError: if an option is out of its range, the features or the baseline do not fit the inputs, or
            the coalitions are too few for the features.

    References:
        Lundberg, Lee: A Unified Approach to Interpreting Model Predictions, 2017, theorem 2.
        Covert, Lee: Improving KernelSHAP: Practical Shapley Value Estimation via Linear Regression, 2021,
        section 4.2 (pairs).
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
        nb_samples: int | None = None,
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
        self.nb_samples = None if nb_samples is None else checks.whole("nb_samples", nb_samples, 2)
        self.seed = checks.whole("seed", seed, 0)

    def table(self, count: int) -> Regression:
        most = 2 * count + 2048 if self.nb_samples is None else self.nb_samples
        if 2**count <= most:
            kept = (np.arange(1, max(2**count - 1, 2))[:, None] >> np.arange(count) & 1).astype(bool)
            sizes = kept.sum(axis=1)
            weights = 1 / (special.comb(count, sizes) * sizes * np.maximum(count - sizes, 1))
        else:
            sizes = np.arange(1, count)
            share = 1 / (sizes * (count - sizes))
            random = np.random.default_rng(self.seed)
            drawn = random.choice(sizes, most // 2, p=share / share.sum())
            ranks = random.random((most // 2, count)).argsort(axis=1).argsort(axis=1)
            half = ranks < drawn[:, None]
            kept = np.concatenate([half, ~half])
            weights = np.ones(len(kept))
        # What is orthogonal to equal contributions, which their sum fixes.
        rows = kept - kept.mean(axis=1, keepdims=True)
        weighted, rank = rows.T * weights, 0
        if len(kept) >= count - 1:
            inverse, rank = linalg.pinvh(weighted @ rows, rtol=1e-9, return_rank=True)
        if rank < count - 1:
            raise InputError(
                f"The contributions of {count} features do not follow from so few coalitions. Received: "
                f"{most}. Pass at least {4 * count} as nb_samples, or larger features."
            )
        return Regression(np.concatenate([np.zeros_like(kept[:1]), kept]), weights, inverse @ weighted)

    def shares(
        self, table: Regression, scores: npt.NDArray[np.float64], whole: float
    ) -> npt.NDArray[np.float64]:
        total = whole - scores[0]
        equal = table.kept[1:].mean(axis=1) * total
        found = total / table.kept.shape[1] + table.solution @ (scores[1:] - scores[0] - equal)
        return np.asarray(found, np.float64)
