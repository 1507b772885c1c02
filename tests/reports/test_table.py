"""The table is read again as what was written, and holds no formula."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zarr
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.conftest import BROKEN, NAMES, TARGETS
from vis.reports.run import Run
from vis.reports.table import COLUMNS, Table, _cell


def test_round_trip(run: Callable[..., Path]) -> None:
    path, file = run(), io.StringIO()
    held, labels = zarr.open_group(str(path), mode="r"), ["-a", "b", "c", "d"]
    found = Run(path, labels=labels)
    table = Table(file, found)
    for row in found.rows(range(0)):
        table.write(row)
    lines = [*csv.DictReader(io.StringIO(file.getvalue()))]
    assert tuple(lines[0]) == COLUMNS and len(lines) == len(NAMES)
    for number, line in enumerate(lines):
        assert int(line["row"]) == number
        assert text(line["file"]) == NAMES[number]
        if number == BROKEN:
            assert "not a picture" in line["skipped"] and not line["score"] and not line["target"]
            continue
        assert np.float32(line["score"]) == held["scores"][number]
        assert int(line["predicted"]) == held["predictions"][number]
        assert (
            int(line["target"]) == TARGETS[number] and text(line["target_label"]) == labels[TARGETS[number]]
        )
        equal = held["predictions"][number] == TARGETS[number]
        assert line["predicted_is_target"] == ("true" if equal else "false") and not line["skipped"]
    assert lines[1]["file"].startswith("'="), "no spreadsheet runs it"


def text(cell: str) -> str:
    """Return what a cell says, as a reader of the table does."""
    return cell[1:] if cell.startswith("'") else cell


@given(st.text())
def test_any_text_is_no_formula_and_comes_back(name: str) -> None:
    cell = _cell(name)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert text(cell) == name


def test_numbers_stay_numbers() -> None:
    assert _cell(-1) == -1 and _cell(np.float32(-0.5)) == np.float32(-0.5) and _cell(None) is None
