"""Whether a map adds up to how the score drops: fidelity by the correlation of both."""

from __future__ import annotations

from typing import Any, get_args

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.features import FeaturesLike
from vis.attributions.operators import OperatorLike
from vis.errors import InputError
from vis.metrics.causal import Baseline
from vis.metrics.features import feature_numbers, sums_by_feature
from vis.metrics.samples import Samples, known, replaced_by, with_maps
from vis.metrics.similarity import pearson, rank_correlation
from vis.typing import Data, Layer, Targets
from vis.words import CorrelationName

CORRELATIONS = dict(zip(get_args(CorrelationName), (pearson, rank_correlation), strict=True))


def mu_fidelity(
    model: keras.Model,
    inputs: Data,
    maps: npt.ArrayLike,
    targets: Targets = None,
    subsets: float | npt.ArrayLike = 0.2,
    nb_samples: int = 200,
    baseline: Baseline = 0.0,
    output_layer: Layer | None = None,
    operator: OperatorLike = None,
    batch_size: int = 64,
    seed: int = 0,
    *,
    features: FeaturesLike = None,
    correlation: CorrelationName = "pearson",
) -> npt.NDArray[np.float64]:
    """Return the correlation, over random subsets, of a map's sum with the drop of the score.

    `corr_k(sum_{i in S_k} M_i, S(x) - S(x with S_k replaced by the baseline))`, with S_k a random subset of
    the features.

    Args:
        model, inputs, targets, output_layer, operator, batch_size: see `deletion`.
        maps: with their signs; as for `deletion`.
        subsets: the share of the features in a subset; or the subsets themselves, booleans
            `(nb_samples, features)`.
        nb_samples: the number of random subsets; samples with as many features get the same.
        baseline: what replaces the values of a subset, see `deletion`.
        seed: the seed of the subsets.
        features: see `deletion`; None for patches of images and volumes, 8 along each axis, as the sums
            of many single positions hardly differ, and for single values of other inputs.
        correlation: `"pearson"`, as in the paper, or `"spearman"`, of the ranks, as in Xplique.

    Returns:
        `(N,)`, -1 to 1, large is good; NaN where the sums or the scores do not differ.

    Raises:
        InputError, FilterError, LayerError, ModelError: see `vis.errors`.

    Warns:
        EmptyMapWarning: if a value is NaN.

    Reference:
        Bhatt et al.: Evaluating and Aggregating Feature-based Model Explanations, 2020, definition 3.
    """
    if correlation not in CORRELATIONS:
        raise InputError(f"correlation must be one of {', '.join(CORRELATIONS)}. Received: {correlation!r}.")
    seed = checks.whole("seed", seed, 0)
    given = checks.real(subsets, "subsets")
    if given.ndim not in (0, 2) or (given.ndim == 0 and not 0 < given < 1) or not given.size:
        raise InputError(
            "subsets must be a share between 0 and 1, or booleans (nb_samples, features). Received: "
            f"{subsets if given.ndim == 0 else f'shape {given.shape}'}."
        )
    count = len(given) if given.ndim else checks.whole("nb_samples", nb_samples, 2)
    found = []
    for some in with_maps(model, inputs, maps, targets, output_layer, operator, batch_size):
        other, ids = replaced_by(baseline, some.array, some.rows), feature_numbers(features, some)
        both = _both(some, ids, other, given, count, batch_size, seed)
        found.append(CORRELATIONS[correlation](*both))
    why = "The map is constant, or the score does not change."
    return known(np.concatenate(found), "mu_fidelity", why)


def _both(
    some: Samples,
    ids: npt.NDArray[Any],
    other: npt.NDArray[Any],
    subsets: npt.NDArray[Any],
    count: int,
    batch_size: int,
    seed: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the sums of the maps over subsets and how the score drops, `(n, count)` each."""
    sums, foretold = sums_by_feature(some.maps, ids), []

    def changed(number: int) -> npt.NDArray[Any]:
        chosen = [_subset(subsets, len(each), seed, number) for each in sums]
        foretold.append([float(each @ part) for each, part in zip(sums, chosen, strict=True)])
        masks = [part[own] for part, own in zip(chosen, ids, strict=True)]
        return np.where(np.stack(masks), other, some.array)

    drops = some.base - some.scores(changed, count, batch_size)
    return np.transpose(foretold), drops.T


def _subset(subsets: npt.NDArray[Any], features: int, seed: int, number: int) -> npt.NDArray[np.bool_]:
    """Return which of the features of a sample are in a subset."""
    if features < 2 or (subsets.ndim and subsets.shape[1] < features):
        raise InputError(
            "Subsets need at least two features, and a column for each. Received: "
            f"{features} features, subsets of shape {subsets.shape}."
        )
    if subsets.ndim:
        return subsets[number, :features].astype(bool)
    size = min(max(1, round(float(subsets) * features)), features - 1)
    return np.random.default_rng([seed, number]).permutation(features) < size
