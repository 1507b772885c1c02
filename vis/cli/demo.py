"""`vis demo`."""

from __future__ import annotations

from pathlib import Path

import click

from vis import frameworks
from vis.cli.app import on_terminal, start_keras
from vis.cli.options import command, number_option, output_option
from vis.errors import InputError


@command(
    output_option("The folder for what is drawn.  [default: demo]", default="demo"),
    number_option("--scenes", least=6, default=200, help="Scenes to measure, at least 6.  [default: 200]"),
    shown="vis demo -o demo",
)
def demo(output: Path, scenes: int) -> None:
    """Explain a small trained network, and measure its maps.

    The network names real digits that lie on real photographs. A table shows how well each method finds the
    digit; pictures show the maps.
    """
    frameworks.check()
    _now(f"Loading {frameworks.NAMES[frameworks.configured()]}")
    start_keras()
    from vis import files
    from vis.demo import comparison, report, sanity
    from vis.progress import each

    bar = on_terminal()
    _now(f"Explaining {scenes} scenes")
    try:
        result = report.measure(scenes, progress=bar)
    except ImportError as error:
        raise InputError(str(error)) from error
    click.echo(result.table())
    sheets = {"gallery": tuple(report.METHODS), "explainers": tuple(report.EXPLAINERS), **report.FAMILIES}
    _now("Drawing maps")
    for name, methods in each([*sheets.items()], "pictures", bar=bar):
        with files.written(output / f"{name}.png") as temporary:
            report.gallery(result, methods).savefig(temporary, format="png", dpi=110)
    click.echo(f"\nThe maps are in {', '.join(str(output / f'{name}.png') for name in sheets)}.")
    _now("Drawing what the network takes for each digit")
    with files.written(output / "digits.png") as temporary:
        report.digits().savefig(temporary, format="png", dpi=110)
    click.echo(f"The pictures that the network takes for 0 to 9 are in {output / 'digits.png'}.")
    click.echo("\nWhat other measures tell, as medians with their intervals of 95 %:\n")
    found = comparison.compared(progress=bar)
    click.echo(found.table())
    with files.written(output / "comparison.png") as temporary:
        found.plot().savefig(temporary, format="png", dpi=110)
    click.echo(f"\nThe comparison is drawn in {output / 'comparison.png'}.")
    click.echo("\nHow similar maps stay when the weights become random, layer by layer:")
    for name, checked in (("sanity", sanity.of_scenes), ("sanity-digits", sanity.of_digits)):
        checks = checked(progress=bar)
        with files.written(output / f"{name}.png") as temporary:
            checks.figure().savefig(temporary, format="png", dpi=110)
        click.echo(f"\n{checks.table()}\n\nThe check is drawn in {output / f'{name}.png'}.")


def _now(doing: str) -> None:
    """Say on a terminal what is done now."""
    if on_terminal():
        click.echo(f"{doing} ...", err=True)
