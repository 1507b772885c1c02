"""HSIC against matrices, a kernel of another form, and functions that need some inputs."""

from __future__ import annotations

import numpy as np
import pytest

from vis.attributions import HsicAttribution
from vis.errors import EmptyMapWarning


def game(x: np.ndarray) -> np.ndarray:
    return (np.sin(3 * x[:, 0]) * x[:, 1] + x[:, 2])[:, None]


def slow(masks: np.ndarray, scores: np.ndarray, kernel: str) -> float:
    """The trace of matrices, one pair of masks at a time."""
    count = len(masks)
    k, d = np.zeros((count, count)), np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            a, b = masks[i], masks[j]
            if kernel == "equal":
                k[i, j] = 0.5 * (a == b)
            else:
                k[i, j] = 1 + (a - 0.5) * (b - 0.5) + 0.5 * ((a - b) ** 2 - abs(a - b) + 1 / 6)
            d[i, j] = abs(scores[i] - scores[j])
    width = np.median(d[d > 0])
    centre = np.eye(count) - 1 / count
    return float(np.trace(k @ centre @ np.exp(-(d**2) / (2 * width**2)) @ centre)) / (count - 1) ** 2


@pytest.mark.parametrize(("binary", "kernel"), [(True, "equal"), (True, "sobolev"), (False, "sobolev")])
def test_agrees_with_matrices(binary: bool, kernel: str) -> None:
    x = np.random.default_rng(0).normal(size=(2, 4))
    explainer = HsicAttribution(game, nb_design=15, binary=binary, baseline=0.2, seed=3, batch_size=4)
    masks = explainer.table(4)[:].astype(float)
    expected = []
    for sample in x:
        scores = game(masks * sample + (1 - masks) * 0.2)[:, 0]
        expected.append([slow(column, scores, kernel) for column in masks.T])
    np.testing.assert_allclose(explainer(x, 0), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("binary", [True, False])
def test_what_the_function_needs(binary: bool) -> None:
    """The third input has the largest part in the score, the last none but by chance."""
    found = HsicAttribution(lambda x: x[:, :1] * x[:, 1:2] + 4 * x[:, 2:3], nb_design=800, binary=binary)(
        np.ones((1, 4)), 0
    )[0]
    assert found.argmax() == 2
    assert found[:2].min() > 0 and found[3] < 1 / 800 < 0.05 * found[2]


def test_an_even_effect_is_seen() -> None:
    """The score falls on both sides of the middle, so that no correlation is left."""
    found = HsicAttribution(lambda x: np.abs(x[:, :1] - 0.5), nb_design=300, binary=False)(
        np.ones((1, 2)), 0
    )[0]
    assert found[0] > 10 * found[1]


def test_masks_are_a_latin_hypercube() -> None:
    table = HsicAttribution(game, nb_design=10, binary=False).table(3)
    assert [*map(sorted, np.floor(table.T * 10).astype(int).tolist())] == [[*range(10)]] * 3
    assert HsicAttribution(game, nb_design=10).table(3).sum(axis=0).tolist() == [5, 5, 5]


def test_scores_of_a_few_values() -> None:
    """Most of the distances are zero: the median of the others is the width."""
    found = HsicAttribution(lambda x: (x.sum(axis=1, keepdims=True) > 2.5).astype(float), features=[0, 1, 2])(
        np.ones((1, 3)), 0
    )
    assert found.min() > 1 / 500


@pytest.mark.parametrize("value", [3.0, 0.0])
def test_a_constant_depends_on_nothing(value: float) -> None:
    with pytest.warns(EmptyMapWarning):
        assert not HsicAttribution(lambda x: np.full((len(x), 1), value))(np.ones((1, 5)), 0).any()
