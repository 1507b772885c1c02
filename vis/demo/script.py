"""The command-line form of an example: its options, and the folder to which it writes its picture."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vis.plotting import Figure


class Script:
    """A script with an option `--output` for the folder of its picture, and further options.

    Run as `python NAME.py`, it reads the command line. Elsewhere, as in a notebook or where sphinx-gallery
    runs it, it ignores `sys.argv`: each option has its default, and nothing is written.

    ```python
    script = Script(globals(), click.Option(["--steps"], type=int, default=150))
    figure = draw(steps=script.options["steps"])
    script.save(figure)  # pictures/NAME.png
    ```

    Args:
        names: the names of the script, `globals()`. A script that is run by its file has a `__file__`; a
            notebook and sphinx-gallery have not. `--help` shows the title in its docstring.
        parameters: further options and arguments.

    Attributes:
        options: the values of `parameters`, by their names.
        output: the folder, which exists; None where the command line is not read.
    """

    def __init__(self, names: Mapping[str, Any], *parameters: click.Parameter) -> None:
        is_command = names.get("__name__") == "__main__" and "__file__" in names
        path = Path(names["__file__"] if is_command else "script.py")
        folder = click.Option(
            ["--output"],
            type=click.Path(file_okay=False, path_type=Path),
            default="pictures",
            show_default=True,
            help="The folder of the picture.",
        )
        title = (names.get("__doc__") or "").strip().partition("\n")[0]
        command = click.Command(path.stem, params=[*parameters, folder], help=title)
        try:
            context = command.make_context(path.name, sys.argv[1:] if is_command else [])
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except click.exceptions.Exit as error:  # after --help
            sys.exit(error.exit_code)
        self.name = path.stem
        self.options: dict[str, Any] = dict(context.params)
        output = self.options.pop("output")
        self.output: Path | None = output if is_command else None
        if self.output is not None:
            self.output.mkdir(parents=True, exist_ok=True)

    def save(self, figure: Figure, dpi: int = 130) -> None:
        """Write a figure as `NAME.png` to the folder if the script is run as a command.

        Args:
            figure: the figure.
            dpi: pixels per inch.
        """
        if self.output is not None:
            figure.savefig(self.output / f"{self.name}.png", dpi=dpi)
