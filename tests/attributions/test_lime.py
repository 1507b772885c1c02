"""LIME against scikit-learn's regressions on the coalitions that it draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LinearRegression, Ridge

from vis.attributions import Lime
from vis.errors import EmptyMapWarning


def game(x: np.ndarray) -> np.ndarray:
    return np.sin(x @ np.linspace(-1, 2, x.shape[1]))[:, None] + x[:, :1]


def slow(sample: np.ndarray, kept: np.ndarray, distance: str, width: float, regressor: Any) -> np.ndarray:
    """One coalition at a time."""
    scores, weights = [], []
    for coalition in kept:
        scores.append(game((coalition * sample)[None])[0, 0])
        ones = np.ones(len(coalition))
        length = np.linalg.norm(coalition) * np.linalg.norm(ones)
        cosine = 1 - (coalition @ ones / length if length else 0)
        away = cosine if distance == "cosine" else np.linalg.norm(coalition - ones)
        weights.append(np.exp(-(away**2) / width**2))
    return regressor.fit(kept, scores, sample_weight=weights).coef_


@pytest.mark.parametrize(
    ("distance", "width", "used"),
    [
        ("cosine", None, 0.25),
        ("cosine", 0.6, 0.6),
        ("euclidean", None, 0.75 * np.sqrt(7)),
        ("euclidean", 1, 1.0),
    ],
)
@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_agrees_with_scikit_learn(distance: Any, width: float | None, used: float, alpha: float) -> None:
    x = np.random.default_rng(2).normal(size=(2, 7))
    explainer = Lime(game, nb_samples=60, distance=distance, kernel_width=width, alpha=alpha, seed=4)
    kept = explainer.table(7)[:].astype(float)
    expected = [slow(sample, kept, distance, used, Ridge(alpha=alpha)) for sample in x]
    np.testing.assert_allclose(explainer(x, 0), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("regressor", [LinearRegression(), Lasso(0.01), Ridge(3)], ids=repr)
def test_any_regression_may_be_fitted(regressor: Any) -> None:
    x = np.random.default_rng(2).normal(size=(2, 7))
    explainer = Lime(game, nb_samples=60, regressor=regressor)
    found = explainer(x, 0)
    assert not hasattr(regressor, "coef_")
    kept = explainer.table(7)[:].astype(float)
    expected = [slow(sample, kept, "cosine", 0.25, regressor) for sample in x]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert explainer.settings()["regressor"] == repr(regressor)


def test_a_sum_is_its_parts() -> None:
    weights, x = np.array([[3.0], [-2], [0], [1]]), np.array([[1.0, 2, 3, 4]])
    found = Lime(lambda x: x @ weights + 7, alpha=1e-9, baseline=1)(x, 0)
    np.testing.assert_allclose(found[0], (x[0] - 1) * weights[:, 0], atol=1e-5)


def test_a_constant_has_no_coefficients() -> None:
    with pytest.warns(EmptyMapWarning):
        assert not Lime(lambda x: np.full((len(x), 1), 3.0))(np.ones((1, 5)), 0).any()


def test_half_of_the_features_are_kept() -> None:
    table = Lime(game, nb_samples=5000).table(6)[:]
    assert table.shape == (5000, 6)
    np.testing.assert_allclose(table.mean(axis=0), 0.5, atol=0.03)
    assert len(np.unique(table, axis=0)) == 64


def test_more_features_than_coalitions() -> None:
    x = np.random.default_rng(2).normal(size=(1, 50))
    explainer = Lime(game, nb_samples=20)
    expected = slow(x[0], explainer.table(50)[:].astype(float), "cosine", 0.25, Ridge(1))
    np.testing.assert_allclose(explainer(x, 0)[0], expected, rtol=1e-4, atol=1e-6)
