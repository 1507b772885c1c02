"""Letters in pictures."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from PIL import ImageFont


def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which Matplotlib brings along: Latin, Greek, Cyrillic, Arabic and more.

    Args:
        size: in pixels.
        bold: whether it is bold.
    """
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)
