"""Draws docs/explorer.gif, a walk through the page of `vis explore --demo`, and docs/explorer.png, its end.

It needs the extra `browser` and a Chromium on the path: apt-get install chromium
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

from vis import files
from vis.explorer.server import Explorer
from vis.explorer.session import Session, demo

# Of the window, in its own pixels; of the line above it.
WIDTH, HEIGHT, LINE = 1280, 1088, 64
# Of the recording: 960 pixels wide.
SCALE = 0.75
MILLISECONDS = 1800
INK, GROUND, RING = "#1b1f24", "#ffffff", "#e8590c"

# Whether the page shows columns with these titles and the maps of this sample, and all that is beside them.
SHOWN = """([titles, sample, beside]) => {
    const [columns, strip] = [[...document.querySelectorAll("article")], document.querySelector("#strip")];
    const drawn = (each, i) => !each.classList.contains("old")
        && each.querySelector("h3").textContent === titles[i] && each.querySelector("img")?.alt === sample;
    const seen = (each) => each.offsetLeft - strip.offsetLeft < strip.clientWidth;
    return columns.length === titles.length
        && columns.every(drawn)
        && document.querySelectorAll("[data-beside] img").length === beside
        && document.querySelectorAll("[data-beside]").length === beside
        && document.querySelectorAll("#predictions button").length === 5
        && [...strip.children].filter(seen).every((each) => each.firstChild.naturalWidth)
        && [...document.images].every((each) => each.complete);
}"""


def session() -> Session:
    network, images, opened = demo()
    return Session(network, images, opened)


def opened(browser: Any, url: str, scale: float) -> Any:
    """Return the page in a window of its own, a pixel of which is drawn as `scale` pixels."""
    window = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        device_scale_factor=scale,
        color_scheme="light",
        permissions=["clipboard-read", "clipboard-write"],
    )
    tab = window.new_page()
    tab.set_default_timeout(120_000)  # milliseconds
    tab.goto(url)
    return tab


def wait(tab: Any, titles: Sequence[str], sample: str, beside: int = 0) -> None:
    tab.wait_for_function(SHOWN, arg=[titles, sample, beside])


def still(tab: Any, **options: Any) -> Image.Image:
    """Return what a window shows, when two looks at it are the same."""
    before, now = b"", tab.screenshot(**options)
    while before != now:
        before, now = now, tab.screenshot(**options)
    return Image.open(io.BytesIO(now)).convert("RGB")


def frame(tab: Any, says: str, at: Any = None) -> Image.Image:
    """Return what a window shows under a line of text, with a ring around the control that was used."""
    picture = still(tab)
    scale = picture.width / WIDTH
    line = round(LINE * scale)
    found = Image.new("RGB", (picture.width, picture.height + line), INK)
    found.paste(picture, (0, line))
    draw = ImageDraw.Draw(found)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), round(0.45 * LINE * scale))
    draw.text((0.3 * line, line / 2), says, GROUND, font, anchor="lm")
    box = None if at is None else at.bounding_box()
    if box is not None and box["y"] >= 0 and box["y"] + box["height"] <= HEIGHT:
        left, top = scale * (box["x"] - 5), line + scale * (box["y"] - 5)
        right, bottom = left + scale * (box["width"] + 10), top + scale * (box["height"] + 10)
        draw.rounded_rectangle(
            (left, top, right, bottom), 9 * scale, outline=RING, width=max(1, round(5 * scale))
        )
    return found


def to_the_end(at: Any) -> None:
    """Scroll until the end of an element is seen."""
    at.evaluate("(each) => scrollBy(0, each.getBoundingClientRect().bottom + 12 - innerHeight)")


def to_the_top(tab: Any) -> None:
    tab.evaluate("scrollTo(0, 0)")


def walk(tab: Any) -> Iterator[Image.Image]:
    """Use the page of the demo from its start, and give a picture after each step."""
    output, sample = "saliency of the output, predicted class", "images[3]"
    wait(tab, [output], "images[0]")
    yield frame(tab, "vis explore --demo shows what the network looks at.")

    at = tab.locator("#strip button").nth(3)
    at.click()
    tab.locator("#predictions button", has_text="class 6").wait_for()
    wait(tab, [output], sample)
    yield frame(tab, "Pick a picture.", at)

    at = tab.locator("#predictions button").nth(1)
    at.click()
    wait(tab, ["saliency of the output, class 9"], sample)
    yield frame(tab, "Click a class to see what decides about it.", at)

    at = tab.locator("#layers li", has_text="relu2")
    at.click()
    wait(tab, ["saliency of relu2, filter 0"], sample)
    yield frame(tab, "Click a layer.", at)

    tab.locator("#grid summary").click()
    at = tab.locator("#filters button").nth(3)
    at.click()
    wait(tab, ["saliency of relu2, filter 3"], sample)
    to_the_end(tab.locator("article"))
    yield frame(tab, "Open its filters and pick one.", at)

    box = tab.locator("#show-maximize")
    box.check()
    wait(tab, ["saliency of relu2, filter 3"], sample, 1)
    to_the_end(tab.locator("article"))
    yield frame(tab, "See a picture that it responds to.", box.locator(".."))

    box.uncheck()
    tab.locator("#predictions button").first.click()
    at = tab.locator("#method")
    at.select_option("lrp")
    wait(tab, ["lrp of the output, class 4"], sample)
    to_the_top(tab)
    yield frame(tab, "Go back to the class and choose another method.", at)

    box = tab.locator("#show-sanity")
    box.check()
    wait(tab, ["lrp of the output, class 4"], sample, 1)
    to_the_end(tab.locator("[data-beside] img"))
    yield frame(tab, "See whether the map changes when layers are given random weights.", box.locator(".."))

    at = tab.locator("#pin")
    at.click()
    wait(tab, ["lrp of the output, class 4"] * 2, sample, 2)
    yield frame(tab, "Pin it as a column.", at)

    box.uncheck()
    tab.locator("#method").select_option("saliency")
    at = tab.locator("#backprop_modifier")
    at.select_option("guided")
    titles = ["saliency of the output, class 4, backprop_modifier guided", "lrp of the output, class 4"]
    wait(tab, titles, sample, 2)
    to_the_top(tab)
    yield frame(tab, "Choose guided backpropagation beside it.", at)

    to_the_end(tab.locator("[data-beside] img").first)
    yield frame(tab, "Its sanity curve comes by itself: this map stays alike.")

    at = tab.locator("#script")
    at.click()
    tab.get_by_text("Copied.", exact=True).wait_for()
    yield frame(tab, "Copy the Python that makes the map.")


def in_few_colours(frames: Sequence[Image.Image]) -> list[npt.NDArray[np.uint8]]:
    """Return pictures in the same 256 colours: the 32 commonest, and others that are near to what is left."""
    pixels = np.concatenate([np.asarray(each, np.uint32).reshape(-1, 3) for each in frames])
    codes, counts = np.unique(pixels @ np.array([2**16, 2**8, 1], np.uint32), return_counts=True)
    codes = codes[np.argsort(-counts, kind="stable")]
    found = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)
    others = Image.fromarray(found[None, 32:]).quantize(224, Image.Quantize.MEDIANCUT, kmeans=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*found[:32].ravel().tolist(), *(others.getpalette() or ())[: 3 * 224]])
    return [np.asarray(each.quantize(palette=palette).convert("RGB")) for each in frames]


def draw(browser: Any, folder: Path, scale: float = SCALE) -> Any:
    """Write both pictures into a folder, and return the page at the end of the walk."""
    explorer = Explorer(session).start()
    try:
        tab = opened(browser, explorer.url, scale)
        *frames, last = in_few_colours([*walk(tab)])
        files.write_gif(folder / "explorer.gif", [*frames, last, last], MILLISECONDS)
        other = opened(browser, tab.url + "#" + explorer.url.split("#")[1], scale / SCALE)
        wait(other, tab.locator("h3").all_inner_texts(), "images[3]", 2)
        files.save_picture(folder / "explorer.png", np.asarray(still(other, full_page=True)))
    finally:
        explorer.close()
    return tab


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        draw(browser, Path(__file__).parents[1])
        browser.close()


if __name__ == "__main__":
    main()
