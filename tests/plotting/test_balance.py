"""The bars of a balance stand where the numbers say."""

from __future__ import annotations

import pytest

from vis.plotting.balance import plot_balance
from vis.plotting.figures import Figure


def test_each_bar_begins_where_the_last_one_ends() -> None:
    figure = plot_balance(("score", 8.0), {"bias": -3.0, "rules": 1.0}, ("relevance", 6.0), title="A way")

    assert isinstance(figure, Figure)
    (panel,) = figure.axes
    bars = [(bar.get_x(), bar.get_width()) for bar in panel.patches]
    assert bars == [(0, 8), (8, -3), (5, 1), (0, 6)]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["score", "bias", "rules", "relevance"]
    assert [text.get_text() for text in panel.texts] == ["8", "-3", "+1", "6"]
    assert panel.yaxis.get_inverted()


@pytest.mark.parametrize("start", [0.0, -2.0])
def test_ends_of_any_sign(start: float) -> None:
    figure = plot_balance(("score", start), {"bias": 2.0}, ("relevance", start + 2.0))

    low, high = figure.axes[0].get_xlim()
    assert low < min(start, 0) < max(start + 2, 0) < high
