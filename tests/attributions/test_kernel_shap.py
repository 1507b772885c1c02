"""Kernel SHAP against all orders of the features, a regression with a constraint, and known games."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import KernelShap
from vis.errors import EmptyMapWarning, InputError

Game = Callable[[np.ndarray], np.ndarray]


def over_all_orders(game: Game, x: np.ndarray, baseline: float = 0.0) -> np.ndarray:
    """Return the mean, over all orders in which features join, of what each adds."""
    count = len(x)
    subsets = np.array([*itertools.product([False, True], repeat=count)])
    scores = dict(zip(map(tuple, subsets), game(np.where(subsets, x, baseline))[:, 0], strict=True))
    found = np.zeros(count)
    orders = [*itertools.permutations(range(count))]
    for order in orders:
        kept = [False] * count
        for feature in order:
            before = scores[tuple(kept)]
            kept[feature] = True
            found[feature] += scores[tuple(kept)] - before
    return found / len(orders)


def network(width: int) -> tuple[keras.Model, Game]:
    """Return a network, and the same in NumPy."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential([layers.Input((width,)), layers.Dense(8, "tanh"), layers.Dense(1)])
    (a, b), (c, d) = [layer.get_weights() for layer in model.layers]
    return model, lambda x: np.tanh(x @ a + b) @ c + d


def test_agrees_with_all_orders() -> None:
    model, game = network(6)
    x = np.random.default_rng(1).normal(size=(3, 6))
    expected = [over_all_orders(game, sample, 0.3) for sample in x]
    np.testing.assert_allclose(KernelShap(game, baseline=0.3)(x, 0), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(KernelShap(model, baseline=0.3)(x, 0), expected, rtol=1e-3, atol=1e-5)


def test_agrees_with_a_regression_under_a_constraint() -> None:
    """By Lagrange's equations, for the coalitions that are drawn."""
    _, game = network(9)
    x = np.random.default_rng(1).normal(size=(1, 9))
    explainer = KernelShap(game, nb_samples=80)
    kept = explainer.table(9)[:][1:].astype(float)
    none, whole = game(np.zeros((1, 9)))[0, 0], game(x)[0, 0]
    values = game(kept * x)[:, 0] - none
    system = np.block([[2 * kept.T @ kept, np.ones((9, 1))], [np.ones((1, 9)), np.zeros((1, 1))]])
    expected = np.linalg.solve(system, [*(2 * kept.T @ values), whole - none])[:9]
    np.testing.assert_allclose(explainer(x, 0)[0], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("game", "x", "expected"),
    [
        (lambda x: x[:, 0] * x[:, 1], [2, 3], [3, 3]),
        (lambda x: x[:, 0] + x[:, 0] * x[:, 1], [2, 3], [5, 3]),
        (lambda x: 5 - x[:, 0], [2], [-2]),
        # One left glove, two right ones: a pair is worth 1.
        (lambda x: np.minimum(x[:, 0], x[:, 1] + x[:, 2]), [1, 1, 1], [2 / 3, 1 / 6, 1 / 6]),
        # 3 of the votes 2, 1, 1 decide: the first is needed for all three coalitions that win.
        (lambda x: x @ [2, 1, 1] >= 3, [1, 1, 1], [2 / 3, 1 / 6, 1 / 6]),
        (lambda x: x[:, 1] ** 2, [4, 3, 5], [0, 9, 0]),
    ],
    ids=range(6),
)
def test_games_by_hand(game: Game, x: list[float], expected: list[float]) -> None:
    found = KernelShap(lambda x: game(x)[:, None].astype(float))(np.array([x], float), 0)
    np.testing.assert_allclose(found[0], expected, rtol=1e-6, atol=1e-7)


def test_few_coalitions_are_exact_where_features_do_not_interact() -> None:
    weights = np.random.default_rng(0).normal(size=(30, 1))
    x = np.random.default_rng(1).normal(size=(2, 30))
    found = KernelShap(lambda x: x @ weights + 2, nb_samples=150, baseline=0.5)(x, 0)
    np.testing.assert_allclose(found, (x - 0.5) * weights[:, 0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("nb_samples", [60, 500, None, 4096])
def test_the_sum_is_the_gain(nb_samples: int | None) -> None:
    _, game = network(12)
    x = np.random.default_rng(2).normal(size=(3, 12))
    found = KernelShap(game, nb_samples=nb_samples)(x, 0)
    np.testing.assert_allclose(found.sum(axis=1), (game(x) - game(0 * x))[:, 0], rtol=1e-5, atol=1e-6)


def test_converges() -> None:
    _, game = network(12)
    x = np.random.default_rng(2).normal(size=(1, 12))
    exact = KernelShap(game, nb_samples=4096)(x, 0)
    errors = [np.abs(KernelShap(game, nb_samples=n)(x, 0) - exact).max() for n in (60, 4000)]
    assert errors[1] < 0.3 * errors[0] and errors[1] < 0.02 * np.abs(exact).max()


def test_coalitions_are_drawn_by_the_kernel_with_their_complements() -> None:
    table = KernelShap(lambda x: x, nb_samples=20000).table(20)[:]
    assert not table[0].any() and len(table) == 20001
    first, second = np.split(table[1:], 2)
    assert np.array_equal(first, ~second)
    sizes = np.bincount(table[1:].sum(axis=1), minlength=21)
    assert sizes[0] == sizes[20] == 0
    kernel = 1 / (np.arange(1, 20) * np.arange(19, 0, -1))
    np.testing.assert_allclose(sizes[1:20] / 20000, kernel / kernel.sum(), atol=0.01)
    np.testing.assert_allclose(table[1:].mean(axis=0), 0.5, atol=1e-9)


def test_features_that_the_network_does_not_use_get_nothing() -> None:
    picture = np.random.default_rng(0).normal(size=(1, 16, 16, 3))
    found = KernelShap(lambda x: (x[:, :8, :8].sum(axis=(1, 2, 3)) ** 2)[:, None], features=4)(picture, 0)
    assert found.shape == (1, 16, 16, 1)
    assert not np.abs(found[:, 8:]).max() > 1e-3 * np.abs(found).max()


def test_a_constant_has_no_contributions() -> None:
    with pytest.warns(EmptyMapWarning):
        assert not KernelShap(lambda x: np.full((len(x), 1), 3.0))(np.ones((1, 5)), 0).any()


def test_too_few_coalitions_are_refused() -> None:
    with pytest.raises(InputError, match=r"of 40 features do not follow.*Received: 60. Pass at least 160"):
        KernelShap(lambda x: x[:, :1], nb_samples=60)(np.ones((1, 40)), 0)
