"""The command `vis`. An error is one line on stderr, and the exit code is 2.

Each command has a file and imports Keras when it runs, so that `--help` answers at once.
"""

from vis.cli import compare, demo, draw, explain, explore, layers, report, show
from vis.cli.app import cli, main

__all__ = ["cli", "compare", "demo", "draw", "explain", "explore", "layers", "main", "report", "show"]
