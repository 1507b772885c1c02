"""Features with their maps: which are drawn, in which order, and what a box is."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis.errors import InputError
from vis.plotting import Figure, plot_features

NAMES = ["age", "sex", "bmi", "bp"]
VALUES = np.array([0.5, -3.0, 0.0, 1.0])


def ticks(figure: Any) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def bars(figure: Any) -> list[float]:
    return [bar.get_width() for bar in figure.axes[0].patches]


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1), (1, 4, 1)])
def test_bars_by_magnitude(shape: tuple[int, ...]) -> None:
    figure = plot_features(NAMES, VALUES.reshape(shape), "a title")
    assert ticks(figure) == ["sex", "bp", "age", "bmi"]
    assert bars(figure) == [-3, 1, 0.5, 0]
    assert figure.axes[0].get_xlabel() == "map" and figure.get_suptitle() == "a title"
    bottom, top = figure.axes[0].get_ylim()
    assert bottom > top, "the largest is at the top"


def test_each_sign_has_its_colour() -> None:
    down, up, other, _ = [bar.get_facecolor()[:3] for bar in plot_features(NAMES, VALUES).axes[0].patches]
    assert up == other and up[0] > up[2] and down[2] > down[0], "red above zero, blue below"
    one = {bar.get_facecolor() for bar in plot_features(NAMES, np.abs(VALUES)).axes[0].patches}
    assert len(one) == 1
    absolute = plot_features(NAMES, VALUES, absolute=True, name="gradient")
    assert bars(absolute) == [3, 1, 0.5, 0] and absolute.axes[0].get_xlabel() == "|gradient|"
    chosen = plot_features(NAMES, VALUES, cmap="PuOr").axes[0].patches[0].get_facecolor()
    assert chosen != plot_features(NAMES, VALUES).axes[0].patches[0].get_facecolor()


def test_what_is_not_drawn_is_counted() -> None:
    figure = plot_features(NAMES, VALUES, top=2)
    assert ticks(figure) == ["sex", "bp", "and 2 more"] and bars(figure) == [-3, 1]
    (note,) = figure.axes[0].texts
    assert note.get_text() == "their largest |map|: 0.5"
    assert not plot_features(NAMES, VALUES, top=4).axes[0].texts
    batch = plot_features(None, np.array([[1.0, 2, 3], [-1, 4, 3]]), top=1)
    assert ticks(batch) in (["feature 1", "and 2 more"], ["feature 2", "and 2 more"])
    assert batch.axes[0].texts[0].get_text() == "their largest mean of |map|: 3"


@settings(deadline=None, max_examples=40)
@given(
    arrays.arrays(float, st.tuples(st.integers(2, 30), st.integers(1, 8)), elements=st.floats(-1e3, 1e3)),
    st.integers(1, 10),
)
def test_a_box_is_the_middle_half_of_the_samples(values: np.ndarray, top: int) -> None:
    count = values.shape[1]
    figure = plot_features([str(index) for index in range(count)], values, top=top)
    axes = figure.axes[0]
    order = [int(label) for label in ticks(figure)[: min(top, count)]]
    assert len(set(order)) == min(top, count)
    means = np.abs(values).mean(axis=0)
    assert (np.diff(means[order]) <= 1e-12 * means.max()).all()
    assert len(ticks(figure)) == len(order) + (count > top)
    whiskers, medians = axes.collections
    for row, feature in enumerate(order):
        column = np.sort(values[:, feature])
        box = axes.patches[row]
        low, high = np.percentile(column, [25, 75])
        assert box.get_x() == pytest.approx(low) and box.get_width() == pytest.approx(high - low, abs=1e-9)
        (x, y), (_, _) = medians.get_segments()[row]
        assert x == pytest.approx(np.median(column)) and y == pytest.approx(row - 0.275)
        ends = whiskers.get_segments()[row][:, 0]
        assert ends == pytest.approx(np.percentile(column, [5, 95]))
    assert f"of {len(values)} samples" in axes.get_xlabel()


def test_names() -> None:
    figure = plot_features(["$a$ and $b$", "x" * 60, "\U0010fffd"], [3.0, 2, 1])
    assert ticks(figure) == ["$a$ and $b$", "x" * 39 + "…", "□"]
    assert len(figure._repr_png_()) > 1000
    assert ticks(plot_features(None, [1.0, 2.0])) == ["feature 1", "feature 0"]
    assert ticks(plot_features(np.array(NAMES), VALUES)) == ["sex", "bp", "age", "bmi"]


def test_axes_of_the_user() -> None:
    figure = Figure()
    axes = figure.subplots()
    assert plot_features(NAMES, VALUES, "a title", ax=axes) is axes
    assert axes.get_title() == "a title" and len(axes.patches) == 4
    assert plot_features(NAMES, VALUES, size=(3, 2)).get_size_inches().tolist() == [3, 2]


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (NAMES[:3], VALUES, r"3 names and a map of shape \(4,\)"),
        (NAMES, np.ones((3, 5)), r"4 names and a map of shape \(3, 5\)"),
        (None, np.ones((2, 3, 4)), r"no names and a map of shape \(2, 3, 4\)"),
        (NAMES, VALUES * np.nan, "finite"),
        (NAMES, "map", "real numbers"),
        ([], [], "at least one value"),
    ],
)
def test_what_is_refused(names: Any, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_features(names, values)


@pytest.mark.parametrize("top", [0, 1.5, True, "all"])
def test_options_that_are_refused(top: Any) -> None:
    with pytest.raises(InputError, match="top must be the number of features to draw"):
        plot_features(NAMES, VALUES, top=top)
