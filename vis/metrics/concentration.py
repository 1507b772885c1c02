"""On how few positions a map lies: complexity and sparseness."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

from vis import checks
from vis.errors import InputError
from vis.metrics.samples import known


def complexity(maps: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the entropy of the shares of a map: `-sum_i p_i ln p_i`, with `p_i = |M_i| / sum_j |M_j|`.

    Args:
        maps: `(N, ...)`; signs do not count.

    Returns:
        `(N,)`, from 0 for a single position to ln(n) for n equal values, in nats; small is easy to read. NaN
        for a map of zeros.

    Raises:
        InputError: if the maps are not finite.

    Warns:
        EmptyMapWarning: if a value is NaN.

    Reference:
        Bhatt et al.: Evaluating and Aggregating Feature-based Model Explanations, 2020, definition 4.
    """
    shares = _shares(maps)
    return known(np.asarray(stats.entropy(shares, axis=1)), "complexity", _EMPTY)


def sparseness(maps: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the Gini index of a map: `sum_i (2 i - n - 1) m_i / (n sum_i m_i)`.

    The m_i are the n absolute values in ascending order, i from 1.

    Args:
        maps: `(N, ...)`; signs do not count.

    Returns:
        `(N,)`, from 0 for equal values to (n - 1) / n for a single position; large is easy to read. NaN for
        a map of zeros.

    Raises:
        InputError: if the maps are not finite.

    Warns:
        EmptyMapWarning: if a value is NaN.

    Reference:
        Chalasani et al.: Concise Explanations of Neural Networks using Adversarial Training, 2020.
    """
    shares = np.sort(_shares(maps), axis=1)
    n = shares.shape[1]
    return known(shares @ (2 * np.arange(1, n + 1) - n - 1) / n, "sparseness", _EMPTY)


_EMPTY = "Their maps are zero everywhere, and have no shares."


def _shares(maps: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the share of each value of a map in the sum of magnitudes, `(N, n)`; NaN for a map of zeros."""
    values = np.abs(checks.real(maps, "A map").astype(np.float64))
    if values.ndim < 2 or 0 in values.shape[1:] or not np.isfinite(values).all():
        raise InputError(
            "Maps must be finite, with the samples as the first axis. Received: shape "
            f"{values.shape}, {np.count_nonzero(~np.isfinite(values))} values NaN or infinite."
        )
    flat = values.reshape(len(values), -1)
    largest = flat.max(axis=1, keepdims=True)  # divided by it first, no sum overflows
    flat = flat / np.where(largest > 0, largest, np.nan)
    return np.asarray(flat / flat.sum(axis=1, keepdims=True))
