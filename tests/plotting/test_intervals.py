"""Dots and intervals stand where the numbers say."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from vis.errors import InputError
from vis.plotting import Figure, plot_intervals

PANELS = {
    "error": {"a": (0.2, 0.1, 0.3), "b": (0.25, 0.22, 0.4), "c": (0.5, 0.4, 0.6)},
    "hits": {"a": (1.0, np.nan, np.nan), "b": (40.0, np.nan, np.nan), "c": (np.nan, np.nan, np.nan)},
}
BETTER: Any = {"error": "lower", "hits": "higher"}


def dots(axes: Any) -> list[tuple[float, float, str]]:
    found = [line for line in axes.lines if line.get_marker() == "o"]
    return [(line.get_xdata()[0], line.get_ydata()[0], to_hex(line.get_color())) for line in found]


def test_dots_and_colours() -> None:
    figure = plot_intervals(PANELS, BETTER, "a title")
    assert isinstance(figure, Figure) and figure.get_suptitle() == "a title"
    errors, hits = figure.axes
    assert [(x, y) for x, y, _ in dots(errors)] == [(0.2, 0), (0.25, 1), (0.5, 2)]
    blue, other, grey = (color for *_, color in dots(errors))
    assert blue == other != grey, "the interval of b overlaps with that of a, the best"
    assert [color for *_, color in dots(hits)][:2] == [grey, blue], "without intervals, the best alone"
    spans = [
        line.get_xdata() for line in errors.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 2
    ]
    np.testing.assert_allclose(spans, [[0.1, 0.3], [0.22, 0.4], [0.4, 0.6]])
    assert (errors.get_xscale(), hits.get_xscale()) == ("linear", "log")
    assert [text.get_text() for text in errors.get_yticklabels()] == ["a", "b", "c"]
    assert not any(text.get_text() for text in hits.get_yticklabels())
    assert errors.get_ylim()[0] > errors.get_ylim()[1], "the first method stands above"
    assert (errors.get_xlabel(), hits.get_xlabel()) == ("\u2190 better", "better \u2192")


def test_many_panels_have_rows() -> None:
    figure = plot_intervals({str(k): PANELS["error"] for k in range(7)}, dict.fromkeys("0123456", "lower"))
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == 7 and figure.axes[0].get_gridspec().get_geometry() == (2, 4)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_axes_of_the_user() -> None:
    axes = Figure(layout="constrained").subplots()
    assert plot_intervals(PANELS, BETTER, ax=axes) is axes


@pytest.mark.parametrize(
    "panels", [{}, {"error": {}}, {"error": {"a": (1.0,)}}, {**PANELS, "hits": {"a": (1, 1, 1)}}]
)
def test_what_is_refused(panels: Any) -> None:
    with pytest.raises(InputError, match="Every panel needs three numbers for each method"):
        plot_intervals(panels, BETTER)
