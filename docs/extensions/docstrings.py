"""Docstrings of this project in Sphinx: Markdown, with sections of the Google style (`Args:`, `Raises:`)."""

from __future__ import annotations

import inspect
import re
from typing import Any

from docutils import nodes
from docutils.utils import new_document
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

TITLES = {"Args": "Parameters", "Reference": "Source", "References": "Sources"}
# A line at the margin that ends in a colon, with nothing but indented lines and empty ones after it.
SECTION = re.compile(r"^(?P<title>[A-Z][\w `]*):\n(?P<body>(?:[ \t]+\S.*\n|[ \t]*\n)+)", re.MULTILINE)
IN_A_LINE = re.compile(r"^(Args|Returns|Raises|Warns|Reference): (?=\S)", re.MULTILINE)
NAMED = re.compile(r"^(?P<names>[*\w,\s]+):\s(?P<text>.*)", re.DOTALL)
# Sections whose items have names, and sections whose items start at the margin of the section.
ITEMS = {"Args", "Attributes", "Raises", "Warns"}


def as_markdown(docstring: str, types: dict[str, str] | None = None) -> str:
    """Return a docstring with its sections as definition lists of Markdown.

    Args:
        docstring: with the indentation removed.
        types: the types of the parameters, by name.
    """

    def section(found: re.Match[str]) -> str:
        title, body = found["title"], inspect.cleandoc("\n" + found["body"])
        if title in ITEMS:
            body = "\n\n".join(_item(item, types or {}) for item in re.split(r"\n(?=\S)", body))
        return f"\n**{TITLES.get(title, title)}**\n\n{body}\n\n"

    return IN_A_LINE.sub(
        lambda found: f"**{TITLES.get(found[1], found[1])}**: ", SECTION.sub(section, docstring + "\n")
    )


def _item(item: str, types: dict[str, str]) -> str:
    found = NAMED.match(item)
    if found is None:
        return item
    names = re.split(r",\s*", " ".join(found["names"].split()))
    known = {types[name.lstrip("*")] for name in names if name.lstrip("*") in types}
    term = ", ".join(f"`{name}`" for name in names)
    if len(known) == 1:
        term += f" : `{known.pop()}`{{.type}}"
    text = inspect.cleandoc("\n" + "\n".join([_first(found["text"]), *found["text"].splitlines()[1:]]))
    first, *rest = text.splitlines()
    return "\n".join([term, f": {first}", *("  " + line for line in rest)])


def _first(text: str) -> str:
    """Return the first line as deep as those after it, so that all lose the same indentation."""
    lines = text.splitlines()
    deep = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return " " * deep + lines[0].lstrip() if lines else ""


def types_of(thing: Any) -> dict[str, str]:
    """Return the annotations of what a function or class takes, as they are written."""
    try:
        parameters = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return {}
    written = {each.name: each.annotation for each in parameters if each.annotation is not each.empty}
    return {
        name: kind if isinstance(kind, str) else inspect.formatannotation(kind)
        for name, kind in written.items()
    }


class Markdown(SphinxDirective):
    """Content in Markdown inside reStructuredText."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        source, _ = self.get_source_info()
        document = new_document(source, self.state.document.settings)
        MystParser().parse("\n".join(self.content), document)
        return document.children


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Replace the lines of a docstring by a directive with its Markdown."""
    if what == "data":  # what an alias stands for has a docstring of its own
        module, _, alone = name.rpartition(".")
        lines[:] = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", alone), [])
    text = as_markdown("\n".join(lines), types_of(thing) if what != "module" else None)
    lines[:] = [".. markdown::", "", *("   " + line if line else "" for line in text.splitlines()), ""]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("markdown", Markdown)
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
