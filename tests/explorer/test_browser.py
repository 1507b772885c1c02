"""The page in a real browser; skipped where there is none."""

from __future__ import annotations

import base64
import contextlib
import importlib.resources
import io
import re
import runpy
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("httpx")
pytest.importorskip("uvicorn")

import vis  # noqa: E402
from tests.explorer.conftest import network  # noqa: E402
from tests.explorer.test_samples import BATCH, WORDS, several  # noqa: E402
from vis.explorer.server import Explorer  # noqa: E402
from vis.explorer.session import Session  # noqa: E402
from vis.explorer.settings import Setting  # noqa: E402

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium on the path")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def explorer(folder: Path) -> Iterator[Explorer]:
    made = Explorer(
        lambda: Session(folder / "model.keras", folder / "photos", input_range=(0.0, 1.0))
    ).start()
    yield made
    made.close()


@contextlib.contextmanager
def page_of(browser: Any, explorer: Explorer, state: str = "") -> Iterator[Any]:
    """Give an open page, which must not ask another host, nor write an error to its console."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    context.set_default_timeout(120_000)  # milliseconds, on a machine that runs other tests
    hosts: set[str] = set()
    wrong: list[str] = []
    page.on("request", lambda each: hosts.add(re.sub(r"(?<=\w)[/,].*", "", each.url.split("://")[-1])))
    page.on("pageerror", lambda each: wrong.append(str(each)))
    address, _, token = explorer.url.partition("#")
    page.goto(f"{address}{state}#{token}")
    drawn(page)
    yield page
    own = explorer.url.split("/")[2]
    assert {host for host in hosts if not host.startswith(("data:", "blob:"))} == {own}
    assert not wrong
    context.close()


@pytest.fixture
def tab(browser: Any, explorer: Explorer) -> Iterator[Any]:
    with page_of(browser, explorer) as page:
        yield page


def drawn(page: Any, columns: int = 1) -> None:
    """Wait until each column shows the map that was asked last."""
    count = (
        "[...document.querySelectorAll('article:not(.old)')].filter(e => e.querySelector('.scale')).length"
    )
    page.wait_for_function(f"n => {count} == n", arg=columns)


def map_in(page: Any, column: int = 0) -> bytes:
    """Return the picture of a map that a page shows."""
    source = page.locator("article").nth(column).locator(".views img").nth(1).get_attribute("src")
    assert source.startswith("data:image/png;base64,")
    return base64.b64decode(source.split(",")[1])


def expected(folder: Path, **setting: Any) -> bytes:
    about = Session(folder / "model.keras", folder / "photos", input_range=(0.0, 1.0))
    return about.explain(Setting(**{"picture": 0, **setting})).maps[0].picture


def test_the_token_leaves_the_address(tab: Any, explorer: Explorer) -> None:
    assert "token" not in tab.url
    again = tab.context.new_page()  # another tab has the cookie
    again.goto(tab.url)
    drawn(again)
    stranger = tab.context.browser.new_context().new_page()
    stranger.goto(tab.url)
    stranger.wait_for_selector("#failed:visible")
    assert "token" in stranger.locator("#failed").inner_text()
    assert stranger.locator("#work").is_hidden()


def test_every_control(tab: Any, folder: Path) -> None:
    assert map_in(tab) == expected(folder)
    tab.locator("#predictions button").nth(1).click()
    drawn(tab)
    target = int(re.search(r"\d+", tab.locator("#predictions button").nth(1).inner_text())[0])  # type: ignore[index]
    assert map_in(tab) == expected(folder, target=target)
    assert tab.locator("#predictions button").nth(1).get_attribute("aria-pressed") == "true"
    tab.locator("#strip button").nth(1).click()
    drawn(tab)
    assert map_in(tab) == expected(folder, picture=1, target=target)
    tab.locator("#filter").fill("smo")
    assert tab.locator("#layers li").count() == 1
    tab.locator("#layers li").click()
    tab.locator("#target").fill("2")
    tab.locator("#backprop_modifier").select_option("guided")
    tab.locator("#grad_modifier").select_option("none")
    drawn(tab)
    options = (("backprop_modifier", "guided"), ("grad_modifier", "none"))
    assert map_in(tab) == expected(folder, picture=1, layer=2, target=2, options=options)
    tab.locator("[data-beside=sanity] img").wait_for()
    assert "Signed" in tab.locator("article .scale").inner_text()
    tab.locator("#method").select_option("gradcam")
    assert tab.locator("#grad_modifier").is_disabled()
    assert "takes none" in tab.locator("#grad_modifier-why").inner_text()
    tab.locator("#more-options summary").click()
    tab.locator("#option-conv_layer").fill("conv")
    tab.locator("#option-conv_layer").press("Tab")
    drawn(tab)
    options = (("backprop_modifier", "guided"), ("conv_layer", "conv"))
    assert map_in(tab) == expected(folder, picture=1, layer=2, target=2, method="gradcam", options=options)


def test_the_opacity_makes_no_request(tab: Any) -> None:
    sent: list[str] = []
    tab.on("request", lambda each: sent.append(each.url))
    tab.locator("#opacity").fill("0.2")
    assert tab.evaluate("getComputedStyle(document.querySelector('.over')).opacity") == "0.2"
    assert sent == []


def test_a_burst_of_changes(tab: Any, folder: Path) -> None:
    for number in range(20):
        tab.locator("#target").fill(str(number % 5))
    tab.locator("#target").fill("3")
    drawn(tab)
    tab.wait_for_timeout(500)
    assert map_in(tab) == expected(folder, target=3)
    assert "target=3" in tab.url


def test_every_state_is_an_address(tab: Any, folder: Path) -> None:
    tab.locator("#pin").click()
    drawn(tab, 2)
    tab.locator("#layers li", has_text="smooth").click()
    drawn(tab, 2)
    tab.locator("#backprop_modifier").select_option("guided")
    drawn(tab, 2)
    now, pinned = map_in(tab), map_in(tab, 1)
    assert pinned == expected(folder) and now != pinned
    other = tab.context.new_page()
    other.goto(tab.url)
    drawn(other, 2)
    assert (map_in(other), map_in(other, 1)) == (now, pinned)
    assert other.locator("#backprop_modifier").input_value() == "guided"
    tab.go_back()
    drawn(tab, 2)
    assert tab.locator("#backprop_modifier").input_value() == "none"
    assert map_in(tab) == expected(folder, layer=2, target=0)
    tab.get_by_role("button", name="Unpin").click()
    assert tab.locator("article").count() == 1


def test_errors_are_alerts_and_grey_the_old_map(tab: Any) -> None:
    before = map_in(tab)
    tab.locator("#target").fill("77")
    tab.wait_for_function("() => document.querySelector('article [role=alert]').textContent")
    assert "77" in tab.locator("article [role=alert]").inner_text()
    assert tab.locator("article.old").count() == 1 and map_in(tab) == before
    assert tab.evaluate("getComputedStyle(document.querySelector('.old .maps')).opacity") == "0.35"
    tab.locator("#target").fill("1")
    drawn(tab)
    assert tab.locator("article [role=alert]").inner_text() == ""


def test_warnings_are_text(tab: Any) -> None:
    tab.locator("#backprop_modifier").select_option("epsilon_plus")
    drawn(tab)
    assert "drops the sign of relevance" in tab.locator("article .warnings li").inner_text()
    tab.locator("#strip button").nth(1).click()
    drawn(tab)
    assert "drops the sign of relevance" in tab.locator("article .warnings li").inner_text()
    tab.locator("#grad_modifier").select_option("none")
    drawn(tab)
    assert tab.locator("article .warnings li").count() == 0


def test_escape_drops(tab: Any, explorer: Explorer) -> None:
    explorer._pages.worker.ask("other", lambda: time.sleep(2))
    tab.locator("#target").fill("4")
    tab.locator("article.old").wait_for()
    tab.wait_for_function("() => document.querySelector('article').innerText.includes('Esc drops it')")
    tab.keyboard.press("Escape")
    assert "Dropped" in tab.locator("article").inner_text()
    assert tab.locator("article.old").count() == 1
    tab.wait_for_timeout(2500)
    assert "Dropped" in tab.locator("article").inner_text(), "what comes later is not drawn"


def test_pictures_are_chosen_dropped_and_pasted(tab: Any) -> None:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "PNG")
    given = {"name": "<b>chosen</b>.png", "mimeType": "image/png", "buffer": file.getvalue()}
    tab.locator("#files").set_input_files(given)
    tab.wait_for_function("() => document.querySelectorAll('#strip button').length == 4")
    assert "b>.png" in tab.locator("#strip button").nth(3).inner_text()
    assert tab.locator("#strip b").count() == 0, "names are text"
    drawn(tab)
    for kind, count in (("drop", 5), ("paste", 6)):
        tab.evaluate(
            """([kind, bytes]) => {
                const data = new DataTransfer();
                data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
                const event = kind == "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true })
                    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
                document.body.dispatchEvent(event);
            }""",
            [kind, [*file.getvalue()]],
        )
        tab.wait_for_function("n => document.querySelectorAll('#strip button').length == n", arg=count)
    tab.locator("#files").set_input_files({"name": "words.png", "mimeType": "image/png", "buffer": b"words"})
    tab.wait_for_selector("#failed:visible")
    assert "is not a picture" in tab.locator("#failed").inner_text()


def test_by_keyboard_alone(tab: Any, folder: Path) -> None:
    tab.locator("#filter").focus()
    tab.keyboard.type("conv")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("Enter")
    drawn(tab)
    assert map_in(tab) == expected(folder, layer=1, target=0)
    for _ in range(2):
        tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.closest('#strip') !== null")
    tab.keyboard.press("Enter")
    drawn(tab)
    assert "picture=1" in tab.url
    reached = set()
    for _ in range(40):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.id"))
    assert {"files", "target", "method", "grad_modifier", "backprop_modifier", "opacity", "pin"} <= reached
    assert {"show-sanity", "show-measures", "show-maximize"} <= reached


def test_the_copied_script_makes_the_picture(tab: Any, tmp_path: Path) -> None:
    tab.locator("#layers li", has_text="smooth").click()
    drawn(tab)
    tab.locator("#script").click()
    tab.get_by_text("Copied.", exact=True).wait_for()
    script = tab.evaluate("navigator.clipboard.readText()")
    assert script == tab.locator("#text").input_value()
    tab.keyboard.press("Escape")
    assert tab.locator("#code").is_hidden()
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "map.png").read_bytes() == map_in(tab)


def test_the_report_opens_from_a_file(tab: Any, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    with tab.expect_download() as saved:
        tab.locator("#report").click()
    saved.value.save_as(tmp_path / "report.html")
    page = tab.context.browser.new_context().new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.get_by_text("c.jpg").count() > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 320], ids=["wide", "400 %"])
def test_every_width_and_scheme(tab: Any, scheme: str, width: int) -> None:
    tab.emulate_media(color_scheme=scheme)
    tab.set_viewport_size({"width": width, "height": 720})
    tab.locator("#pin").click()
    drawn(tab, 2)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
    accessible(tab)


def accessible(page: Any) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page.evaluate((importlib.resources.files(axe) / "axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document)")
    assert len(found["passes"]) > 15
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []


def test_what_stands_beside_the_map(tab: Any, folder: Path) -> None:
    assert tab.locator("[data-beside]").count() == 0
    tab.locator("#show-measures").check()
    tab.locator("[data-beside=measures] td", has_text="lower").first.wait_for()
    tab.locator("#show-maximize").check()
    made = tab.locator("[data-beside=maximize] img")
    made.wait_for()
    about = Session(folder / "model.keras", folder / "photos", input_range=(0.0, 1.0))
    setting = Setting(0)
    expected = about.beside("maximize", setting).figure
    assert base64.b64decode(made.get_attribute("src").split(",")[1]) == expected
    rows = tab.locator("[data-beside=measures] tbody tr").all_inner_texts()
    assert [row.split()[:2] for row in rows] == [
        list(row[:2]) for row in about.beside("measures", setting).rows[1:]
    ]
    assert tab.url.endswith("show=measures&show=maximize")
    tab.reload()
    made.wait_for()
    assert tab.locator("#show-measures").is_checked() and not tab.locator("#show-sanity").is_checked()
    tab.locator("#show-measures").uncheck()
    tab.wait_for_function("() => !document.querySelector('[data-beside=measures]')")
    assert made.is_visible(), "the other one stays"
    tab.locator("#script").click()
    tab.locator("#text").wait_for()
    assert "visualize_activation" in tab.locator("#text").input_value()


def test_the_sanity_curve_stands_beside_guided(tab: Any) -> None:
    tab.locator("#method").select_option("guided")
    tab.locator("[data-beside=sanity] img").wait_for()
    assert "stays alike shows the picture" in tab.locator("[data-beside=sanity]").inner_text()
    assert tab.locator("[data-beside=sanity] tbody tr").count() == 3
    assert not tab.locator("#show-sanity").is_checked()
    tab.locator("#method").select_option("saliency")
    tab.wait_for_function("() => !document.querySelector('[data-beside]')")
    tab.locator("#backprop_modifier").select_option("relu")
    tab.locator("[data-beside=sanity] img").wait_for()


def test_long_work_says_how_far_it_is_and_is_dropped(tab: Any, explorer: Explorer) -> None:
    before = map_in(tab)
    tab.locator("#method").select_option("rise")
    drawn(tab)
    tab.locator("#more-options summary").click()
    tab.locator("#option-nb_samples").fill("3000000")
    tab.locator("#option-nb_samples").press("Tab")
    tab.wait_for_function(r"() => / of 3000000 /.test(document.querySelector('article').innerText)")
    assert tab.locator("article progress").first.is_visible()
    tab.keyboard.press("Escape")
    assert "Dropped" in tab.locator("article").inner_text() and tab.locator("article.old").count() == 1
    worker = explorer._pages.worker
    end = time.monotonic() + 30
    while worker._running is not None:
        assert time.monotonic() < end, "the server still computes what was dropped"
        time.sleep(0.05)
    tab.locator("#method").select_option("saliency")
    drawn(tab)
    assert map_in(tab) == before


def test_a_filter_is_picked_from_the_grid(tab: Any, folder: Path) -> None:
    assert tab.locator("#grid").is_hidden()
    tab.locator("#layers li", has_text="conv").first.click()
    tab.locator("#grid summary").click()
    tab.locator("#filters.tiles button").nth(3).wait_for()
    assert tab.locator("#filters button").count() == 4
    tab.locator("#filters button").nth(3).click()
    drawn(tab)
    assert map_in(tab) == expected(folder, layer=1, target=3)
    assert tab.locator("#filters button").nth(3).get_attribute("aria-pressed") == "true"
    tab.locator("#layer-4").click()
    tab.locator("#filters:not(.tiles) button").nth(4).wait_for()
    tab.locator("#filters button").nth(1).click()
    drawn(tab)
    assert tab.locator("#target").input_value() == tab.locator("#filters button").nth(1).get_attribute(
        "data-target"
    )


@pytest.fixture
def mixed(browser: Any) -> Iterator[Any]:
    """Return the page of a model of several inputs and outputs."""
    made = Explorer(
        lambda: Session(several(list), [*BATCH.values()], ("# model",), words=WORDS, labels=["a", "b", "c"])
    ).start()
    with page_of(browser, made) as page:
        yield page
    made.close()


def test_a_slot_for_each_input(mixed: Any) -> None:
    assert mixed.locator("[data-slot]").count() == 5
    for name in ("facts", "signal", "scan"):
        figure = mixed.locator(f"[data-slot={name}] img.figure")
        assert figure.get_attribute("alt").startswith(f"{name}, largest: ")
    assert mixed.locator("[data-slot=photo] .views img").count() == 4
    assert "set wrt to embedding" in mixed.locator("[data-slot=title]").inner_text()
    assert [each.split()[0] for each in mixed.locator("#predictions h3").all_inner_texts()] == [
        "kind",
        "price",
    ]
    assert mixed.locator("#report").is_disabled() and mixed.locator("#show-sanity").is_disabled()
    assert "one picture" in mixed.locator("#report-why").inner_text()
    mixed.locator("#predictions button").last.click()
    drawn_slots(mixed, 5)
    assert "of price" in mixed.locator("article h3").inner_text()
    mixed.locator("#predictions button").first.click()
    drawn_slots(mixed, 5)
    assert mixed.locator("#names").input_value() == mixed.locator("#target").input_value()
    mixed.locator("#names").select_option(label="2: c")
    drawn_slots(mixed, 5)
    assert "class 2 (c)" in mixed.locator("article h3").inner_text()


def test_inputs_are_written_and_pictures_put_into_their_slot(mixed: Any) -> None:
    title = mixed.get_by_label("title (words, 6)")
    mixed.wait_for_function("() => document.querySelector('#slots textarea').value")
    assert title.input_value() == "the film was not dull"
    title.fill("the film was dull")
    title.press("Tab")
    mixed.wait_for_function("() => document.querySelectorAll('#strip button').length == 4")
    drawn_slots(mixed, 5)
    mixed.locator("#more-options summary").click()
    mixed.locator("#option-wrt").fill("embedding")
    mixed.locator("#option-wrt").press("Tab")
    mixed.wait_for_function("() => document.querySelectorAll('article:not(.old) [data-slot]').length == 1")
    assert mixed.locator("[data-slot=title] img").get_attribute("alt").startswith("title, largest: ")
    title.fill("the filme")
    title.press("Tab")
    mixed.wait_for_selector("#failed:visible")
    assert "Did you mean 'film'" in mixed.locator("#failed").inner_text()
    file = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(file, "PNG")
    given = {"name": "red.png", "mimeType": "image/png", "buffer": file.getvalue()}
    mixed.get_by_label("photo (picture, 16 x 16 x 3)").set_input_files(given)
    mixed.wait_for_function("() => document.querySelectorAll('#strip button').length == 5")
    assert mixed.locator("#strip button").nth(4).inner_text() == "red.png"
    mixed.wait_for_function("() => document.querySelector('#slots textarea').value == 'the film was dull'")


def drawn_slots(page: Any, count: int) -> None:
    page.wait_for_function(
        "n => document.querySelectorAll('article:not(.old) [data-slot]').length == n", arg=count
    )


@pytest.mark.parametrize("width", [1280, 320], ids=["wide", "400 %"])
def test_everything_open_at_every_width(mixed: Any, tab: Any, width: int) -> None:
    tab.locator("#layers li", has_text="conv").first.click()
    tab.locator("#grid summary").click()
    tab.locator("#filters button").nth(3).wait_for()
    tab.locator("#more-options summary").click()
    for kind in ("sanity", "measures", "maximize"):
        tab.locator(f"#show-{kind}").check()
    tab.locator("[data-beside=maximize] img").wait_for()
    for page in (tab, mixed):
        page.set_viewport_size({"width": width, "height": 720})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no sideways scrolling"
        accessible(page)


def test_the_pictures_in_the_documentation(browser: Any, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    script = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "pictures" / "explorer.py"))
    tab = script["draw"](browser, tmp_path, script["SCALE"] / 3)
    assert tab.locator("#code").is_visible() and tab.locator("#copied").inner_text() == "Copied."
    assert "backprop_modifier='guided'" in tab.locator("#text").input_value()
    tab.context.close()
    with Image.open(tmp_path / "explorer.gif") as film:
        assert (film.size[0], film.n_frames) == (320, 12), "no two frames in a row are the same"
        for number in range(film.n_frames):
            film.seek(number)
            assert len(np.unique(np.asarray(film.convert("RGB")).reshape(-1, 3), axis=0)) > 100, (
                "it is not blank"
            )
    with Image.open(tmp_path / "explorer.png") as picture:
        assert picture.size[0] == pytest.approx(script["WIDTH"] / 3, abs=1)
        curves = picture.crop((picture.width // 3, picture.height // 2, *picture.size)).convert("RGB")
        assert len(np.unique(np.asarray(curves).reshape(-1, 3), axis=0)) > 100


@pytest.fixture
def notebook() -> Iterator[tuple[str, Explorer]]:
    """Return the address of a page of another site that shows an explorer as a notebook does, and that."""
    explorer = vis.explore(network(), np.full((2, 12, 12, 3), 0.5, np.float32), input_range=(0.0, 1.0))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(explorer._repr_html_().encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/", explorer
        server.shutdown()
    explorer.close()


def test_the_frame_of_a_notebook(browser: Any, notebook: tuple[str, Explorer]) -> None:
    address, explorer = notebook
    assert "//127.0.0.1:" in explorer.url, "a browser takes the frame for another site"
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.goto(address)
    held = page.locator("iframe").element_handle()
    frame = held.content_frame()
    drawn(frame)
    frame.locator("#predictions button").nth(1).click()
    drawn(frame)
    frame.locator("#script").click()
    frame.get_by_text("Copied.", exact=True).wait_for()
    frame.locator("#code button").click()
    frame.locator("#address").click()
    frame.get_by_text("The address of this state is copied.").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    shown = frame.locator("h3").inner_text()
    frame.evaluate("location.reload()")
    frame = held.content_frame()
    frame.wait_for_selector("article .scale")
    assert frame.locator("h3").inner_text() == shown
    tab = browser.new_context().new_page()
    tab.goto(copied)
    drawn(tab)
    assert tab.locator("h3").inner_text() == shown and "token" not in tab.url
    tab.context.close()
    context.close()
