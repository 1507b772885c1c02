"""Explanations by the scores of coalitions of features: some are kept, the others replaced by a baseline."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.features import FeaturesLike, features_of
from vis.attributions.operators import OperatorLike
from vis.attributions.perturbed import BaselineLike, Perturbed
from vis.typing import Explainable, Layer


class Table(Protocol):
    """The coalitions of a game: the share of each feature that is kept, `(coalitions, features)`."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> npt.NDArray[Any]: ...


T = TypeVar("T", bound=Table)


@dataclass(frozen=True, eq=False)
class Regression:
    """Coalitions that are held in memory, with what a linear regression makes of their scores.

    Args:
        kept: `(coalitions, features)`.
        weights: of each in the regression, `(coalitions,)`.
        solution: `(features, coalitions)`; times scores, it is the coefficients.
    """

    kept: npt.NDArray[np.bool_]
    weights: npt.NDArray[np.float64]
    solution: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, part: slice) -> npt.NDArray[np.bool_]:
        return self.kept[part]


def is_constant(scores: npt.NDArray[np.float64]) -> bool:
    """Tell whether scores are all the same, up to the rounding of a model."""
    return bool(np.ptp(scores) <= 1e-6 * np.abs(scores).max())


class Coalitions(Perturbed, Generic[T]):
    """What each feature contributes to the score, from the scores of coalitions of features.

    Subclass it and implement `table` and `shares`.

    Args:
        features: what is taken out together. None for patches of images and volumes, 8 along each axis, for
            the positions of a layer, and for the single values of other inputs; an int, or one for each axis,
            for patches of these sides; `"superpixels"`, by SLIC, of images and volumes; an array of integers
            of the shape of an input, with or without its channels, whose equal numbers are one feature; or a
            function of one input, without its batch axis, that returns one of these. For several inputs a
            list or a dict of these.
        model, output_layer, batch_size, operator, baseline, output_layer_index, wrt, fold_layers: see
            `Perturbed`.
        progress: see `Perturbed`.

    Returns from `explain`:
        The contribution of the feature of each position: `(N, H, W, 1)`, `(N, T, W)`, `(N, W)`; with channels
        if `features` has them; a map for each of several inputs.
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
            baseline,
            output_layer_index=output_layer_index,
            wrt=wrt,
            fold_layers=fold_layers,
            progress=progress,
        )
        self.features = features

    @abstractmethod
    def table(self, count: int) -> T:
        """Return the coalitions of some features whose scores are asked for, the same for each sample."""

    @abstractmethod
    def shares(self, table: T, scores: npt.NDArray[np.float64], whole: float) -> npt.NDArray[np.float64]:
        """Return the contribution of each feature, `(features,)`.

        Args:
            table: the coalitions, as `table` returned them.
            scores: of each, `(coalitions,)`.
            whole: the score of the sample itself.
        """

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        explained = self.score.explained(arrays)
        channels = self.channels(explained)
        given = self.per_input(self.features, len(explained))
        whole = self.score.values(arrays, targets)
        found = [features_of(given, [each[i] for each in explained], channels) for i in range(len(whole))]
        tables = {count: self.table(count) for count in {count for _, count in found}}
        of_sample = [tables[count] for _, count in found]
        scores = [np.zeros(len(table)) for table in of_sample]

        def masks(sample: int, part: slice) -> Arrays:
            kept = of_sample[sample][part]
            return [kept[:, numbers] for numbers in found[sample][0]]

        for sample, part, _, values in self.perturbed(arrays, targets, [*map(len, of_sample)], masks):
            scores[sample][part] = values
        shares = [
            self.shares(table, values, float(score))
            for table, values, score in zip(of_sample, scores, whole, strict=True)
        ]
        maps = [
            np.stack([share[numbers[index]] for share, (numbers, _) in zip(shares, found, strict=True)])
            for index in range(len(explained))
        ]
        return Attribution(maps, whole)


class _AllButOne:
    """The coalitions that lack one feature each."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> npt.NDArray[np.bool_]:
        return np.asarray(np.arange(self.count)[part, None] != np.arange(self.count))


class FeatureAblation(Coalitions[Table]):
    """How much the score falls when a feature is taken out: `S(x) - S(x without the feature)`.

    Each value of the feature gets the whole fall. One score is needed for each feature.

    Args: see `Coalitions`.

    Returns from `explain`:
        See `Coalitions`, in units of the score.

    Raises:
        InputError: if the features or the baseline do not fit the inputs.
    """

    def table(self, count: int) -> Table:
        return _AllButOne(count)

    def shares(self, table: Table, scores: npt.NDArray[np.float64], whole: float) -> npt.NDArray[np.float64]:
        return whole - scores
