"""`vis demo`."""

from __future__ import annotations

from pathlib import Path

import click

from vis.cli.app import Command, cli, start_tensorflow
from vis.errors import InputError


@cli.command(cls=Command)
@click.option("--output", type=click.Path(path_type=Path), default="demo", show_default=True)
@click.option(
    "--scenes", type=click.IntRange(min=6), default=200, show_default=True, help="Scenes to measure."
)
def demo(output: Path, scenes: int) -> None:
    """Explain a small trained network on digits placed on photographs, and measure the maps."""
    start_tensorflow()
    from vis import files
    from vis.demo import report, sanity

    try:
        result = report.measure(scenes)
    except ImportError as error:
        raise InputError(str(error)) from error
    click.echo(result.table())
    sheets = {"gallery": tuple(report.METHODS), "explainers": tuple(report.EXPLAINERS), **report.FAMILIES}
    for name, methods in sheets.items():
        with files.written(output / f"{name}.png") as temporary:
            report.gallery(result, methods).savefig(temporary, format="png", dpi=110)
    click.echo(f"\nThe maps are in {', '.join(str(output / f'{name}.png') for name in sheets)}.")
    files.save_picture(output / "digits.png", report.digits())
    click.echo(f"The pictures that the network takes for 0 to 9 are in {output / 'digits.png'}.")
    checks = sanity.checks()
    with files.written(output / "sanity.png") as temporary:
        sanity.figure(checks).savefig(temporary, format="png", dpi=110)
    click.echo(
        "\nAnother network, its weights made random layer by layer: rank correlation with its maps before\n"
    )
    click.echo(sanity.table(checks))
    click.echo(f"\nThe check is drawn in {output / 'sanity.png'}.")
