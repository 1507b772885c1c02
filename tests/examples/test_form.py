"""The examples have the form of which sphinx-gallery makes pages and notebooks."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from tests.examples.running import EXAMPLES, SCRIPTS

START, END = "# sphinx_gallery_start_ignore", "# sphinx_gallery_end_ignore"
by_name = pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)


def blocks(source: str) -> list[tuple[str, str]]:
    """Return the text and the code of each cell; the first one's text is the docstring."""
    found = []
    for number, cell in enumerate(re.split(r"^# %%\n", source, flags=re.MULTILINE)):
        if number == 0:
            found.append((ast.get_docstring(ast.parse(cell), clean=True) or "", ""))
        else:
            comment = re.match(r"(?:#(?: .*)?\n)*", cell)
            assert comment is not None
            found.append((re.sub(r"^# ?", "", comment[0], flags=re.MULTILINE), cell[comment.end() :].strip()))
    return found


def shown(code: str) -> str:
    """Return code without what pages and notebooks leave out."""
    return re.sub(rf"^{START}\n.*?^{END}\n", "", code + "\n", flags=re.MULTILINE | re.DOTALL)


def names(tree: ast.AST) -> list[ast.Name]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Name)]


def test_the_table_lists_every_example() -> None:
    scripts = {path.name for path in SCRIPTS}
    table = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"\| `(\w+\.py)` \|", table)) == scripts
    assert set(re.findall(r"python examples/(\w+\.py)", table)) == scripts


@by_name
def test_title_and_cells(path: Path) -> None:
    source = path.read_text()
    (docstring, nothing), *cells = blocks(source)
    title, line, empty, *text = docstring.splitlines()
    assert line == "=" * len(title) and not empty and not nothing
    assert 1 <= len(re.findall(r"[.?!](?: |$)", " ".join(text))) <= 3  # sphinx-gallery shows it as a tooltip
    code = [code for _, code in cells if code]
    assert all(text.strip() for text, _ in cells) and 2 <= len(code) <= 6
    assert source.count(START) == source.count(END) >= 2 and "pyplot" not in source
    # What follows the last cell of code is what to see in the figures.
    assert any(line.endswith("figure") for line in (cell.splitlines()[-1] for cell in code))


@by_name
def test_pages_and_notebooks_need_nothing_that_they_leave_out(path: Path) -> None:
    cells = [code for _, code in blocks(path.read_text())[1:]]
    left_out = {
        node.id
        for node in names(
            ast.parse("\n".join(re.findall(rf"{START}\n(.*?){END}", "\n".join(cells), re.DOTALL)))
        )
        if isinstance(node.ctx, ast.Store)
    }
    visible = ast.parse("\n".join(shown(code) for code in cells))
    stored = {node.id for node in names(visible) if isinstance(node.ctx, ast.Store)}
    used = {node.id for node in names(visible)}
    assert "script" in left_out
    assert not (left_out - stored) & used


@pytest.mark.skipif(importlib.util.find_spec("docutils") is None, reason="docutils is not installed")
@by_name
def test_texts_are_restructured_text(path: Path) -> None:
    from docutils.core import publish_doctree

    for text, _ in blocks(path.read_text()):
        publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 5})


@by_name
def test_command_writes_its_picture_before_it_is_shown(path: Path) -> None:
    """The figure is the last expression of its cell, after the lines that save it."""
    saving = [code for _, code in blocks(path.read_text())[1:] if "script.save(figure" in code]
    assert len(saving) == 1
    last = ast.parse(saving[0]).body[-1]
    assert isinstance(last, ast.Expr) and isinstance(last.value, ast.Name) and last.value.id == "figure"


@pytest.mark.skipif(
    importlib.util.find_spec("sphinx_gallery") is None, reason="sphinx-gallery is not installed"
)
@by_name
def test_sphinx_gallery_reads_the_same_cells(path: Path) -> None:
    from sphinx_gallery.py_source_parser import remove_ignore_blocks, split_code_and_text_blocks

    _, found = split_code_and_text_blocks(str(path))
    own = [part for text, code in blocks(path.read_text()) for part in (text.strip(), code.strip()) if part]
    assert [block[1].strip() for block in found] == own
    for block in found:
        if block[0] == "code":
            compile(remove_ignore_blocks(block[1]), str(path), "exec")
