"""A balance: how steps lead from one number to another."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vis.plotting.figures import Axes, Figure, panels

_END, _UP, _DOWN = "#4d4d4d", "#b2182b", "#2166ac"


def plot_balance(
    start: tuple[str, float],
    steps: Mapping[str, float],
    end: tuple[str, float],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Figure | Axes:
    """Draw bars that lead from one number to another, a step below the other.

    Args:
        start, end: each a name and a number.
        steps: what is added on the way, by name, in order.
        title: a title above.
        ax: the axes to draw into; None for a new figure.

    Returns:
        a new figure, or `ax`.
    """
    names = [start[0], *steps, end[0]]
    made, ((panel,),) = panels(1, 1, (6.0, 0.34 * len(names) + 0.9), title, ax)
    at = start[1]
    bars = [(0.0, start[1], _END)]
    for value in steps.values():
        bars.append((at, value, _UP if value > 0 else _DOWN))
        at += value
    bars.append((0.0, end[1], _END))
    lefts, widths, colors = zip(*bars, strict=True)
    rows = np.arange(len(bars))
    panel.barh(rows, widths, left=lefts, color=colors, height=0.62)
    edges = np.array([0.0, *lefts, *(left + width for left, width, _ in bars)])
    low, high = float(edges.min()), float(edges.max())
    span = (high - low) or 1.0
    for row, (left, width, _) in enumerate(bars):
        number = f"{width:.4g}" if row in (0, len(bars) - 1) else f"{width:+.3g}"
        panel.text(max(left, left + width) + 0.015 * span, row, number, va="center", fontsize=9)
    panel.axvline(0, color="0.6", linewidth=0.8)
    panel.set_xlim(low - 0.03 * span, high + 0.2 * span)
    panel.set_yticks(rows, names)
    panel.invert_yaxis()
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.margins(y=0.02)
    return made
