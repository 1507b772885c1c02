"""The page of traps is what its entries make it, and each entry is one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.traps.page import PAGE, page
from tests.traps.reports import REPORTS
from tests.traps.sections import SECTIONS


def test_page_is_made_from_the_entries() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.traps.page"


def test_names_are_unique() -> None:
    names = [trap.name for traps in SECTIONS.values() for trap in traps]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("test", sorted({test for *_, tests in REPORTS for test in tests}))
def test_what_is_reported_is_tested(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((Path(__file__).parents[1] / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in names if name else any(each.startswith("test_") for each in names)
