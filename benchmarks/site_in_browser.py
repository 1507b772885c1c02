"""The built documentation in headless Chromium: wide and narrow, light and dark.

Nothing may be asked of another host, no page may be wider than the window or leave a message in the
console, the search has to find a name without a network, and axe-core may find nothing serious.

    make docs && pip install axe-playwright-python && apt-get install chromium
    python benchmarks/site_in_browser.py
"""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from browsing import axe_core, chromium, expect, violations

SITE = Path(__file__).parents[1] / "docs" / "_build"
# Of the reference, a few pages of each form.
REFERENCE = (
    "index",
    "vis.attributions",
    "vis.attributions.LRP",
    "vis.visualization.visualize_saliency",
    "vis.words.Reducer",
)
WIDTHS, SCHEMES = (1280, 390), ("light", "dark")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def names() -> list[str]:
    """Return the pages that are looked at."""
    paths = [path.relative_to(SITE) for path in SITE.rglob("*.html")]
    kept = [path for path in paths if path.parts[0] not in ("_modules", "api", "_static", "_sources")]
    return sorted(map(str, kept)) + [f"api/{name}.html" for name in REFERENCE]


def look(browser: Any, address: str, axe: str | None, width: int, scheme: str) -> list[str]:
    """Open each page in one window and return what is wrong with it."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    tab.on("pageerror", lambda error: said.append(str(error)))
    wrong = []
    for name in names():
        said.clear()
        tab.goto(f"{address}/{name}", wait_until="load")
        try:
            wide = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
            expect(wide <= 0, f"wider than the window by {wide} pixels")
            expect(not said, f"the console: {said}")
            if axe is not None:
                violations(tab, axe)
        except AssertionError as error:
            wrong.append(f"{name}, {width}, {scheme}: {error}")
    tab.goto(f"{address}/search.html?q=guided", wait_until="load")
    tab.wait_for_selector("#search-results li", timeout=10_000)
    found = tab.locator("#search-results li").count()
    expect(found >= 5, f"the search finds {found} pages")
    foreign = [url for url in asked if not url.startswith((address, "data:"))]
    expect(not foreign, f"asked of other hosts: {foreign[:5]}")
    context.close()
    return wrong


def main() -> None:
    axe = axe_core()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with chromium() as browser:
        wrong = [
            line
            for width in WIDTHS
            for scheme in SCHEMES
            for line in look(browser, address, axe, width, scheme)
        ]
    server.shutdown()
    print("\n".join(wrong) or f"{len(names())} pages, {len(WIDTHS) * len(SCHEMES)} windows: nothing serious")
    expect(not wrong, f"{len(wrong)} findings")


if __name__ == "__main__":
    main()
