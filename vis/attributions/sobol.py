"""Sobol indices: the part of the variance of the score that each feature has a share in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from vis import checks
from vis.attributions.coalitions import Coalitions, is_constant
from vis.attributions.features import FeaturesLike
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike
from vis.errors import InputError
from vis.typing import Explainable, Layer


class _Design:
    """The masks A, followed by A with those of each feature in turn from B, made part by part."""

    def __init__(self, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> None:
        self.a, self.b = a, b

    def __len__(self) -> int:
        return self.a.size + len(self.a)

    def __getitem__(self, part: slice) -> npt.NDArray[np.float64]:
        turns, points = np.divmod(np.arange(len(self))[part], len(self.a))
        masks = self.a[points]
        rows = np.flatnonzero(turns)
        masks[rows, turns[rows] - 1] = self.b[points[rows], turns[rows] - 1]
        return masks


class SobolAttribution(Coalitions[_Design]):
    """Total-order Sobol indices: `E[Var(S | all masks but m_i)] / Var(S)`, alone or with others.

    Each of the F features is kept by a share m_i, uniform in [0, 1]. With A and B two samples of n masks from
    a Sobol sequence, and A_i the masks A with those of feature i from B, the estimate of Jansen is
    `mean((S(A) - S(A_i))^2) / (2 Var(S(A)))`. It needs `n (F + 1)` scores.

    Args:
        nb_design: n, a power of two.
        seed: of the scrambling of the sequence; the masks are the same for each sample.
        model, output_layer, batch_size, operator, features, baseline, output_layer_index, wrt, fold_layers:
            see `Coalitions`.
        progress: see `Perturbed`.

    Returns from `explain`:
        See `Coalitions`; an index, from 0 to about 1, without a sign; their sum is 1 if no features interact,
        and larger otherwise. Zero everywhere if the score is the same for all masks A.

    Raises:
        InputError: if an option is out of its range, there are too many features for the sequence, the
            features or the baseline do not fit the inputs, or these are integers or text.

    References:
        Fel, Cadene, Chalvidal, Cord, Vigouroux, Serre: Look at the Variance! Efficient Black-box Explanations
        with Sobol-based Sensitivity Analysis, 2021, section 3.
        Jansen: Analysis of Variance Designs for Model Output, 1999.
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
        nb_design: int = 32,
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
        if self.nb_design.bit_count() != 1:
            raise InputError(f"nb_design must be a power of two. Received: {nb_design!r}.")
        self.seed = checks.whole("seed", seed, 0)

    def table(self, count: int) -> _Design:
        if 2 * count > qmc.Sobol.MAXDIM:
            raise InputError(
                f"A Sobol sequence has masks for at most {qmc.Sobol.MAXDIM // 2} features. Received: "
                f"{count}. Pass larger ones by features=."
            )
        sequence = qmc.Sobol(2 * count, scramble=True, seed=self.seed)
        return _Design(*np.hsplit(sequence.random_base2(self.nb_design.bit_length() - 1), 2))

    def shares(
        self, table: _Design, scores: npt.NDArray[np.float64], whole: float
    ) -> npt.NDArray[np.float64]:
        first, *others = scores.reshape(-1, self.nb_design)
        if is_constant(first):
            return np.zeros(len(others))
        return np.asarray(((first - np.array(others)) ** 2).mean(axis=1) / (2 * first.var(ddof=1)))
