"""The built site holds together: `make docs` runs this after the build."""

from __future__ import annotations

import importlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.test_public import PUBLIC

SITE = Path(__file__).parents[2] / "docs" / "_build"

pytestmark = pytest.mark.skipif(not (SITE / "index.html").exists(), reason="not built: make docs")
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.described: list[bool] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for value in (found.get("id"), found.get("name")) if value}
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if tag in LOADED and found.get(LOADED[tag]):
            self.loaded.append(str(found[LOADED[tag]]))
        if tag == "img":
            self.described.append("alt" in found)


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    return {path: Page(path) for path in SITE.rglob("*.html")}


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    dead = []
    for path, page in pages.items():
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else None
            if not target.exists() or (
                parts.fragment and anchors is not None and parts.fragment not in anchors
            ):
                dead.append(f"{path.relative_to(SITE)}: {link}")
    assert not dead, "\n".join(dead)


def test_nothing_is_loaded_from_another_host(pages: dict[Path, Page]) -> None:
    foreign = {link for page in pages.values() for link in page.loaded if urlsplit(link).netloc}
    assert not foreign
    for path in SITE.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path


def test_every_picture_is_described(pages: dict[Path, Page]) -> None:
    assert all(all(page.described) for page in pages.values())


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_is_in_the_reference(module: str, pages: dict[Path, Page]) -> None:
    page = pages[SITE / "api" / f"{module}.html"]
    for name in PUBLIC[module]:
        if name == "__version__":
            continue
        shown = [link for link in page.links if link.split("#")[0].endswith(f".{name}.html")]
        assert shown, f"{module}.{name} has no page"
        thing = getattr(importlib.import_module(module), name)
        if isinstance(thing, type) and thing.__module__.startswith("vis."):
            text = (SITE / "api" / shown[0].split("#")[0]).read_text(encoding="utf-8")
            assert "_modules/" in text, f"{module}.{name} has no link to its source"
            assert not re.search(r"<p>(Args|Returns|Raises|Warns|Reference):", text), (
                f"{name}: a section is not read"
            )


def test_what_is_searched_offline() -> None:
    text = (SITE / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    titles = {title.lower() for title in index["titles"]}
    assert {"visualize_saliency", "integratedgradients", "which method?"} <= titles
