"""The command `vis`. Whatever is wrong ends in one line on stderr and exit code 2.

A file per command; each imports Keras when it runs, so that `--help` answers at once.
"""

from vis.cli import demo, draw, explain, layers, show
from vis.cli.app import cli, main

__all__ = ["cli", "demo", "draw", "explain", "layers", "main", "show"]
