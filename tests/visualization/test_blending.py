"""Blending by hand."""

import numpy as np
import pytest

from vis.errors import InputError
from vis.visualization import overlay


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.25, 0.25)])
def test_by_hand(alpha: float, expected: float) -> None:
    assert overlay(np.ones((2, 2)), np.zeros((2, 2)), alpha).tolist() == [[expected] * 2] * 2


def test_integers_are_rounded_and_stay_integers() -> None:
    mixed = overlay(np.array([255, 3], np.uint8), np.array([0, 0], np.uint8))
    assert mixed.dtype == np.uint8
    assert mixed.tolist() == [128, 2]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_is_an_opacity(alpha: float) -> None:
    with pytest.raises(InputError, match="alpha must be an opacity from 0 to 1"):
        overlay(np.ones(2), np.ones(2), alpha)


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match=r"Received: \(2, 2\) and \(2, 2, 3\)"):
        overlay(np.ones((2, 2)), np.ones((2, 2, 3)))
