"""Where maps point, counted by hand and by loops."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis.errors import InputError
from vis.metrics import energy_in_mask, pointing_game

MAP = np.array([[1.0, 0.0], [2.0, 5.0]])
LEFT = np.array([[True, False], [True, False]])


def test_by_hand() -> None:
    maps, masks = np.stack([MAP, MAP, 0 * MAP]), np.stack([LEFT, ~LEFT, LEFT])
    np.testing.assert_allclose(energy_in_mask(maps, masks), [3 / 8, 5 / 8, 0])
    assert pointing_game(maps, masks).tolist() == [False, True, False]
    np.testing.assert_allclose(energy_in_mask(maps[..., None], masks), [3 / 8, 5 / 8, 0])


def test_a_constant_map_points_nowhere() -> None:
    assert not pointing_game(np.ones((1, 2, 2)), np.ones((1, 2, 2), bool))


@pytest.mark.parametrize(("tolerance", "hit"), [(0, False), (2, False), (2.3, True), (15, True)])
def test_the_tolerance_is_a_distance(tolerance: float, hit: bool) -> None:
    """From (0, 0) to (1, 2) it is the root of 5."""
    heat, mask = np.zeros((1, 3, 3)), np.zeros((1, 3, 3), bool)
    heat[0, 0, 0] = mask[0, 1, 2] = 1
    assert pointing_game(heat, mask, tolerance)[0] == hit


@given(
    arrays.arrays(np.float64, (3, 4, 5), elements=st.floats(0, 1e9) | st.just(1e-200)),
    arrays.arrays(bool, (3, 4, 5)),
    st.integers(-100, 100),
)
def test_energy_by_loops(maps: Any, masks: Any, power: int) -> None:
    found = energy_in_mask(maps, masks)
    for one, mask, share in zip(maps, masks, found, strict=True):
        total = sum(float(value) for value in one.flat)
        inside = sum(float(value) for value, kept in zip(one.flat, mask.flat, strict=True) if kept)
        assert share == pytest.approx(inside / total if total else 0, rel=1e-9)
    np.testing.assert_allclose(energy_in_mask(maps * 2.0**power, masks), found, rtol=1e-12)
    np.testing.assert_allclose(found + energy_in_mask(maps, ~masks), np.any(maps, axis=(1, 2)), rtol=1e-9)


def test_values_at_the_ends_of_their_range() -> None:
    masks = LEFT[None]
    for scale in (1e-300, 1e300, 1e308):
        assert energy_in_mask(MAP[None] / 5 * scale, masks)[0] == pytest.approx(3 / 8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pointing_game(MAP, LEFT[0]), "Each map needs a mask of the same shape"),
        (
            lambda: pointing_game(MAP[None], LEFT[None, :1]),
            r"maps of shape \(1, 2, 2\), masks of shape \(1, 1, 2\)",
        ),
        (lambda: pointing_game(MAP[None] * np.nan, LEFT[None]), "4 of 4 values are NaN"),
        (lambda: pointing_game(MAP[None], LEFT[None], -1), "tolerance must be a distance"),
        (lambda: pointing_game(MAP[None], LEFT[None], float("nan")), "tolerance must be a distance"),
        (lambda: energy_in_mask(-MAP[None], LEFT[None]), r"Received: -5\. Pass numpy.abs"),
    ],
)
def test_what_is_refused(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
