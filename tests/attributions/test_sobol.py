"""Sobol indices against a loop, and those of functions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from vis.attributions import SobolAttribution
from vis.errors import EmptyMapWarning


def ishigami(x: np.ndarray) -> np.ndarray:
    a, b, c = (np.pi * (2 * x[:, :3] - 1)).T
    return (np.sin(a) + 7 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a))[:, None]


def test_agrees_with_a_loop() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3))
    explainer = SobolAttribution(ishigami, nb_design=8, baseline=0.2, seed=3, batch_size=5)
    design = explainer.table(3)
    a, b = design.a, design.b
    expected = []
    for sample in x:

        def score(mask: np.ndarray, sample: np.ndarray = sample) -> float:
            return float(ishigami((mask * sample + (1 - mask) * 0.2)[None])[0, 0])

        first = [score(mask) for mask in a]
        total = []
        for feature in range(3):
            squares = 0.0
            for number in range(8):
                changed = a[number].copy()
                changed[feature] = b[number, feature]
                squares += (first[number] - score(changed)) ** 2
            total.append(squares / (2 * 8 * np.var(first, ddof=1)))
        expected.append(total)
    np.testing.assert_allclose(explainer(x, 0), expected, rtol=1e-5)


def test_the_design_is_the_same_in_parts() -> None:
    design = SobolAttribution(ishigami, nb_design=4).table(5)
    assert len(design) == 24
    whole = design[0:24]
    np.testing.assert_array_equal(np.concatenate([design[0:3], design[3:10], design[10:24]]), whole)
    changed = (whole[4:].reshape(5, 4, 5) != whole[:4]).any(axis=1)
    np.testing.assert_array_equal(changed, np.eye(5, dtype=bool))


def test_a_linear_function() -> None:
    """The masks are independent and uniform: shares of the variance are squares of the slopes."""
    slopes, x = np.array([1.0, -2, 0, 3]), np.array([[2.0, 1, 5, 1]])
    found = SobolAttribution(lambda x: (x @ slopes)[:, None], nb_design=1024)(x, 0)[0]
    np.testing.assert_allclose(found, np.array([4, 4, 0, 9]) / 17, atol=0.01)
    assert found[2] == 0


def test_the_function_of_ishigami() -> None:
    """Total indices for a = 7, b = 0.1: Saltelli et al., Global Sensitivity Analysis: The Primer, 2008."""
    found = SobolAttribution(ishigami, nb_design=4096)(np.ones((1, 4)), 0)[0]
    np.testing.assert_allclose(found, [0.5576, 0.4424, 0.2437, 0], atol=0.01)


def test_what_a_picture_needs() -> None:
    found = SobolAttribution(lambda x: x[:, 4:8, 8:12].sum(axis=(1, 2)), features=4)(
        np.ones((1, 16, 16, 1)), 0
    )
    assert found.shape == (1, 16, 16, 1)
    np.testing.assert_allclose(found[0, 4:8, 8:12], found.max())
    assert found.max() > 0.5 and np.count_nonzero(found) == 16


@pytest.mark.parametrize("value", [3.0, 0.0])
def test_a_constant_has_no_variance(value: float) -> None:
    with pytest.warns(EmptyMapWarning):
        assert not SobolAttribution(lambda x: np.full((len(x), 1), value))(np.ones((1, 5)), 0).any()
