"""Headless Chromium, driven by playwright, and axe-core in it."""

from __future__ import annotations

import importlib.resources
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser; end the program with the reason where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sys.exit("This needs playwright: pip install playwright.")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("This needs Chromium, found as chromium on the path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def axe_core() -> str | None:
    """Return the script of axe-core: of the path that is the program's first argument, or of a package."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1]).read_text("utf-8")
    try:
        return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    except ImportError:
        print("axe-core is left out: pip install axe-playwright-python, or pass the path of axe.min.js.")
        return None


def violations(tab: Any, axe: str) -> list[str]:
    """Return what axe-core finds in an open page.

    Raises:
        AssertionError: if it finds something serious.
    """
    tab.evaluate(axe)
    results = tab.evaluate("axe.run(document)")
    expect(len(results["passes"]) > 15, "axe-core has looked at the page")
    found = [
        f"{each['impact']}: {each['id']}, {len(each['nodes'])} elements, {each['nodes'][0]['html'][:120]}"
        for each in results["violations"]
    ]
    serious = [line for line in found if line.startswith(("serious", "critical"))]
    expect(not serious, f"axe-core: {serious}")
    return found


def expect(condition: Any, words: str) -> None:
    if not condition:
        raise AssertionError(words)
