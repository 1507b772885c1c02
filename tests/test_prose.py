"""Phrases that no docstring, message, help text or documentation page may contain."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = [*(ROOT / "vis").rglob("*.py"), *(ROOT / "examples").glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")]
# The changelog quotes earlier wordings.
FILES = sorted(path for path in (*CODE, *PAGES) if path.name != "CHANGELOG.md")

# A phrase, as a regular expression, and what to write in its place.
AVOID = {
    r"\bweigh(s|ed|ing)?\b": "weighted, weights, used",
    r"\bplaces?\b": "position",
    r"\b(?<!there )(are|is) (?-i:none)\b|\bnone of (pictures|images|bytes)\b": "is not, has no",
    r"\bone's own\b|\bof a user's own\b": "custom, your own",
    r"\bspeaks? (for|against)\b": "supports, raises, lowers",
    r"\bvalues not finite\b": "NaN or infinite values",
    r"\b(?<!there )is no (?!longer\b|more\b|such\b)[a-z]": "is not a",
    r", and no (file|picture|map|layer)\b": "not a",
    r"\b(is|are) told\b": "receives",
    r"\bwhatever the \w+ provokes?\b": "any error",
    r"\bwithstands?\b": "reliability",
    r"\b(take|takes|taken) (it )?off\b": "remove",
    r"\banew\b": "again",
    r"\bin silence\b": "silently",
    r"\bhand(s|ed)? on\b": "pass on",
    r"\bwhat is given\b": "the inputs, the arguments",
    r"\bverbs?\b": "function",
    r"\b(the house|rooms?)\b": "package",
    r"\ba right map\b": "a correct map",
}
ALLOWED = r"\bdecimal places?\b|\bin place\b|\btakes? the place of\b|\btake place\b"


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield what a reader of a file sees, with line numbers: strings, or lines of a page outside code."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        is_code = False
        for number, line in enumerate(source.splitlines(), start=1):
            is_code ^= line.startswith("```")
            if not is_code:
                yield number, re.sub(r"`[^`]*`", "``", line)
        return
    if path.parent.name == "examples":  # the comments of its cells are the text of a page
        for number, line in enumerate(source.splitlines(), start=1):
            if line.startswith("# "):
                yield number, re.sub(r"``[^`]*``", "``", line)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


ANY = re.compile("|".join(AVOID), re.IGNORECASE)


def found(path: Path) -> list[str]:
    """Return the phrases in a file that should be written differently."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r} -> {better}"
        for number, text in texts(path)
        if ANY.search(allowed := re.sub(ALLOWED, "", text))
        for pattern, better in AVOID.items()
        for match in re.finditer(pattern, allowed, re.IGNORECASE)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_prose(path: Path) -> None:
    phrases = found(path)
    assert not phrases, "\n".join(phrases)


def test_what_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_prose.ROOT", tmp_path)
    code, page = tmp_path / "code.py", tmp_path / "page.md"
    code.write_text('place = f"The places of {place} are weighed."\nother = "Rounded to 3 decimal places."\n')
    page.write_text("Weights are drawn anew, `anew`.\n```\nanew\n```\nThere is no layer. It is no layer.\n")
    assert found(code) == [
        "code.py:1: 'places' -> position",
        "code.py:1: 'weighed' -> weighted, weights, used",
    ]
    cells = tmp_path / "examples" / "cells.py"
    cells.parent.mkdir()
    cells.write_text("# %%\n# The places, ``anew``.\nx = 1  # anew\n")
    assert found(cells) == ["examples/cells.py:2: 'places' -> position"]
    assert found(page) == ["page.md:1: 'anew' -> again", "page.md:5: 'is no l' -> is not a"]
