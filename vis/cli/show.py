"""`vis show`: contact sheets of a Zarr group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vis.cli.app import start_keras
from vis.cli.options import command, output_option
from vis.cli.report import RUN, RUN_OPTIONS, check_drawn, count_option


@command(
    RUN,
    output_option("The PNG file to write.", default="sheet.png", show_default=True),
    count_option("--count", default=48, help="How many maps are drawn at most."),
    count_option("--columns", default=8, help="How many maps stand side by side."),
    count_option("--rows", default=6, help="How many rows of maps a sheet has."),
    *RUN_OPTIONS,
    shown="vis show maps.zarr -o sheet.png --labels names.txt",
)
def show(maps: Path, output: Path, first: int, **options: Any) -> None:
    """Draw contact sheets of the MAPS that `vis explain` has written, with captions.

    More maps than fit on one sheet go to sheet-1.png, sheet-2.png and so on.
    """
    check_drawn(output, "A sheet", ".png", **options)
    start_keras()
    from vis.reports import sheets

    written = sheets(maps, output, first=first, **options)
    names = str(written[0]) if len(written) == 1 else f"{written[0]} to {written[-1]}"
    click.echo(f"{maps} from row {first} on -> {names}")
