"""Text in pictures."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.cbook import is_math_text
from matplotlib.font_manager import FontProperties
from PIL import ImageFont


def font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which comes with Matplotlib: Latin, Greek, Cyrillic, Arabic and more.

    Args:
        size: in pixels.
    """
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), size)


def fitted(text: str, width: float, size: str) -> str:
    """Return text in lines that are not wider than `width`: broken at spaces, and within longer words.

    Args:
        text: also of several lines. A formula of Matplotlib, `$x^2$`, stays as it is.
        width: in inches.
        size: of the letters, as Matplotlib names it: "medium".
    """
    if is_math_text(text):
        return text
    letters = font(100)
    # Matplotlib moves letters to whole pixels, which makes them wider by up to 4 %.
    limit = 0.96 * 100 * 72 * width / FontProperties(size=size).get_size_in_points()
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        current = words[0]
        for word in words[1:]:
            if letters.getlength(f"{current} {word}") > limit:
                lines.append(current)
                current = word
            else:
                current = f"{current} {word}"
        lines.append(current)
    return "\n".join(part for line in lines for part in _divided(line, limit, letters))


def _divided(word: str, limit: float, letters: ImageFont.FreeTypeFont) -> list[str]:
    """Return a word in parts, each as long as it fits."""
    parts = [""]
    for character in word:
        if parts[-1] and letters.getlength(parts[-1] + character) > limit:
            parts.append("")
        parts[-1] += character
    return parts
