"""Tables: what their cells say, as text and as HTML."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis.errors import InputError
from vis.metrics import Curve, Table, median, table
from vis.metrics.tables import numbers, summary

TABLE = Table(["layer", "correlation"], [["head", "0.50"], ["a long <name>", "-1.00"]])


def test_text_is_aligned() -> None:
    assert TABLE == "layer          correlation\nhead                  0.50\na long <name>        -1.00"
    assert repr(TABLE) == str(TABLE) == TABLE
    assert TABLE.header == ("layer", "correlation") and TABLE.rows[1] == ("a long <name>", "-1.00")


def test_html_is_escaped() -> None:
    page = TABLE._repr_html_()
    assert page.startswith("<table>") and page.endswith("</table>")
    assert page.count("<tr>") == 3 and page.count("<td") == 4 and page.count("<th ") == 2
    assert "a long &lt;name&gt;" in page and "<name>" not in page


def test_tables_are_copied_and_pickled() -> None:
    for other in (copy.deepcopy(TABLE), pickle.loads(pickle.dumps(TABLE))):
        assert (other, other.header, other.rows) == (TABLE, TABLE.header, TABLE.rows)
        assert other._repr_html_() == TABLE._repr_html_()


CELLS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\u2028"), max_size=8)


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)
    )
)
def test_every_line_has_its_cells_in_their_columns(lines: list[list[str]]) -> None:
    header, *rows = lines
    found = str(Table(header, rows)).split("\n")
    assert len(found) == len(lines)
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    ends = np.cumsum([width + 2 for width in widths]) - 2
    for text, line in zip(found, lines, strict=True):
        for column, (cell, end, width) in enumerate(zip(line, ends, widths, strict=True)):
            part = text.ljust(ends[-1])[end - width : end]
            assert part == (cell.rjust(width) if column else cell.ljust(width))


@given(arrays.arrays(float, st.integers(0, 30), elements=st.floats(-1e6, 1e6) | st.just(np.nan)))
def test_a_median_is_of_what_is_known(values: np.ndarray) -> None:
    known = sorted(value for value in values.tolist() if value == value)
    found = median(values)
    if not known:
        assert np.isnan(found)
    else:
        middle = len(known) // 2
        pair = known[middle], known[middle if len(known) % 2 else middle - 1]
        assert found == pytest.approx(sum(pair) / 2)


def test_numbers_of_a_column_have_one_form() -> None:
    assert numbers([0.5, 0.001, -12, np.nan]) == ["0.50", "0.00", "-12.00", "nan"]
    assert numbers([0.0004, 0.002]) == ["4.0e-04", "2.0e-03"]
    assert numbers([1.0, 3e6]) == ["1.0e+00", "3.0e+06"]
    assert numbers([0.0, np.nan]) == ["0.00", "nan"]
    assert numbers([]) == []


def test_a_summary_of_an_array() -> None:
    assert summary(np.array([[1.0, np.nan, 0.25]])) == "<1 x 3 values, 0.25 to 1>"
    assert summary(np.full(2, np.nan)) == "<2 values>"
    assert summary(np.zeros((0, 4))) == "<0 x 4 values>"


CURVE = Curve(np.array([0, 0.5, 1]), np.array([[1.0, 0.5, 0], [1, 0, 0], [1, 1, 1]]), "removed")


def test_methods_side_by_side() -> None:
    found = table(
        {
            "vanilla": {
                "hits": np.array([True, False, True]),
                "energy": [0.1, np.nan, 0.5],
                "deletion": CURVE,
            },
            "guided": {"hits": np.array([True] * 3), "energy": [1, 2, 9], "deletion": CURVE},
        }
    )
    assert found.header == ("method", "hits", "energy", "deletion")
    assert found.rows == (("vanilla", "2 of 3", "0.30", "0.50"), ("guided", "3 of 3", "2.00", "0.50"))


@given(arrays.arrays(bool, st.integers(0, 50)))
def test_hits_are_counted(hits: np.ndarray) -> None:
    assert table({"a": {"hits": hits}}).rows == (("a", f"{sum(hits.tolist())} of {len(hits)}"),)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, "Every method must have the same measures"),
        ({"a": {}}, "Every method must have the same measures"),
        ({"a": {"x": [1]}, "b": {"y": [1]}}, r"Received: \{'a': \['x'\], 'b': \['y'\]\}"),
        ({"a": [0.5, 1.0]}, r"Received: \{'a': 'list'\}. Name the measure: "),
        ({"a": {"x": 0.5}}, r"'x' of 'a', of shape \(\)"),
        ({"a": {"x": np.ones((2, 2))}}, r"'x' of 'a', of shape \(2, 2\)"),
        ({"a": {"x": "good"}}, "'x' of 'a' must be an array of real numbers"),
    ],
)
def test_what_is_refused(results: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table(results)
