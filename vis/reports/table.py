"""The numbers of a run as comma-separated values, for spreadsheets and programs."""

from __future__ import annotations

import csv
from typing import Any, TextIO

import numpy as np

from vis.reports.run import Row, Run

COLUMNS = (
    "row",
    "file",
    "predicted",
    "predicted_label",
    "target",
    "target_label",
    "predicted_is_target",
    "score",
    "skipped",
)
# What a spreadsheet takes for the beginning of a formula, and the character that goes in front of it.
_FORMULA, _MARK = ("=", "+", "-", "@", "\t", "\r", "'"), "'"


class Table:
    """Writes a line for each row, skipped ones included.

    A text that begins with `= + - @`, a tab, a carriage return or an apostrophe gets an apostrophe in front,
    so that no spreadsheet runs a file name as a formula; programs that read the file must remove it.
    """

    def __init__(self, file: TextIO, run: Run) -> None:
        self._run = run
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def write(self, row: Row) -> None:
        values: list[Any] = [
            row.number,
            row.name,
            row.prediction,
            self._run.label(row.prediction),
            row.target,
            self._run.label(row.target),
            None if row.equal is None else str(row.equal).lower(),
            None if row.score is None else np.float32(row.score),
            row.skipped,
        ]
        self._writer.writerow([_cell(value) for value in values])


def _cell(value: Any) -> Any:
    """Return a value as it is written: numbers as they are, texts so that they stay texts."""
    return _MARK + value if isinstance(value, str) and value.startswith(_FORMULA) else value
