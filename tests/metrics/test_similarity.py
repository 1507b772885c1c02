"""Rank correlation and structural similarity against SciPy's own and against loops."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from vis.errors import InputError
from vis.metrics import rank_correlation, structural_similarity

NOISE = np.random.default_rng(0)
ONE, OTHER = NOISE.random((4, 9, 11)), NOISE.random((4, 9, 11))


def test_ranks_are_those_of_scipy() -> None:
    with_ties = np.round(ONE * 5)
    for first, second in ((ONE, OTHER), (with_ties, OTHER), (with_ties, np.round(OTHER * 3))):
        wanted = [stats.spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
        np.testing.assert_allclose(rank_correlation(first, second), wanted, rtol=1e-12)


def test_ranks_by_hand() -> None:
    """The ranks 1, 2, 3 and 1, 3, 2: 1 - 6 (0 + 1 + 1) / (3 (9 - 1)) = 1 / 2."""
    assert rank_correlation([[1, 2, 3]], [[10, 1000, 100]]).tolist() == [0.5]
    assert rank_correlation([[1, 2, 3]], [[-1, -2, -3]]).tolist() == [-1]
    assert np.isnan(rank_correlation([[1, 2, 3]], [[7, 7, 7]]))


def test_any_increasing_function_keeps_the_ranks() -> None:
    np.testing.assert_allclose(rank_correlation(ONE, np.exp(20 * ONE)), 1)
    np.testing.assert_allclose(rank_correlation(ONE, 1e-30 * ONE**3), 1)


def scaled(values: Any) -> Any:
    return (values - values.min()) / (values.max() - values.min())


def similarity_by_loops(one: Any, other: Any) -> float:
    """Wang's formula with a window of deviation 1.5, 11 wide, mirrored at the edges."""
    x, y = scaled(one), scaled(other)
    offsets = range(-5, 6)
    window = {(i, j): np.exp(-(i * i + j * j) / (2 * 1.5**2)) for i in offsets for j in offsets}
    total = sum(window.values())

    def mirrored(index: int, size: int) -> int:
        index %= 2 * size
        return index if index < size else 2 * size - 1 - index

    def mean(values: Any, row: int, column: int) -> float:
        height, width = values.shape
        return float(
            sum(
                weight / total * values[mirrored(row + i, height), mirrored(column + j, width)]
                for (i, j), weight in window.items()
            )
        )

    places = []
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            m, n = mean(x, row, column), mean(y, row, column)
            variances = mean(x * x, row, column) - m * m, mean(y * y, row, column) - n * n
            covariance = mean(x * y, row, column) - m * n
            c, d = 0.0001, 0.0009
            places.append(
                (2 * m * n + c) * (2 * covariance + d) / ((m * m + n * n + c) * (sum(variances) + d))
            )
    return float(np.mean(places))


def test_similarity_by_loops() -> None:
    found = structural_similarity(ONE[:2], OTHER[:2])
    wanted = [similarity_by_loops(a, b) for a, b in zip(ONE[:2], OTHER[:2], strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.abs(found).max() < 0.2


def test_what_is_alike() -> None:
    np.testing.assert_allclose(structural_similarity(ONE, 3 * ONE + 7), 1)
    assert (structural_similarity(ONE, -ONE) < 0).all()
    near = ONE + 0.02 * OTHER
    assert (structural_similarity(ONE, near) > 0.95).all()


def test_axes() -> None:
    for function in (rank_correlation, structural_similarity):
        wanted = function(ONE, OTHER)
        np.testing.assert_array_equal(function(ONE[..., None], OTHER[..., None]), wanted)
        assert function(ONE[:0], OTHER[:0]).shape == (0,)
        assert function(ONE[:, 0], OTHER[:, 0]).shape == (4,)
        with pytest.raises(InputError, match=r"Received: \(4, 9, 11\) and \(4, 9\)"):
            function(ONE, OTHER[..., 0])
        with pytest.raises(InputError, match="NaN or infinite"):
            function(ONE, OTHER * np.inf)


def test_several_channels_are_not_blurred_into_each_other() -> None:
    """The mean over the channels of the similarity within each; scikit-image's numbers, edges included."""
    metrics = pytest.importorskip("skimage.metrics")
    rng = np.random.default_rng(2)
    one, other = rng.random((2, 12, 14, 11)), rng.random((2, 12, 14, 11))
    how: Any = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 1, "full": True}
    pairs = [(scaled(a), scaled(b)) for a, b in zip(one, other, strict=True)]
    wanted = [metrics.structural_similarity(*pair, channel_axis=-1, **how)[1].mean() for pair in pairs]
    np.testing.assert_allclose(structural_similarity(one, other), wanted, atol=1e-6)
    first = [np.moveaxis(part, -1, 1) for part in (one, other)]
    np.testing.assert_allclose(structural_similarity(*first, channel_axis=1), wanted, atol=1e-6)
    volumes = [metrics.structural_similarity(*pair, **how)[1].mean() for pair in pairs]
    np.testing.assert_allclose(structural_similarity(one, other, channel_axis=None), volumes, atol=1e-6)
    assert not np.allclose(wanted, volumes, atol=1e-3)
