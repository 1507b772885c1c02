"""Lines with the spread of samples: medians and quartiles, at names or at numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis.errors import InputError
from vis.plotting import Figure, plot_spread

ROWS = np.array([[1.0, 2, 3, 4], [2, 2, 2, np.nan], [np.nan] * 4])


@settings(deadline=None, max_examples=40)
@given(arrays.arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=st.floats(-1e3, 1e3)))
def test_the_line_is_the_median_and_the_band_the_middle_half(rows: np.ndarray) -> None:
    figure = plot_spread(np.arange(len(rows)) / 2, {"score": {"a": rows}})
    axes = figure.axes[0]
    np.testing.assert_allclose(
        axes.lines[0].get_xydata(), np.stack([np.arange(len(rows)) / 2, np.median(rows, 1)], 1)
    )
    band = axes.collections[0].get_paths()[0].vertices
    for x, row in zip(np.arange(len(rows)) / 2, rows, strict=True):
        found = band[np.isclose(band[:, 0], x), 1]
        low, high = np.percentile(row, [25, 75])
        assert found.min() == pytest.approx(low) and found.max() == pytest.approx(high)


def test_what_is_not_known_is_left_out() -> None:
    figure = plot_spread(
        ["x", "y", "z"], {"upper": {"a": ROWS, "b": 2 * ROWS}, "lower": {"a": -ROWS, "b": ROWS}}
    )
    upper, lower = figure.axes
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), [2.5, 2, np.nan])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), [-2.5, -2, np.nan])
    assert [label.get_text() for label in lower.get_xticklabels()] == ["x", "y", "z"]
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["a", "b"]
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("upper", "lower")


def test_a_single_line_needs_no_legend() -> None:
    assert plot_spread(["x"], {"score": {"": [[1.0]]}}).axes[0].get_legend() is None


def test_axes_of_the_user() -> None:
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    assert plot_spread([0, 1], {"score": {"a": [[1.0], [2.0]]}}, "a title", "share", ax=axes) is axes
    assert (axes.get_title(), axes.get_xlabel(), len(axes.lines)) == ("a title", "share", 2)


@pytest.mark.parametrize("panels", [{}, {"a": {}}, {"a": {"b": np.ones((3, 2))}}, {"a": {"b": np.ones(2)}}])
def test_what_is_refused(panels: dict[str, dict[str, np.ndarray]]) -> None:
    with pytest.raises(InputError, match=r"A line needs values \(ticks, N\), here \(2, N\)"):
        plot_spread(["x", "y"], panels)
