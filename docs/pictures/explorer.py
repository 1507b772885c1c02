"""Draws docs/explorer.png, the page of `vis explore --demo`, with a Chromium that is on the path.

pip install playwright && apt-get install chromium
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from vis.explorer.server import Explorer
from vis.explorer.session import Session, demo

STATE = (
    "?picture=3&method=saliency&target=4&o.grad_modifier=none"
    "&pin=method%3Dlrp%26target%3D4&pin=method%3Dgradcam%26target%3D4"
    "&pin=method%3Docclusion%26target%3D4%26o.patch_size%3D8%26o.patch_stride%3D2"
)
DRAWN = "() => document.querySelectorAll('article:not(.old) .scale:not([hidden])').length == 4"


def session() -> Session:
    network, images, opened = demo()
    return Session(network, images, opened)


def main() -> None:
    explorer = Explorer(session).start()
    address, _, token = explorer.url.partition("#")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1310}, color_scheme="light")
        page.goto(f"{address}{STATE}#{token}")
        page.wait_for_function(DRAWN)
        page.locator("#predictions button").nth(4).wait_for()
        page.wait_for_function("() => document.querySelectorAll('#strip img[src]').length >= 8")
        page.screenshot(path=Path(__file__).parents[1] / "explorer.png")
        browser.close()
    explorer.close()


if __name__ == "__main__":
    main()
