"""`vis show`: a contact sheet of a Zarr group."""

from __future__ import annotations

from pathlib import Path

import click

from vis.cli.app import Command, check_zarr, cli, start_tensorflow
from vis.cli.options import example, path_argument
from vis.errors import InputError


@cli.command(cls=Command, epilog=example("vis show maps.zarr -o sheet.png"))
@path_argument("maps", "existing")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="sheet.png", show_default=True)
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first map to draw."
)
@click.option(
    "--count", type=click.IntRange(min=1), default=48, show_default=True, help="The number of maps."
)
@click.option("--columns", type=click.IntRange(min=1), default=8, show_default=True)
def show(maps: Path, output: Path, first: int, count: int, columns: int) -> None:
    """Draw a contact sheet of the maps in a Zarr group that `vis explain` has written."""
    check_zarr()
    start_tensorflow()
    import numpy as np

    from vis import files, plotting
    from vis.attributions import store
    from vis.utils.utils import stitch_images

    rows = store.read(maps, first, count)
    if rows.ndim != 4:
        raise InputError(f"{str(maps)!r} holds maps of shape {rows.shape[1:]}, which are none of pictures.")
    sheet = stitch_images([plotting.colorize(row[..., 0]) for row in rows], 2, columns)
    files.save_picture(output, np.asarray(sheet))
    click.echo(f"{len(rows)} maps from {first} on -> {output}")
