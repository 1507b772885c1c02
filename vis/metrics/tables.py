"""Results as tables: aligned text, and HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Table(str):
    """Aligned text, the first column to the left, the others to the right; a notebook shows it as HTML.

    Args:
        header: the names of the columns.
        rows: the cells of each row, as text.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __new__(cls, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
        lines = [tuple(header), *map(tuple, rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = "\n".join(
            "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip(" ")
            for line in lines
        )
        table = super().__new__(cls, text)
        table.header, table.rows = lines[0], tuple(lines[1:])
        return table

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.header, self.rows

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            sides = ["left", *["right"] * (len(cells) - 1)]
            return "".join(
                f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )

        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in self.rows)
        return f"<table><thead><tr>{line(self.header, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def median(values: npt.NDArray[np.float64]) -> float:
    """Return the median of the values that are not NaN, or NaN if there are none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")


def numbers(values: Sequence[float]) -> list[str]:
    """Return a column of numbers as text: two decimals, or an exponent if the largest is small or huge."""
    largest = max((abs(value) for value in values if not np.isnan(value)), default=0.0)
    plain = largest == 0 or 0.1 <= largest < 1e5
    return [f"{value:.2f}" if plain else f"{value:.1e}" for value in values]


def summary(values: npt.NDArray[Any]) -> str:
    """Return an array in a few words: its shape, and its smallest and largest value."""
    shape = " x ".join(map(str, values.shape))
    known = values[~np.isnan(values)]
    return f"<{shape} values, {known.min():.3g} to {known.max():.3g}>" if known.size else f"<{shape} values>"
