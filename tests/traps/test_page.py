"""The page of traps is what its entries make it, and each entry is one."""

from __future__ import annotations

from tests.traps.page import PAGE, page
from tests.traps.sections import SECTIONS


def test_page_is_made_from_the_entries() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.traps.page"


def test_names_are_unique() -> None:
    names = [trap.name for traps in SECTIONS.values() for trap in traps]
    assert len(names) == len(set(names))
