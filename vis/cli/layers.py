"""`vis layers`."""

from __future__ import annotations

from pathlib import Path

import click

from vis.cli.app import start_keras
from vis.cli.options import MODEL, SAFE_OPTION, command


@command(MODEL, SAFE_OPTION, shown="vis layers model.keras")
def layers(model: Path, safe_mode: bool) -> None:
    """List the layers of a model.

    MODEL is a .keras or .h5 file. Each row is a layer, another operation of the graph, or one call of a layer
    that is called several times: its index, its path for --layer, its type, output shape, number of filters
    and activation, and whether guided backpropagation reaches that activation.
    """
    start_keras()
    from vis import describe, files

    click.echo(describe.layer_table(files.load_model(model, safe_mode)))
