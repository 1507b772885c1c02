"""Files outside `docs/` that are pages of the site, too, and links to them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/results/*.md")
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def page_of(path: Path, root: Path) -> str | None:
    """Return the page of the site that a file of the repository is; None if it is not a page."""
    inside = path.relative_to(root)
    if inside == Path("README.md"):
        return "index.md"
    if inside.parent == Path("examples"):
        return "gallery/index.rst" if inside.suffix == ".md" else f"gallery/{inside.stem}.rst"
    if any(path.match(str(root / pattern)) for pattern in PAGES):
        return f"repository/{inside.name}"
    return None


def relinked(text: str, written_in: Path, page: Path, root: Path) -> str:
    """Return a page with its links changed to what their files are in the site.

    Args:
        text: the page.
        written_in: the file that the text comes from, which its links start at.
        page: the file that Sphinx reads.
        root: the folder of the repository.
    """

    def link(found: re.Match[str]) -> str:
        target = (written_in.parent / found[1]).resolve()
        if not target.is_relative_to(root):
            return found[0]
        inside = page_of(target, root)
        to = root / "docs" / inside if inside else target
        return f"]({os.path.relpath(to, page.parent)}{found[2] or ''})"

    return LINK.sub(link, text)


def copy(app: Sphinx) -> None:
    """Write the pages that have changed."""
    root, folder = Path(app.srcdir).parent, Path(app.srcdir) / "repository"
    folder.mkdir(exist_ok=True)
    for source in (path for pattern in PAGES for path in root.glob(pattern)):
        page = folder / source.name
        text = relinked(source.read_text(encoding="utf-8"), source, page, root)
        if not text.startswith("# "):
            text = f"# {source.relative_to(root)}\n\n{text}"
        if not page.is_file() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Change the links of a page of `docs/`."""
    path = Path(app.env.doc2path(name))
    if path.suffix == ".md" and path.parent.name not in ("repository", "api"):
        source[0] = relinked(source[0], path, path, Path(app.srcdir).parent)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", copy)
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
