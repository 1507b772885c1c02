"""`vis show`: contact sheets of a Zarr group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vis.cli.app import check_zarr, start_tensorflow
from vis.cli.report import output_option, run_command


@run_command
@output_option("sheet.png", "The PNG file.")
@click.option(
    "--count", type=click.IntRange(min=1), default=48, show_default=True, help="How many maps at most."
)
@click.option(
    "--columns", type=click.IntRange(min=1), default=8, show_default=True, help="Maps side by side."
)
@click.option(
    "--rows", type=click.IntRange(min=1), default=6, show_default=True, help="Rows of maps on one sheet."
)
def show(maps: Path, output: Path, first: int, **options: Any) -> None:
    """Draw contact sheets of the MAPS that `vis explain` has written, with captions.

    More maps than fit on one sheet go to sheet-1.png, sheet-2.png and so on.
    """
    check_zarr()
    start_tensorflow()
    from vis.reports import sheets

    written = sheets(maps, output, first=first, **options)
    shown = str(written[0]) if len(written) == 1 else f"{written[0]} to {written[-1].name}"
    click.echo(f"{maps} from map {first} on -> {shown}")
