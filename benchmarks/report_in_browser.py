"""A report of 1,000 pictures: its size, the time to write it, and how a browser without a network shows it.

Crops of scikit-learn's sample photographs are explained with a small untrained network, whose noisy maps
compress badly, and the report is opened in headless Chromium with the network cut. Nothing may be requested,
no message may come to the console, a file name with `<script>` has to stay text, sorting, searching and
paging have to work by keyboard, and axe-core may find nothing serious, in a wide and a narrow window, light
and dark.

    pip install axe-playwright-python && apt-get install chromium
    python benchmarks/report_in_browser.py

Without Chromium or playwright it says so and ends.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from browsing import axe_core, chromium, expect, violations

COUNT, SIDE, CLASSES = 1000, 224, 10
EVIL = "<script>alert(1)<_script>.jpg"
RESULTS = Path(__file__).with_name("results")


def write_run(folder: Path) -> None:
    """Explain pictures in a folder into a group, with a label of each as its target."""
    import keras
    from keras import layers
    from PIL import Image
    from sklearn.datasets import load_sample_images

    from vis import files
    from vis.attributions import Saliency

    rng, photos = np.random.default_rng(0), load_sample_images().images
    (folder / "photos").mkdir()
    for number in range(COUNT):
        photo = photos[number % len(photos)]
        y, x = rng.integers(0, photo.shape[0] - SIDE), rng.integers(0, photo.shape[1] - SIDE)
        name = EVIL if number == 3 else f"IMG_{number:04d}.jpg"
        Image.fromarray(photo[y : y + SIDE, x : x + SIDE]).save(folder / "photos" / name, quality=90)
    (folder / "photos" / "broken.jpg").write_text("no picture")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES),
        ]
    )
    pictures = files.ImageFolder(folder / "photos", (SIDE, SIDE, 3), lambda picture: picture / 255)
    targets = rng.integers(0, CLASSES, len(pictures))
    source = {"folder": str(folder / "photos"), "shape": [SIDE, SIDE, 3], "fit": "crop"}
    Saliency(model).write(pictures, folder / "maps.zarr", targets, source=source)
    names = "".join(f"{path.name}\n" for path in pictures.paths)
    (folder / "maps.zarr.txt").write_text(names)


def check(browser: Any, page: Path, axe: str | None, width: int, scheme: str) -> dict[str, Any]:
    """Open the page, use it by keyboard, and return what was seen.

    Raises:
        AssertionError: if something is not as it should be.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True, bypass_csp=False
    )
    tab = context.new_page()
    asked: list[str] = []
    said: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(f"a dialog: {dialog.message}"))
    start = time.monotonic()
    tab.goto(page.as_uri(), wait_until="load")
    tab.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    seconds = time.monotonic() - start
    cards = tab.locator(".card")
    expect(cards.count() == 24, "a page has 24 cards")
    title = cards.nth(0).locator("h3").inner_text()
    expect(title == EVIL, f"the name stays a text: {title}")
    status = tab.locator("#status").inner_text()
    expect(status == f"1 to 24 of {COUNT:,}", status)
    expect(tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is cut at the side")
    tab.locator("#sort").focus()
    tab.keyboard.type("score, l")  # lowest first
    scores = [
        float(text) for text in tab.eval_on_selector_all(".card", "all => all.map(e => e.dataset.score)")
    ]
    expect(scores == sorted(scores) and scores[0] < scores[-1], f"sorted by score: {scores}")
    tab.locator("nav button", has_text="Next").first.focus()
    tab.keyboard.press("Enter")
    status = tab.locator("#status").inner_text()
    expect(status == f"25 to 48 of {COUNT:,}", status)
    following = float(cards.nth(0).get_attribute("data-score"))
    expect(following >= scores[-1], "the next page goes on")
    tab.locator("#equal").select_option("0")
    differing = tab.eval_on_selector_all(".card", "all => all.every(e => e.dataset.equal === '0')")
    expect(differing, "only those that differ from their target")
    tab.locator("#equal").select_option("")
    tab.locator("#find").fill("<SCRIPT>")
    expect(cards.count() == 1 and cards.nth(0).get_attribute("data-name") == EVIL, "found by its name")
    tab.locator("#find").fill("no such file")
    expect(tab.locator("#status").inner_text() == "No map is like this.", "it says that nothing is found")
    tab.locator("#find").fill("")
    expect([url for url in asked if not url.startswith(("data:", "file:"))] == [], f"requests: {asked[:5]}")
    expect([url for url in asked if url.startswith("file:")] == [page.as_uri()], "the page alone is read")
    expect(said == [], f"the console: {said}")
    found = violations(tab, axe) if axe is not None else []
    context.close()
    return {"width": width, "scheme": scheme, "seconds_to_open": round(seconds, 2), "axe": found}


def check_without_script(browser: Any, page: Path) -> None:
    """Without JavaScript the page is one long list."""
    context = browser.new_context(java_script_enabled=False, offline=True)
    tab = context.new_page()
    tab.goto(page.as_uri(), wait_until="load")
    expect(tab.locator(".card").count() == COUNT, "all cards are there")
    expect(not tab.locator("#controls").is_visible(), "and no control that would do nothing")
    context.close()


def main() -> None:
    axe = axe_core()
    import vis

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_run(folder)
        start = time.monotonic()
        page = vis.report(folder / "maps.zarr", count=None, labels=[f"class {i}" for i in range(CLASSES)])
        seconds = time.monotonic() - start
        figures: dict[str, Any] = {
            "pictures": COUNT,
            "megabytes": round(page.stat().st_size / 1e6, 1),
            "seconds_to_write": round(seconds, 1),
        }
        with chromium() as browser:
            figures["chromium"] = browser.version
            figures["opened"] = [
                check(browser, page, axe, width, scheme)
                for width in (1280, 400)
                for scheme in ("light", "dark")
            ]
            check_without_script(browser, page)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "report_in_browser.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
