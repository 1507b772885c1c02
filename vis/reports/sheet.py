"""Contact sheets of a run: PNG pictures with captions, page after page."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vis import checks, files
from vis.errors import SkippedWarning, warn
from vis.plotting.lettering import font
from vis.reports.drawings import Inputs, Pictures, drawing, look_of
from vis.reports.labels import Labels
from vis.reports.run import Row, Run

# In pixels: between and around the cells, between the pictures of a cell, a line of its caption, and the
# least width of a cell.
_GAP, _SEAM, _LINE, _LEAST = 14, 2, 15, 96
_GROUND, _INK, _SOFT, _EMPTY = "white", "#1b1d21", "#565c66", "#e4e4e0"


def sheets(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] = "sheet.png",
    *,
    images: Pictures = None,
    labels: Labels | None = None,
    names: Sequence[str] | None = None,
    first: int = 0,
    count: int | None = 48,
    columns: int = 8,
    rows: int = 6,
    size: int = 112,
    cmap: str | None = None,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
) -> list[Path]:
    """Write contact sheets of the maps of a run: the input and the map over it, with a caption.

    The caption is the file name, the predicted class, the target if it differs, and the score.
    Without the pictures, only the maps are drawn.

    Args:
        path: the folder of the group that `Explainer.write` or `vis explain` has written.
        output: the PNG file; if there are more cells than fit on one, `sheet-1.png`, `sheet-2.png` and so on.
        images, labels, names, first, count, cmap, clip_percentile, signed, absolute: see `vis.report`.
        columns, rows: the cells of a sheet.
        size: about the longest side of a picture in pixels. Small ones are enlarged by a whole factor.

    Returns:
        The paths of the files.

    Raises:
        InputError: if there is no such run, an argument does not fit it, or a file cannot be written.

    Warns:
        SkippedWarning: if the folder of the pictures no longer exists, so that only the maps are drawn.
    """
    output = checks.ending(output, "A sheet", ".png")
    run = Run(path, names, labels)
    columns, rows = checks.whole("columns", columns), checks.whole("rows", rows)
    size = checks.whole("size", size)
    inputs, drawn = Inputs(run, images), run.part(first, count)
    look = look_of(run, drawn, cmap, clip_percentile, signed, absolute)
    pages = -(-len(drawn) // (columns * rows))
    found = ((row, drawing(row, inputs, look).panels) for row in run.rows(drawn, only=True))
    cells = ((row, _fitted(_shown(panels), size)) for row, panels in found)
    written = []
    for page in range(pages):
        target = output if pages == 1 else output.with_stem(f"{output.stem}-{page + 1}")
        sheet = _sheet(run, [*islice(cells, columns * rows)], columns)
        files.save_picture(target, np.asarray(sheet))
        written.append(target)
    if inputs.lost:
        warn(inputs.problem, SkippedWarning)
    return written


def _shown(panels: Any) -> Iterator[Any]:
    """Yield the pictures of a cell: the input and the map over it, or maps alone."""
    over = [title for title in panels if title.endswith("over input")]
    for title, picture in panels.items():
        if not over or title == "input" or title in over:
            yield picture


def _fitted(pictures: Iterable[Any], size: int) -> list[Image.Image]:
    """Return pictures with their longest side near some size: small ones are enlarged by a whole number."""
    fitted = []
    for image in map(Image.fromarray, pictures):
        times = round(size / max(image.size))
        if times > 1:
            image = image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
        else:
            image.thumbnail((size, size))
        fitted.append(image)
    return fitted


def _cell(run: Run, row: Row, pictures: Sequence[Image.Image], width: int, height: int) -> Image.Image:
    cell = Image.new("RGB", (width, height + 2 * _LINE + 6), _GROUND)
    x = 0
    for picture in pictures:
        cell.paste(picture, (x, height - picture.height))
        x += picture.width + _SEAM
    draw, letters = ImageDraw.Draw(cell), font(11)
    draw.text((0, height + 3), _cut(row.name, letters, width, keep_end=True), _INK, letters)
    draw.text((0, height + 3 + _LINE), _cut(_told(run, row), letters, width), _SOFT, letters)
    return cell


def _told(run: Run, row: Row) -> str:
    if row.skipped is not None:
        return "skipped"
    score = "" if row.score is None else f"{row.score:.4g}"
    about = row.target if row.prediction is None else row.prediction
    name = run.label(about) or ("" if about is None else str(about))
    if row.equal is False:
        name += f", target {run.label(row.target) or row.target}"
    return " · ".join(part for part in (name, score) if part)


def _cut(text: str, letters: ImageFont.FreeTypeFont, width: int, keep_end: bool = False) -> str:
    """Return a line that fits a cell; the end of a file name tells more than its beginning."""
    text = " ".join(text.split())
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(f"…{text}") > width:
        text = text[1:] if keep_end else text[:-1]
    return f"…{text}" if keep_end else f"{text}…"


def _sheet(run: Run, cells: Sequence[tuple[Row, list[Image.Image]]], columns: int) -> Image.Image:
    """Return a sheet; its cells are as large as the largest pictures on it."""
    drawn = [pictures for _, pictures in cells if pictures]
    empty = Image.new("RGB", drawn[0][0].size if drawn else (_LEAST, _LEAST), _EMPTY)
    wide = max((sum(picture.width + _SEAM for picture in pictures) - _SEAM for pictures in drawn), default=0)
    high = max((picture.height for pictures in drawn for picture in pictures), default=empty.height)
    made = [_cell(run, row, pictures or [empty], max(wide, _LEAST), high) for row, pictures in cells]
    step_x, step_y = made[0].width + _GAP, made[0].height + _GAP
    across, down = min(columns, len(made)), -(-len(made) // columns)
    sheet = Image.new("RGB", (across * step_x + _GAP, down * step_y + _GAP), _GROUND)
    for number, cell in enumerate(made):
        row, column = divmod(number, columns)
        sheet.paste(cell, (_GAP + column * step_x, _GAP + row * step_y))
    return sheet
