"""Drawing on white: pale colours for small values, ink that can be read, text that a font can draw."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager, rcParams
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font

from vis.plotting.colors import Look, Scale
from vis.plotting.figures import say_cut

# White for zero, and red for large values, as the positive half of the diverging colours.
PALE = "Reds"
# Stands for a character that no font in `rcParams["font.family"]` has.
MISSING = "□"


def scale_of(values: npt.NDArray[np.float64], look: Look) -> Scale:
    """Return the scale of values that are drawn on white: `PALE` colours unless they are signed or chosen."""
    scale = look.scale(values)
    if look.cmap is None and not scale.signed:
        scale.set_cmap(PALE)
    return scale


def bar_beside(panels: npt.NDArray[Any], scale: Scale, label: str) -> None:
    """Draw one colour bar at the right of all panels; above it, how many percent may lie beyond its ends."""
    beside = panels.ravel().tolist()
    drawn = beside[0].figure.colorbar(
        scale, ax=beside, label=label, extend=scale.extend, pad=0.02, aspect=30, fraction=0.05
    )
    say_cut(drawn.ax, scale)


def ink(rgb: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell whether black text can be read better than white on backgrounds: by the contrast of WCAG 2.

    `(L1 + 0.05) / (L2 + 0.05)` of the relative luminances; of the better of the two it is at least 4.58.

    Args:
        rgb: `(..., 3)`, 0 to 1, sRGB.
    """
    return contrast(rgb, 0.0) >= contrast(rgb, 1.0)


def contrast(rgb: npt.ArrayLike, luminance: float) -> npt.NDArray[np.float64]:
    """Return the contrast ratio of WCAG 2, 1 to 21, of backgrounds and text of a relative luminance."""
    values = np.asarray(rgb, np.float64)
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    background = linear @ (0.2126, 0.7152, 0.0722) + 0.05
    text = luminance + 0.05
    return np.asarray(np.maximum(background, text) / np.minimum(background, text))


def drawable(text: str) -> str:
    """Return text with `MISSING` for each character that no font of the figure has.

    Matplotlib would warn of each, and draw a box as well.
    """
    fonts = _fonts(tuple(rcParams["font.family"]))
    return "".join(c if any(font.get_char_index(ord(c)) for font in fonts) else MISSING for c in text)


@functools.lru_cache
def _fonts(families: tuple[str, ...]) -> list[FT2Font]:
    return [
        font_manager.get_font(font_manager.findfont(FontProperties(family=[family]))) for family in families
    ]
