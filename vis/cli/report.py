"""`vis report`: one HTML file of a stored run, and a table beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vis.cli.app import Command, check_zarr, cli, start_tensorflow
from vis.cli.options import path_argument

# What `vis show` and `vis report` draw of a run, and how.
RUN_OPTIONS = (
    click.option(
        "--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first map drawn."
    ),
    click.option(
        "--images",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="The folder of the pictures.  [default: the one explained]",
    ),
    click.option(
        "--labels",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Names of the classes: one a line, or JSON such as that of keras.applications.",
    ),
    click.option("--cmap", metavar="NAME", help="Colours: a Matplotlib colormap."),
    click.option(
        "--clip-percentile",
        type=float,
        default=1,
        show_default=True,
        help="Percent of each map's values that may lie beyond the end of the colours.",
    ),
    click.option(
        "--signed/--unsigned",
        default=None,
        help="Zero in the middle of the colours, or not.  [default: if a value is negative]",
    ),
    click.option("--absolute", is_flag=True, help="Draw magnitudes."),
)


def output_option(name: str, words: str) -> Callable[[Any], Any]:
    """Return the option of the file that is written."""
    path = click.Path(path_type=Path)
    return click.option("-o", "--output", type=path, default=name, show_default=True, help=words)


def run_command(function: Callable[..., None]) -> Any:
    """Make a command of a function of a run, with the options above."""
    for option in reversed((path_argument("maps", "existing"), *RUN_OPTIONS)):
        function = option(function)
    return cli.command(cls=Command)(function)


@run_command
@output_option("report.html", "The HTML file.")
@click.option(
    "--count", type=click.IntRange(min=1), default=1000, show_default=True, help="How many maps at most."
)
@click.option("--all", "everything", is_flag=True, help="Draw all maps, however many.")
@click.option(
    "--size", type=click.IntRange(min=16), default=144, show_default=True, help="Longest side of a picture."
)
def report(maps: Path, output: Path, count: int, everything: bool, **options: Any) -> None:
    """Write one HTML file with the MAPS that `vis explain` has written, to open offline or to mail.

    It shows the input, its map and the map over the input, with file name, predicted class, score and target,
    sorts and filters, and lists what was skipped. A table of all rows (.csv) is written beside it.
    """
    check_zarr()
    start_tensorflow()
    from vis.reports import report

    report(maps, output, count=None if everything else count, **options)
    size = output.stat().st_size / 1e6
    click.echo(f"{maps} -> {output} ({size:.1f} MB), {output.with_suffix('.csv')}")
