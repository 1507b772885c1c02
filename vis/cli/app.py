"""The group of commands, what all of them share, and how a run ends."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import warnings
from typing import Any

import click

from vis import wording
from vis.errors import InputError, VisError, VisWarning
from vis.version import __version__


class Command(click.Command):
    """A command that says what is wrong in the words of its options."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VisError as error:
            raise click.ClickException(wording.on_command_line(str(error), ctx)) from error


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vis")
@click.pass_context
def cli(context: click.Context) -> None:
    """See what a Keras model looks at."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def check_zarr() -> None:
    """Raise for a Python without zarr, before anything else is done."""
    if importlib.util.find_spec("zarr") is None:
        raise InputError('Maps on disk need zarr: pip install "keras-vis3[zarr]".')


def start_tensorflow() -> None:
    """Import Keras and run a first operation, without what TensorFlow writes to stderr meanwhile."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    # Its first lines are written by C++ to the file descriptor, before any setting takes effect.
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import keras

        keras.ops.zeros(())
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, VisWarning):
        told = wording.on_command_line(str(message), click.get_current_context(silent=True))
        click.echo(f"vis: warning: {_one_line(told)}", err=True)


def main() -> None:
    """Run the command and exit: 0, or 2 with one line on stderr."""
    started = time.monotonic()
    warnings.showwarning = _show_warning
    try:
        cli.main(standalone_mode=False, prog_name="vis")
    except click.exceptions.Abort:
        click.echo(f"vis: stopped after {time.monotonic() - started:.0f} s", err=True)
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"vis: {_one_line(error.format_message())}", err=True)
        sys.exit(2)
    except (VisError, MemoryError, OSError, ImportError) as error:
        click.echo(f"vis: {_one_line(str(error)) or type(error).__name__}", err=True)
        sys.exit(2)
    except Exception as error:  # what a model's own code raises when it is called
        click.echo(
            f"vis: the model could not be run: {type(error).__name__}: {_one_line(str(error))}", err=True
        )
        sys.exit(2)
