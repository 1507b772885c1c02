"""Fidelity on functions whose correlation is known, and by loops."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.metrics.models import IMAGES, LABELS, convolutional, linear
from vis.errors import EmptyMapWarning, InputError
from vis.metrics import mu_fidelity

WEIGHTS = np.array([4.0, -1.0, 3.0, 2.0, 0.5])
X = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
def test_of_a_linear_function_contributions_add_up_to_the_drop(correlation: Any) -> None:
    model, maps = linear(WEIGHTS), WEIGHTS * X
    how: Any = {"correlation": correlation, "nb_samples": 30}
    np.testing.assert_allclose(mu_fidelity(model, X, maps, 0, **how), 1, atol=1e-5)
    np.testing.assert_allclose(mu_fidelity(model, X, 7 * maps + 3, 0, 0.4, **how), 1, atol=1e-5)
    np.testing.assert_allclose(mu_fidelity(model, X, maps, 1, **how), -1, atol=1e-5)
    moved = mu_fidelity(model, X, WEIGHTS * (X - 0.5), 0, 0.4, baseline=0.5, **how)
    np.testing.assert_allclose(moved, 1, atol=1e-5)


def test_given_subsets_by_hand() -> None:
    """The drops of the subsets are 4, -1 and 3, the map gives 1, 2 and 3."""
    subsets = np.eye(5, dtype=bool)[:3]
    found = mu_fidelity(linear(WEIGHTS), np.ones((1, 5)), [[1, 2, 3, 0, 0]], 0, subsets)
    assert found[0] == pytest.approx(np.corrcoef([4, -1, 3], [1, 2, 3])[0, 1], rel=1e-5)
    found = mu_fidelity(
        linear(WEIGHTS), np.ones((1, 5)), [[1, 2, 3, 0, 0]], 0, subsets, correlation="spearman"
    )
    assert found[0] == pytest.approx(-0.5)


def slowly(model: Any, image: Any, heat: Any, ids: Any, target: int, subsets: Any) -> float:
    """One image, one subset after the other, one position after the other."""
    score = float(model(image[None])[0, target])
    sums, drops = [], []
    for subset in subsets:
        now, total = image.copy(), 0.0
        for position in np.ndindex(ids.shape):
            if subset[ids[position]]:
                now[position] = 0.25
                total += heat[position]
        sums.append(total)
        drops.append(score - float(model(now[None])[0, target]))
    return float(stats.pearsonr(sums, drops).statistic)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_images_by_loops(batch_size: int) -> None:
    model, rng = convolutional(), np.random.default_rng(2)
    heat, ids = rng.normal(size=(4, 6, 7)), rng.integers(0, 5, (4, 6, 7))
    subsets = rng.random((12, 5)) < 0.4
    found = mu_fidelity(
        model, IMAGES, heat, LABELS, subsets, baseline=0.25, features=ids, batch_size=batch_size
    )
    wanted = [slowly(model, *parts, subsets) for parts in zip(IMAGES, heat, ids, LABELS, strict=True)]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_a_value_does_not_depend_on_other_samples() -> None:
    heat = np.random.default_rng(2).normal(size=(4, 6, 7))
    call: Any = {"nb_samples": 9, "seed": 3}
    together = mu_fidelity(convolutional(), IMAGES, heat, LABELS, **call)
    for i in range(4):
        one = slice(i, i + 1)
        alone = mu_fidelity(convolutional(), IMAGES[one], heat[one], LABELS[one], **call)
        np.testing.assert_allclose(alone, together[one], atol=1e-4)
    again = mu_fidelity(convolutional(), IMAGES, heat, LABELS, nb_samples=9, seed=4)
    assert (np.abs(again - together) > 1e-3).all()


def test_images_have_patches_of_a_ninth() -> None:
    heat = np.random.default_rng(2).normal(size=(4, 6, 7))
    wanted = mu_fidelity(convolutional(), IMAGES, heat, LABELS, nb_samples=9, features=1)
    np.testing.assert_allclose(
        mu_fidelity(convolutional(), IMAGES, heat, LABELS, nb_samples=9), wanted, atol=1e-6
    )


def test_a_constant_map_is_not_known() -> None:
    with pytest.warns(
        EmptyMapWarning, match=r"mu_fidelity of 1 of 3 samples is NaN: 1\. The map is constant"
    ):
        found = mu_fidelity(linear(WEIGHTS), X, np.stack([X[0], 0 * X[0], X[2]]), 0, nb_samples=8)
    assert np.isnan(found).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"subsets": 0.0}, "subsets must be a share between 0 and 1"),
        ({"subsets": 1}, "subsets must be a share between 0 and 1"),
        ({"subsets": np.ones((3, 4), bool)}, "a column for each. Received: 5 features"),
        ({"subsets": np.ones(4, bool)}, r"booleans \(nb_samples, features\). Received: shape \(4,\)"),
        ({"nb_samples": 1}, "nb_samples must be an integer >= 2"),
        ({"features": 5}, "at least two features"),
        ({"features": [0, 1]}, r"features must be"),
        ({"correlation": "kendall"}, "correlation must be one of pearson, spearman"),
        ({"maps": X[:2]}, "3 samples, 2 maps"),
    ],
)
def test_what_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mu_fidelity(**{"model": linear(WEIGHTS), "inputs": X, "maps": X, "targets": 0, **change})
