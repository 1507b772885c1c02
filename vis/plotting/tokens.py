"""Words with their maps."""

from __future__ import annotations

import bisect
import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, to_hex
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextToPath

from vis import checks, maps
from vis.errors import InputError
from vis.plotting.colors import Look, LookOptions, Scale
from vis.plotting.figures import Figure, panels
from vis.plotting.given import Batch
from vis.plotting.lettering import fitted
from vis.plotting.paper import MISSING, drawable, ink, scale_of
from vis.plotting.words import VISIBLE, Token, texts_of, tokens_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

# The words of one text, or of several.
Words: TypeAlias = Sequence[str] | Sequence[Sequence[str]]

_SPAN = "padding:.15em .25em;border-radius:.2em;-webkit-box-decoration-break:clone;box-decoration-break:clone"
_SMALLEST, _LARGEST = 5, 12  # font sizes in points
_PADDING = 3.0  # points on both sides of a word, and between two words
_LINE = 1.9  # of the font size
_BAR = (150.0, 8.0, 34.0)  # width and height of the colour bar, and the height of all that belongs to it


class TokenFigure(Figure):
    """A figure of words, which a notebook shows as HTML, with text that can be selected and searched.

    `.savefig` writes the same as a picture, `.to_html` returns the HTML.
    """

    _html = ""

    def to_html(self) -> str:
        """Return the words as HTML: escaped, styled inline, without scripts; the tooltip is the value."""
        return self._html

    def _repr_html_(self) -> str:
        return self._html


class _Options(LookOptions, total=False):
    name: str
    reducer: str
    join: bool
    colorbar: bool
    width: float


@overload
def plot_tokens(
    words: Words, values: Batch, title: str = "", *, ax: None = None, **options: Unpack[_Options]
) -> TokenFigure: ...
@overload
def plot_tokens(
    words: Words, values: Batch, title: str = "", *, ax: Axes, **options: Unpack[_Options]
) -> Axes: ...
@overload
def plot_tokens(
    words: Words, values: Batch, title: str = "", *, ax: Axes | None, **options: Unpack[_Options]
) -> TokenFigure | Axes: ...
def plot_tokens(
    words: Words,
    values: Batch,
    title: str = "",
    *,
    name: str = "map",
    reducer: str = "sum",
    join: bool = True,
    cmap: str | Colormap | None = None,
    clip_percentile: float = 0,
    signed: bool | None = None,
    absolute: bool = False,
    colorbar: bool = True,
    width: float = 8.0,
    ax: Axes | None = None,
) -> TokenFigure | Axes:
    """Return a figure of words on coloured backgrounds, in lines that wrap.

    Zero is white, and the text is black or white, whichever has the higher contrast. A notebook shows the
    figure as HTML; `.savefig` and a notebook without HTML draw it. In the picture, a character that
    Matplotlib's font lacks is drawn as □: `matplotlib.rcParams["font.family"]` takes several fonts.

    Args:
        words: the words or subwords of one text, or a list of those of several texts, which are drawn one
            below the other on one scale.
        values: the map of one text, `(T,)`, `(T, 1)` or `(T, channels)`, also with a first axis of length 1,
            `(1, T, 1)`; or, for several texts, one such map for each, `(N, T, 1)`.
        title: a title above the words.
        name: the name of the map.
        reducer: how the channels of a word become one: "sum" (which keeps what attributions add up to),
            "max", "mean", or "min".
        join: draw subwords as parts of their word and without their marks: "##" continues a word; where "▁"
            or "Ġ" begin words, all others continue one. False draws each token separately and unchanged.
        cmap: a Matplotlib colormap or its name; by default `"Reds"` or, for signed values, `DIVERGING`.
        clip_percentile: the percentage of values that may lie beyond the end of the colours.
        signed: diverging colours around 0 or not; None reads it from the values: signed if one is negative.
        absolute: draw magnitudes.
        colorbar: draw the scale below the words.
        width: the width of a new figure in inches; its height follows from the text.
        ax: Matplotlib axes to draw into, in letters small enough to fit; None for a new figure.

    Returns:
        A `TokenFigure`; or `ax`.

    Raises:
        InputError: if the number of words and of values differs, words are not strings, a value is NaN or
            infinite, or an option is unknown.
    """
    if reducer not in maps.REDUCERS:
        raise InputError(f"reducer must be one of {', '.join(maps.REDUCERS)}. Received: {reducer!r}.")
    look = Look(cmap, clip_percentile, signed, absolute)
    texts = [(given, look.drawn(found)) for given, found in texts_of(words, values, reducer)]
    scale = scale_of(np.concatenate([found for _, found in texts]), look)
    tokens = [tokens_of(given, found, join) for given, found in texts]
    label = look.named(name) if colorbar else ""
    if ax is not None:
        panels(1, 1, (1, 1), drawable(title), ax)
        box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        _draw(ax, tokens, scale, label, 72 * box.width, 72 * box.height)
        return ax
    if not checks.is_number(width) or not 1 <= width <= 100:
        raise InputError(
            f"width must be the width of the figure in inches, from 1 to 100. Received: {width!r}."
        )
    figure = TokenFigure(figsize=(width, 1))
    _draw(figure.add_axes((0, 0, 1, 1)), tokens, scale, label, 72 * width, None, title)
    figure._html = _html(tokens, scale, label, title)
    return figure


def _colors(tokens: Sequence[Token], scale: Scale) -> list[tuple[str, str]]:
    """Return the background and the text colour of each."""
    backgrounds = scale.rgb(np.array([token.value for token in tokens])) / 255
    return [
        (to_hex(background), "black" if black else "white")
        for background, black in zip(backgrounds, ink(backgrounds), strict=True)
    ]


@dataclass(frozen=True)
class _Box:
    """A token, or a part of one that is longer than a line, where it is drawn: in points, and in lines."""

    text: str
    left: float
    width: float
    line: int
    token: int


def _wrapped(tokens: Sequence[Token], texts: Sequence[str], size: float, width: float) -> list[_Box]:
    """Return where the texts of tokens stand in lines of a width; the parts of a word stay together."""
    font, measure = FontProperties(size=size), TextToPath()

    def wide(text: str) -> float:
        # As drawn, letters may be a little wider: they are fitted to pixels.
        return 1.02 * float(measure.get_text_width_height_descent(text, font, False)[0]) + 2 * _PADDING

    boxes: list[_Box] = []
    left, line = 0.0, 0
    for number, (token, text) in enumerate(zip(tokens, texts, strict=True)):
        if token.apart or not number:
            end = number + 1
            while end < len(tokens) and not tokens[end].apart:
                end += 1
            whole = sum(wide(part) for part in texts[number:end])
            left += _PADDING if left else 0
            if left and left + whole > width:
                left, line = 0.0, line + 1
        while text:
            room = width - left
            fitting = bisect.bisect_right(range(1, len(text) + 1), room, key=lambda end: wide(text[:end]))
            # Only what is longer than a line is cut.
            if left and fitting < len(text) and (not fitting or wide(text) <= width):
                left, line = 0.0, line + 1
                continue
            part = text[: max(1, fitting)]
            boxes.append(_Box(part, left, wide(part), line, number))
            left, text = left + boxes[-1].width, text[len(part) :]
    return boxes


def _draw(
    axes: Axes,
    texts: Sequence[Sequence[Token]],
    scale: Scale,
    label: str,
    width: float,
    height: float | None,
    title: str = "",
) -> None:
    """Draw texts in axes of a width and height in points; of no height: make those of the figure."""
    shown = [[drawable(token.text) for token in tokens] for tokens in texts]
    margin = 8.0 if height is None else 0.0
    heading = fitted(drawable(title), (width - 2 * margin) / 72, "large")
    top = margin + (24.0 + 15.0 * heading.count("\n") if title else 0.0)
    missing = any(MISSING in text for some in shown for text in some)
    bottom = margin + (_BAR[2] if label or missing else 0.0)
    for size in range(_LARGEST, _SMALLEST - 1, -1):
        wrapped = [
            _wrapped(tokens, some, size, width - 2 * margin)
            for tokens, some in zip(texts, shown, strict=True)
        ]
        lines = sum(boxes[-1].line + 1 for boxes in wrapped) + 0.5 * (len(wrapped) - 1)
        needed = top + lines * _LINE * size + bottom
        if height is None or needed <= height:
            break
    if height is None:
        height = needed
        figure: Any = axes.figure
        figure.set_size_inches(width / 72, height / 72)
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    if title:
        axes.text(margin, margin, heading, fontsize="large", va="top", parse_math=False)
    for tokens, boxes in zip(texts, wrapped, strict=True):
        colors = _colors(tokens, scale)
        for box in boxes:
            background, color = colors[box.token]
            left, above = margin + box.left, top + box.line * _LINE * size
            corner = (left + 0.5, above + 0.1 * _LINE * size)
            axes.add_patch(
                FancyBboxPatch(
                    corner,
                    box.width - 1,
                    0.8 * _LINE * size,
                    boxstyle="round,pad=0,rounding_size=2",
                    facecolor=background,
                    edgecolor="0.85",
                    linewidth=0.5,
                )
            )
            axes.text(
                left + box.width / 2,
                above + 0.5 * _LINE * size + 0.36 * size,
                box.text,
                fontsize=size,
                color=color,
                ha="center",
                va="baseline",
                parse_math=False,
            )
        top += (boxes[-1].line + 1.5) * _LINE * size
    below = height - bottom
    if label:
        wide = min(_BAR[0], 0.5 * width)
        start = margin + 12  # half a number stands to the left of the bar
        bounds = (start / width, 1 - (below + 8 + _BAR[1]) / height, wide / width, _BAR[1] / height)
        bar = axes.inset_axes(bounds)
        axes.figure.colorbar(scale, cax=bar, orientation="horizontal", extend=scale.extend)
        bar.tick_params(labelsize="x-small", length=2)
        bar.locator_params(nbins=4)
        axes.text(
            start + wide + 10, below + 12, drawable(label), fontsize="small", va="center", parse_math=False
        )
    if missing:
        note = f"{MISSING} is a character that the font lacks"
        axes.text(width - margin, below + 12, note, fontsize="small", ha="right", va="center", color="0.4")


def _html(texts: Sequence[Sequence[Token]], scale: Scale, label: str, title: str) -> str:
    parts = []
    if title:
        parts.append(f'<div style="font-weight:bold;margin-bottom:.3em">{html.escape(title)}</div>')
    for tokens in texts:
        line = ""
        for token, (background, color) in zip(tokens, _colors(tokens, scale), strict=True):
            style = f"background-color:{background};color:{color};{_SPAN}"
            tip = html.escape(f"{token.word.translate(VISIBLE)}: {token.value:.4g}")
            space = " " if token.apart and line else ""
            line += f'{space}<span style="{style}" title="{tip}">{html.escape(token.text)}</span>'
        parts.append(f'<div dir="auto" style="line-height:1.9;margin-bottom:.6em">{line}</div>')
    if label:
        low, high = scale.get_clim()
        steps = ",".join(to_hex(color) for color in scale.cmap(np.linspace(0, 1, 9)))
        bar = f"display:inline-block;width:9em;height:.7em;background:linear-gradient(to right,{steps})"
        parts.append(
            f'<div style="font-size:small">{low:.3g} <span style="{bar}"></span> {high:.3g} '
            f"{html.escape(label)}</div>"
        )
    font = "font-family:sans-serif;overflow-wrap:anywhere;max-width:60em"
    return f'<div style="{font}">{"".join(parts)}</div>'
