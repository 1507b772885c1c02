"""`vis report`: one HTML file of a stored run, and a table beside it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from vis.cli.app import check_zarr, on_terminal, start_keras
from vis.cli.options import LABELS_OPTION, command, number_option, output_option, path_argument, path_option

count_option = partial(number_option, show_default=True)
# What `vis show` and `vis report` draw of a run, and how.
RUN = path_argument("maps", "run")
RUN_OPTIONS = (
    count_option("--first", least=0, default=0, help="The first row that is drawn."),
    path_option(
        "--images",
        "folder",
        metavar="FOLDER",
        help="The folder of the pictures.  [default: the one explained]",
    ),
    LABELS_OPTION,
    click.option("--cmap", metavar="NAME", help="Colours: a Matplotlib colormap."),
    click.option(
        "--clip-percentile",
        type=float,
        metavar="PERCENT",
        default=1,
        show_default=True,
        help="Percent of each map's values that may lie beyond the end of the colours.",
    ),
    click.option(
        "--signed/--unsigned",
        default=None,
        help="Diverging colours with zero in the middle, or not.  [default: if a value is negative]",
    ),
    click.option("--absolute", is_flag=True, help="Draw magnitudes."),
)


def check_drawn(output: Path, what: str, *endings: str, **options: Any) -> None:
    """Raise for what can be told to be wrong before Keras is imported."""
    from vis import checks

    check_zarr()
    checks.ending(output, what, *endings)
    from vis import plotting

    look = {name: options[name] for name in ("cmap", "clip_percentile", "signed", "absolute")}
    plotting.colorize([[0.0, 1.0]], **look)


@command(
    RUN,
    output_option(
        "The HTML file to write, and the table beside it.", default="report.html", show_default=True
    ),
    count_option("--count", default=1000, help="How many rows are drawn at most; the table has all."),
    click.option("--all", "everything", is_flag=True, help="Draw all rows, however many."),
    count_option("--size", default=144, help="The longest side of a picture in pixels."),
    *RUN_OPTIONS,
    shown="vis report maps.zarr -o report.html --labels imagenet_class_index.json",
)
def report(maps: Path, output: Path, count: int, everything: bool, **options: Any) -> None:
    """Write one HTML file with the MAPS that `vis explain` has written, to open offline or to mail.

    It shows each input, its map and the map over the input, with file name, predicted class, score and
    target; the reader can sort and search. What was skipped is listed. A table of all rows (.csv) is written
    beside it.
    """
    check_drawn(output, "A report", ".html", ".htm", **options)
    start_keras()
    from vis.reports import report

    report(maps, output, count=None if everything else count, progress=on_terminal(), **options)
    size = output.stat().st_size / 1e6
    click.echo(f"{maps} -> {output} ({size:.1f} MB) and {output.with_suffix('.csv')}")
