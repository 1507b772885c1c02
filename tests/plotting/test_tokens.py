"""Words with their maps: what is drawn where, in which colours, and what the HTML says."""

import html
import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch

from vis.errors import InputError
from vis.plotting import Figure, plot_tokens
from vis.plotting.paper import contrast

WORDS = ["never", "a", "dull", "minute"]
VALUES = np.array([2.0, 0.0, -1.0, 0.5])


class Spans(HTMLParser):
    """Reads the words of the HTML: their text, their style and their tooltip."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: dict[str, Any] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "span" and "title" in dict(attrs):
            style = dict(part.split(":") for part in dict(attrs)["style"].split(";"))
            self.open = {"tip": dict(attrs)["title"], "text": "", **style}
            self.found.append(self.open)

    def handle_data(self, data: str) -> None:
        if self.open is not None:
            self.open["text"] += data

    def handle_endtag(self, tag: str) -> None:
        self.open = None


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def boxes(axes: Any) -> list[FancyBboxPatch]:
    return [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]


def test_each_word_is_drawn_once_on_the_colour_of_its_value() -> None:
    figure = plot_tokens(WORDS, VALUES, "A review")
    axes = figure.axes[0]
    assert texts(figure) == ["A review", *WORDS, "map"]
    wanted = [matplotlib.colormaps["RdBu_r"](share)[:3] for share in (1.0, 0.5, 0.25, 0.625)]
    np.testing.assert_allclose([box.get_facecolor()[:3] for box in boxes(axes)], wanted, atol=1 / 254)
    for box, text in zip(boxes(axes), axes.texts[1:], strict=False):
        assert contrast(box.get_facecolor()[:3], 0.0 if text.get_color() == "black" else 1.0) >= 4.5
        middle = box.get_x() + box.get_width() / 2
        assert text.get_position()[0] == pytest.approx(middle, abs=0.6)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4), (1, 4, 1), (1, 1, 4, 1)])
def test_what_explainers_return_is_taken(shape: tuple[int, ...]) -> None:
    assert plot_tokens(WORDS, VALUES.reshape(shape)).to_html() == plot_tokens(WORDS, VALUES).to_html()


def test_one_word_has_one_value() -> None:
    for shape in ((1,), (1, 1), (1, 1, 1)):
        (word,) = Spans(plot_tokens(["yes"], np.full(shape, 3.0)).to_html()).found
        assert word["tip"] == "yes: 3"


@pytest.mark.parametrize(
    ("reducer", "wanted"), [("sum", [6, -1.5]), ("mean", [2, -0.5]), ("max", [3, 1]), ("min", [1, -2])]
)
def test_channels_become_one_by_the_rule_that_is_named(reducer: str, wanted: list[float]) -> None:
    channels = np.array([[1.0, 2, 3], [-2, -0.5, 1]])
    for values in (channels, channels[None]):
        found = Spans(plot_tokens(["a", "b"], values, reducer=reducer).to_html()).found
        assert [float(word["tip"].split(": ")[1]) for word in found] == wanted


def test_several_texts_have_one_scale() -> None:
    figure = plot_tokens([["a", "b", "c"], ["d"]], [[0.0, 1, 2], [4.0]])
    found = Spans(figure.to_html()).found
    assert [word["tip"] for word in found] == ["a: 0", "b: 1", "c: 2", "d: 4"]
    wanted = [matplotlib.colormaps["Reds"](value / 4)[:3] for value in (0, 1, 2, 4)]
    np.testing.assert_allclose([to_rgb(word["background-color"]) for word in found], wanted, atol=1 / 254)
    first, last = boxes(figure.axes[0])[0], boxes(figure.axes[0])[-1]
    assert last.get_y() > first.get_y() + first.get_height(), "each text begins a line"
    batch = np.arange(6.0).reshape(2, 3, 1)
    assert len(Spans(plot_tokens([["a", "b", "c"]] * 2, batch).to_html()).found) == 6


def test_options_mean_what_they_mean_elsewhere() -> None:
    def colors(**options: Any) -> list[Any]:
        found = Spans(plot_tokens(WORDS, VALUES, **options).to_html()).found
        return [to_rgb(word["background-color"]) for word in found]

    close = {"atol": 1 / 254}
    magnitudes = matplotlib.colormaps["Reds"](np.abs(VALUES) / 2)[:, :3]
    np.testing.assert_allclose(colors(absolute=True), magnitudes, **close)
    chosen = matplotlib.colormaps["PuOr"]((VALUES + 2) / 4)[:, :3]
    np.testing.assert_allclose(colors(cmap="PuOr"), chosen, **close)
    clipped = matplotlib.colormaps["RdBu_r"](np.clip((VALUES + 1) / 2, 0, 1))[:, :3]
    np.testing.assert_allclose(colors(clip_percentile=40), clipped, **close)
    assert texts(plot_tokens(WORDS, VALUES, absolute=True, name="gradient"))[-1] == "|gradient|"
    without = plot_tokens(WORDS, VALUES, colorbar=False)
    assert texts(without) == WORDS and len(without.axes[0].child_axes) == 0
    assert "linear-gradient" not in without.to_html()


@pytest.mark.parametrize(
    ("words", "shown", "apart"),
    [
        (["un", "##believ", "##able", "!"], ["un", "believ", "able", "!"], [1, 0, 0, 1]),
        (["▁The", "▁qu", "ick", "▁fox"], ["The", "qu", "ick", "fox"], [1, 1, 0, 1]),
        (["The", "Ġquick", "er", "Ġ"], ["The", "quick", "er", "Ġ"], [1, 1, 0, 1]),
        (["#", "##", "a"], ["#", "##", "a"], [1, 1, 1]),
    ],
)
def test_subwords_are_joined(words: list[str], shown: list[str], apart: list[int]) -> None:
    values = np.arange(float(len(words)))
    figure = plot_tokens(words, values)
    assert texts(figure)[:-1] == shown
    drawn = boxes(figure.axes[0])
    gaps = [b.get_x() - a.get_x() - a.get_width() for a, b in pairwise(drawn)]
    assert [int(gap > 2) for gap in gaps] == apart[1:]
    found = Spans(figure.to_html()).found
    assert [word["text"] for word in found] == shown
    assert [word["tip"] for word in found] == [
        f"{word}: {value:g}" for word, value in zip(words, values, strict=True)
    ]
    assert figure.to_html().count("</span> <span") == sum(apart[1:])
    assert texts(plot_tokens(words, values, join=False))[:-1] == words


def test_a_script_stays_text() -> None:
    evil = ["<script>alert(1)</script>", '"onmouseover="alert(1)', "&lt;", "'", "</span>"]
    text = plot_tokens(evil, np.ones(5), "<img src=x>", name="<b>").to_html()
    page = Spans(text)
    assert page.tags == {"div", "span"}
    assert page.attributes == {"style", "title", "dir"}
    assert [word["text"] for word in page.found] == evil
    assert html.escape("<img src=x>") in text and html.escape("<b>") in text
    assert not re.search(r"https?:|url\(|src=[^x]", text)


def test_what_cannot_be_seen_has_a_sign() -> None:
    words = ["", " ", "\n", "a\tb", "\0", "\x7f"]
    shown = ["∅", "␣", "↵", "a⇥b", "␀", "␡"]
    figure = plot_tokens(words, np.ones(6))
    assert [word["text"] for word in Spans(figure.to_html()).found] == shown
    assert len(figure._repr_png_()) > 1000


def test_characters_that_the_font_lacks_are_boxes_in_the_picture_and_themselves_in_html() -> None:
    words = ["\U0010fffd", "ok", "\ud83d", "$x$", "\\frac"]
    figure = plot_tokens(words, np.ones(5))
    assert texts(figure) == ["□", "ok", "�", "$x$", "\\frac", "map", "□ is a character that the font lacks"]
    assert figure._repr_png_().startswith(b"\x89PNG\r\n\x1a\n")
    assert Spans(figure.to_html()).found[0]["text"] == "\U0010fffd"
    figure.to_html().encode()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_any_text_is_drawn_inside_the_figure(words: list[str], seed: int) -> None:
    figure = plot_tokens(words, np.random.default_rng(seed).normal(size=len(words)), width=2)
    axes = figure.axes[0]
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for box in boxes(axes):
        assert left <= box.get_x() and box.get_x() + box.get_width() <= right
        assert top <= box.get_y() and box.get_y() + box.get_height() <= bottom
    areas = [
        (b.get_x(), b.get_y(), b.get_x() + b.get_width(), b.get_y() + b.get_height()) for b in boxes(axes)
    ]
    for number, a in enumerate(areas):
        for b in areas[:number]:
            apart = a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]
            assert apart, "no word covers another"
    drawn = "".join(text.get_text() for text in axes.texts[: len(areas)])
    assert len(drawn) >= len(words)
    assert len(Spans(figure.to_html()).found) == len(words)


def test_long_texts_wrap_and_long_words_are_cut() -> None:
    words = ["word"] * 300 + ["x" * 400]
    figure = plot_tokens(words, np.linspace(0, 1, 301))
    rows = {round(box.get_y(), 3) for box in boxes(figure.axes[0])}
    assert len(rows) > 10
    assert "".join(texts(figure)[:-1]) == "".join(words)
    assert figure.get_size_inches()[1] > plot_tokens(words[:3], np.ones(3)).get_size_inches()[1]


def test_axes_of_the_user() -> None:
    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    assert plot_tokens(WORDS * 12, np.tile(VALUES, 12), "many", ax=left) is left
    plot_tokens(WORDS, VALUES, "few", ax=right)
    assert (left.get_title(), right.get_title()) == ("many", "few")
    assert left.texts[0].get_fontsize() < right.texts[0].get_fontsize(), "letters shrink to fit"
    low, _ = left.get_ylim()
    assert max(box.get_y() + box.get_height() for box in boxes(left)) <= low


def test_a_notebook_gets_html_and_a_picture(tmp_path: Path) -> None:
    figure = plot_tokens(WORDS, VALUES)
    assert figure._repr_html_() == figure.to_html()
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "words.png")
    assert (tmp_path / "words.png").stat().st_size > 1000
    json.dumps(figure.to_html())


@pytest.mark.parametrize(
    ("words", "values", "message"),
    [
        ("never a dull minute", VALUES, r"words must be a list of words.*text\.split"),
        (WORDS, VALUES[:3], r"4 words and values of shape \(3,\)"),
        (WORDS, np.ones((1, 5, 1)), r"4 words and values of shape \(1, 5, 1\)"),
        (WORDS, np.ones((2, 4, 1)), r"4 words and values of shape \(2, 4, 1\)"),
        ([WORDS, WORDS], VALUES[None], "Pass one map for each text. Received: 2 texts and 1 maps"),
        ([WORDS, WORDS[:2]], np.ones((2, 4, 1)), r"2 words and values of shape \(4, 1\)"),
        ([], [], "at least one word"),
        ([[]], [[]], "at least one word"),
        ([3, 5], [1, 2], "Words must be strings"),
        (["a", 5], [1, 2], "Words must be strings. Received: 5 of type int"),
        (WORDS, VALUES * np.nan, "finite"),
        (WORDS, ["a"] * 4, "real numbers"),
    ],
)
def test_what_is_refused(words: Any, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_tokens(words, values)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"reducer": "median"}, "reducer must be one of max, mean, min, sum"),
        ({"width": 0}, "width must be the width of the figure in inches"),
        ({"cmap": "redss"}, "no colormap 'redss'"),
        ({"clip_percentile": 100}, "clip_percentile"),
    ],
)
def test_options_that_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_tokens(WORDS, VALUES, **option)


def test_a_long_title_is_broken_into_lines_above_the_words() -> None:
    title = "What the network makes of each word of this review, " * 4
    figure = plot_tokens(["not", "dull"], [1.0, -1.0], title=title)
    figure.draw_without_rendering()
    texts = {text.get_text().split(" ")[0]: text.get_window_extent() for text in figure.axes[0].texts}
    assert texts["What"].x1 < figure.bbox.x1 and texts["What"].y1 < figure.bbox.y1
    assert texts["What"].y0 > texts["not"].y1
    assert figure.get_figheight() > plot_tokens(["not", "dull"], [1.0, -1.0], title="a").get_figheight()
