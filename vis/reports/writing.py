"""A report of a run: one HTML file, written as a stream, and a table beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from vis import checks, files
from vis.errors import SkippedWarning, warn
from vis.progress import Work
from vis.reports.drawings import Inputs, Pictures, look_of
from vis.reports.labels import Labels
from vis.reports.page import Page
from vis.reports.run import Run
from vis.reports.table import Table

# Rows that are drawn at once: enough to keep the cores busy, few enough for any memory.
_AT_ONCE = 16


def report(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    images: Pictures = None,
    labels: Labels | None = None,
    names: Sequence[str] | None = None,
    first: int = 0,
    count: int | None = 1000,
    size: int = 144,
    cmap: str | None = None,
    clip_percentile: float = 1,
    signed: bool | None = None,
    absolute: bool = False,
    progress: bool = True,
) -> Path:
    """Write one HTML file that shows the maps of a run, with a CSV file of all its rows beside it.

    The page opens without a network and loads nothing: thumbnails of the input, its map and the map over the
    input are inside, with the file name, the predicted class, the score and the target. The reader can sort,
    search and turn pages. Skipped inputs, settings and versions are listed. Memory use is constant.

    Args:
        path: the folder of the group that `Explainer.write` or `vis explain` has written.
        output: the HTML file; an existing one is replaced. None for the name of the group with the ending
            `.html`. The table has the same name with the ending `.csv`.
        images: the folder of the pictures, whose files the run or `names` lists; or an array
            `(N, height, width, channels)`, or a sequence, of the inputs. None for the folder that the run
            names.
        labels: the names of the classes, see `vis.reports.read_labels`.
        names: the names of the inputs; None for those that the run lists.
        first: the first row that is drawn.
        count: how many rows are drawn at most; None for all. The table has all.
        size: the longest side of a thumbnail in pixels. Smaller pictures keep their size.
        cmap, clip_percentile, signed, absolute: see `vis.plotting.colorize`. Each map has its own scale, and
            all are signed if one is.
        progress: show a progress bar.

    Returns:
        The path of the HTML file.

    Raises:
        InputError: if there is no such run, an argument does not fit it, or a file cannot be written.

    Warns:
        SkippedWarning: if the folder of the pictures no longer exists, so that only the maps are drawn.
    """
    run = Run(path, names, labels)
    inputs, drawn = Inputs(run, images), run.part(first, count)
    size = checks.whole("size", size)
    look = look_of(run, drawn, cmap, clip_percentile, signed, absolute)
    output = run.path.with_suffix(".html") if output is None else Path(output)
    table_path = checks.ending(output, "A report", ".html", ".htm").with_suffix(".csv")
    page = Page(run, inputs, look, drawn, table_path.name)
    before, after = page.frame()
    with (
        files.written(table_path) as temporary_table,
        files.written(output) as temporary,
        ThreadPoolExecutor() as threads,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as html,
        temporary_table.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as csv,
        Work(run.count, "maps", bar=progress, delay=1) as work,
    ):
        table = Table(csv, run)
        html.write(before)
        rows = run.rows(drawn)
        while batch := [*islice(rows, _AT_ONCE)]:
            for row in batch:
                table.write(row)
            shown = [row for row in batch if row.maps]
            html.writelines(threads.map(partial(page.card, size=size), shown))
            work.advance(len(batch))
        html.write(after)
    if inputs.lost:
        warn(inputs.problem, SkippedWarning)
    return output
