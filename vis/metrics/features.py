"""The features of an input that change together in a measure: positions, patches, superpixels, segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions.features import FeaturesLike, features_of
from vis.metrics.samples import Samples, laid


def feature_numbers(features: FeaturesLike, samples: Samples) -> npt.NDArray[Any]:
    """Return the number of the feature of each position, from 0 for each sample; it broadcasts to the inputs.

    Args:
        features: see `vis.attributions.Coalitions`, or numbers for each sample, `(N, ...)`.
        samples: a batch.

    Raises:
        InputError: if they do not fit the inputs.
    """
    array = samples.array
    axis = samples.channels if array.ndim > 3 else None
    each: list[FeaturesLike] = [features] * len(array)
    if not (features is None or callable(features) or isinstance(features, str)):
        given = checks.real(features, "features")
        if given.shape[:1] == (samples.total,):
            own = given[samples.rows]
            each = [*own] if laid(own, array, samples.channels) is not None else each
    found = [features_of([given], [one], [axis])[0][0] for given, one in zip(each, array, strict=True)]
    return np.stack(found)


def value_numbers(samples: Samples) -> npt.NDArray[Any]:
    """Return a feature for each value of a map, see `feature_numbers`."""
    each = np.arange(samples.maps[0].size).reshape(samples.maps.shape[1:])
    return np.broadcast_to(each, samples.maps.shape)


def sums_by_feature(values: npt.NDArray[Any], numbers: npt.NDArray[Any]) -> list[npt.NDArray[np.float64]]:
    """Return the sum of the values of each feature, `(features,)`, for each sample."""
    pairs = zip(*np.broadcast_arrays(values, numbers), strict=True)
    found = (np.bincount(each.ravel(), weights=part.ravel()) for part, each in pairs)
    return [each.astype(np.float64) for each in found]
