"""Colours and text on white."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vis.plotting.colors import Look
from vis.plotting.paper import MISSING, PALE, contrast, drawable, ink, scale_of

RGB = st.tuples(*[st.floats(0, 1)] * 3)


def test_contrasts_by_hand() -> None:
    # Of WCAG 2.2: black on white is 21, #767676 on white is the darkest grey that still has 4.54.
    assert contrast([1, 1, 1], 0.0) == pytest.approx(21)
    assert contrast([0x76 / 255] * 3, 1.0) == pytest.approx(4.54, abs=0.005)
    assert contrast([1, 0, 0], 0.0) == pytest.approx((0.2126 + 0.05) / 0.05)


@given(RGB)
def test_the_better_of_black_and_white_can_be_read_on_every_colour(rgb: tuple[float, float, float]) -> None:
    black, white = contrast(rgb, 0.0), contrast(rgb, 1.0)
    chosen = black if ink(rgb) else white
    assert chosen == max(black, white)
    assert chosen >= 4.5, "the least contrast of text, WCAG 2.2, 1.4.3"


@pytest.mark.parametrize("name", ["Reds", "RdBu_r", "inferno", "viridis", "coolwarm", "gray"])
def test_ink_takes_all_colours_of_a_map_at_once(name: str) -> None:
    colors = matplotlib.colormaps[name](np.linspace(0, 1, 256))[:, :3]
    assert ink(colors).tolist() == [bool(ink(color)) for color in colors]
    assert ink([1, 1, 1]) and not ink([0, 0, 0])


def test_what_has_no_sign_is_pale_at_zero_and_what_is_chosen_stays() -> None:
    values = np.array([0.0, 1.0])
    assert scale_of(values, Look()).cmap.name == PALE
    assert scale_of(values, Look()).rgb(values)[0].min() > 230
    assert scale_of(values - 1, Look()).cmap.name == "RdBu_r"
    assert scale_of(values, Look(cmap="viridis")).cmap.name == "viridis"


def test_the_ends_of_a_bar_are_pointed_where_values_lie_beyond() -> None:
    values = np.arange(100.0)
    assert scale_of(values, Look()).extend == "neither"
    assert scale_of(values, Look(clip_percentile=5)).extend == "max"
    assert scale_of(values - 50, Look(clip_percentile=5)).extend == "both"


def test_a_character_that_no_font_has_becomes_a_box() -> None:
    assert drawable("Grüße, 100 $") == "Grüße, 100 $"
    assert drawable("a\U0010fffdb\ud800") == f"a{MISSING}b{MISSING}"
    assert drawable(MISSING) == MISSING
    assert drawable("") == ""
