"""How similar two maps of a sample are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from vis import checks
from vis.errors import InputError
from vis.maps import normalize

_SIGMA, _K1, _K2 = 1.5, 0.01, 0.03


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return Spearman's rank correlation of the maps of each sample: Pearson's of the ranks of their values.

    Args:
        first, second: `(N, ...)` each.

    Returns:
        `(N,)`, -1 to 1; NaN where a map is constant.

    Raises:
        InputError: if the shapes differ, or a map is not finite.
    """
    ranks = [
        stats.rankdata(array.reshape(len(array), -1), axis=1) if len(array) else array.reshape(0, 1)
        for array in _pair(first, second)
    ]
    return pearson(*ranks)


def pearson(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the correlation of the rows of two arrays `(N, values)`, `(N,)`; NaN where one is constant."""
    centered = [rank - rank.mean(axis=1, keepdims=True) for rank in (first, second)]
    product, *squares = ((a * b).sum(axis=1) for a, b in _products(*centered))
    scale = np.sqrt(squares[0] * squares[1])
    return np.asarray(np.where(scale > 0, product / np.where(scale > 0, scale, 1), np.nan))


def structural_similarity(
    first: npt.ArrayLike, second: npt.ArrayLike, channel_axis: int | None = -1
) -> npt.NDArray[np.float64]:
    """Return the structural similarity (SSIM) of the two maps of each sample, each scaled to [0, 1].

    The mean over the positions of `(2 m n + c) (2 s_mn + d) / ((m^2 + n^2 + c) (s_m^2 + s_n^2 + d))`, with
    the means m and n, variances and covariance in a Gaussian window of standard deviation 1.5, `c = 0.01^2`
    and `d = 0.03^2`. The window lies within a channel; of several channels, the mean counts.

    Args:
        first, second: `(N, H, W)` or `(N, H, W, C)`; also with other spatial axes, `(N, T)`,
            `(N, D, H, W, C)`.
        channel_axis: the axis of the channels of maps of four axes and more; None if they have no channels,
            as `(N, D, H, W)`.

    Returns:
        `(N,)`, at most 1.

    Raises:
        InputError: if the shapes differ, or a map is not finite.

    Reference:
        Wang et al.: Image Quality Assessment: From Error Visibility to Structural Similarity, 2004,
        equation (13).
    """
    pair = _pair(first, second)
    channels = None if channel_axis is None or pair[0].ndim < 4 else channel_axis % pair[0].ndim - 1
    sigmas = [0 if axis == channels else _SIGMA for axis in range(pair[0].ndim - 1)]
    pairs = zip(*pair, strict=True)
    return np.array(
        [_similarity(normalize(one), normalize(other), sigmas) for one, other in pairs], np.float64
    )


def _similarity(one: Any, other: Any, sigmas: list[float]) -> float:
    def mean(values: Any) -> Any:
        return ndimage.gaussian_filter(values.astype(np.float64), sigmas, truncate=3.5)

    m, n = mean(one), mean(other)
    covariance, first, second = (mean(a * b) - mean(a) * mean(b) for a, b in _products(one, other))
    c, d = _K1**2, _K2**2
    local = (2 * m * n + c) * (2 * covariance + d) / ((m**2 + n**2 + c) * (first + second + d))
    return float(local.mean())


def _products(one: Any, other: Any) -> tuple[tuple[Any, Any], ...]:
    return (one, other), (one, one), (other, other)


def _pair(first: Any, second: Any) -> list[npt.NDArray[np.float64]]:
    pair = [checks.real(array, "A map").astype(np.float64) for array in (first, second)]
    if pair[0].shape != pair[1].shape or pair[0].ndim < 2:
        raise InputError(
            "The two maps of a sample must have the same shape, with the samples as the first axis. "
            f"Received: {pair[0].shape} and {pair[1].shape}."
        )
    if not all(np.isfinite(array).all() for array in pair):
        raise InputError("Maps must be finite. Received: NaN or infinite values.")
    return pair
