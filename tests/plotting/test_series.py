"""Series with their maps: where each value is drawn, in which colour."""

from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import dates

from vis.errors import InputError
from vis.plotting import Figure, plot_series

SERIES = np.array([[1.0, 10], [2, 30], [4, 20], [3, 0]])
MAP = np.array([0.0, 1, 4, 2])


def background(axes: Any) -> np.ndarray:
    return axes.collections[0].get_array().ravel()


def colors(axes: Any) -> np.ndarray:
    mesh = axes.collections[0]
    return mesh.to_rgba(mesh.get_array().ravel())


def edges(axes: Any) -> np.ndarray:
    return axes.collections[0].get_coordinates()[0, :, 0]


def test_a_panel_for_each_channel_with_the_map_behind() -> None:
    figure = plot_series(SERIES, MAP, "a title", channels=["slow", "fast"])
    panels = figure.axes[:2]
    assert figure.get_suptitle() == "a title"
    assert [axes.get_ylabel() for axes in panels] == ["slow", "fast"]
    for channel, axes in enumerate(panels):
        np.testing.assert_array_equal(axes.lines[0].get_xydata(), np.stack([range(4), SERIES[:, channel]], 1))
        np.testing.assert_array_equal(background(axes), MAP)
        np.testing.assert_allclose(colors(axes), matplotlib.colormaps["Reds"](MAP / 4))
        np.testing.assert_array_equal(edges(axes), [-0.5, 0.5, 1.5, 2.5, 3.5])
        assert axes.get_xlim() == (-0.5, 3.5)
        low, high = axes.get_ylim()
        assert low < SERIES[:, channel].min() and SERIES[:, channel].max() < high
    assert figure.axes[2].get_ylabel() == "map", "the colour bar"


@pytest.mark.parametrize(
    ("series", "values"),
    [
        ((4,), (4,)),
        ((4,), (4, 1)),
        ((4,), (1, 4, 1)),
        ((4, 1), (4,)),
        ((1, 4), (4,)),
        ((1, 4), (1, 4, 1)),
        ((1, 4, 1), (1, 4)),
        ((1, 4, 1), (1, 4, 1)),
        ((1, 4, 1), (4,)),
    ],
)
def test_what_explainers_return_is_taken(series: tuple[int, ...], values: tuple[int, ...]) -> None:
    figure = plot_series(SERIES[:, 0].reshape(series), MAP.reshape(values), colorbar=False)
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), SERIES[:, 0])
    np.testing.assert_array_equal(background(axes), MAP)


def test_a_map_for_each_channel_on_one_scale() -> None:
    values = np.stack([MAP, -MAP / 2], 1)
    for maps in (values, values[None]):
        upper, lower = plot_series(SERIES, maps).axes[:2]
        np.testing.assert_array_equal(background(upper), MAP)
        np.testing.assert_allclose(colors(upper), matplotlib.colormaps["RdBu_r"]((MAP + 4) / 8))
        np.testing.assert_allclose(colors(lower), matplotlib.colormaps["RdBu_r"]((-MAP / 2 + 4) / 8))


def test_a_batch_is_drawn_side_by_side() -> None:
    batch, values = np.stack([SERIES, 2 * SERIES]), np.stack([MAP, 3 * MAP])
    for maps in (values, values[..., None]):
        panels = plot_series(batch, maps).axes[:4]
        for number, axes in enumerate(panels):
            channel, sample = divmod(number, 2)
            np.testing.assert_array_equal(axes.lines[0].get_ydata(), batch[sample, :, channel])
            np.testing.assert_array_equal(background(axes), values[sample])
        assert panels[0].get_ylim() == panels[1].get_ylim() != panels[2].get_ylim()
    univariate = plot_series(batch[..., 0], values[..., None], colorbar=False)
    assert len(univariate.axes) == 2


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.001, 1000), min_size=1, max_size=20), st.floats(-1000, 1000))
def test_each_time_lies_in_its_colour(steps: list[float], start: float) -> None:
    times = start + np.cumsum(steps)
    figure = plot_series(np.zeros(len(times)), np.arange(len(times)), times=times, colorbar=False)
    found = edges(figure.axes[0])
    assert (np.diff(found) > 0).all()
    assert (found[:-1] <= times).all() and (times <= found[1:]).all()
    np.testing.assert_allclose(found[1:-1], (times[1:] + times[:-1]) / 2)


def test_dates() -> None:
    days = np.array(["2026-01-01", "2026-01-02", "2026-01-04", "2026-01-05"], "M8")
    axes = plot_series(SERIES[:, 0], MAP, times=days).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), dates.date2num(days))
    assert isinstance(axes.xaxis.get_major_formatter(), dates.AutoDateFormatter)


def test_gaps_and_single_steps() -> None:
    series = np.array([1.0, np.nan, 2, 3])
    axes = plot_series(series, MAP).axes[0]
    assert axes.get_ylim()[0] < 1 and axes.get_ylim()[1] > 3
    assert plot_series(np.full(4, np.nan), MAP).axes[0].get_ylim() == pytest.approx((-0.06, 1.06))
    single = plot_series([2.0], [1.0]).axes[0]
    assert single.lines[0].get_marker() == "o"
    np.testing.assert_array_equal(edges(single), [-0.5, 0.5])


def test_options_mean_what_they_mean_elsewhere() -> None:
    values = np.array([-4.0, 1, 2, 0])
    figure = plot_series(SERIES[:, 0], values, absolute=True, name="gradient")
    np.testing.assert_array_equal(background(figure.axes[0]), np.abs(values))
    assert figure.axes[1].get_ylabel() == "|gradient|"
    mesh = plot_series(SERIES[:, 0], values, clip_percentile=40, cmap="PuOr").axes[0].collections[0]
    assert (mesh.norm.vmin, mesh.norm.vmax, mesh.cmap.name) == (-2, 2, "PuOr")
    unsigned = plot_series(SERIES[:, 0], np.abs(values), signed=True).axes[0].collections[0]
    assert (unsigned.norm.vmin, unsigned.norm.vmax) == (-4, 4)
    assert plot_series(SERIES, MAP, size=(3, 2)).get_size_inches().tolist() == [3, 2]


def test_axes_of_the_user() -> None:
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert plot_series(SERIES[:, 0], MAP, "one", ax=left, colorbar=False) is left
    assert left.get_title() == "one" and len(left.lines) == 1
    assert plot_series(SERIES, MAP, "two", ax=right) is right
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"values": MAP[:3]}, r"shape \(4, 2\) and a map of shape \(3,\)"),
        ({"values": np.ones((4, 3))}, r"shape \(4, 2\) and a map of shape \(4, 3\)"),
        ({"values": np.ones((2, 4, 1))}, r"shape \(4, 2\) and a map of shape \(2, 4, 1\)"),
        ({"series": np.ones((2, 2, 4, 2))}, r"shape \(2, 2, 4, 2\)"),
        ({"series": np.ones((0, 2)), "values": np.ones((0,))}, "at least one value"),
        ({"series": "cat.csv"}, "real numbers"),
        ({"values": MAP * np.nan}, "finite"),
        ({"times": [0, 1, 1, 2]}, "increase"),
        ({"times": [0, 1, 2]}, r"shape \(3,\), for 4 steps"),
        ({"times": ["a", "b", "c", "d"]}, "real numbers"),
        ({"channels": ["slow"]}, "1 names for 2 channels"),
        ({"cmap": "Redz"}, "no colormap"),
    ],
)
def test_what_is_refused(call: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_series(**{"series": SERIES, "values": MAP, **call})
