"""The group of commands, what all of them share, and how a run ends."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import click

from vis import frameworks, wording
from vis.errors import InputError, VisError, VisWarning
from vis.version import __version__

# No line is longer, however wide the terminal is.
_WIDTH = 80


class Option(click.Option):
    """An option that is still understood under the names that it had before."""

    def __init__(self, *names: Any, formerly: tuple[str, ...] = (), **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.formerly = formerly

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        for name in self.formerly:
            click.Option.add_to_parser(_Former(self, name), parser, ctx)


class _Former(click.Option):
    """An option under a name that it had before, as the parser meets it."""

    def __init__(self, option: Option, name: str) -> None:
        self.__dict__.update(vars(option))
        self.opts = [name]
        self.now = option.opts[-1]


def _use(_: click.Context, __: click.Parameter, backend: str | None) -> None:
    """Configure Keras for a backend, before it is imported."""
    if backend is None:
        return
    if "keras" in sys.modules and backend != frameworks.configured():
        raise click.UsageError(
            f"Keras already runs on {frameworks.NAMES[frameworks.configured()]} here. Leave --backend out."
        )
    os.environ["KERAS_BACKEND"] = backend


def _backend_option() -> click.Option:
    return click.Option(
        ["--backend"],
        type=click.Choice([*frameworks.NAMES]),
        callback=_use,
        expose_value=False,
        is_eager=True,
        help="What Keras computes with.  [default: KERAS_BACKEND, or keras.json]",
    )


class Command(click.Command):
    """A command that says what is wrong in the words of its options, and ends its help with an example.

    Each has the option of the backend.
    """

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(_backend_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, found = self.make_parser(ctx).parse_args(args=list(args))
        for old in dict.fromkeys(option for option in found if isinstance(option, _Former)):
            say(f"{old.opts[0]} is now called {old.now}.")
        with _in_words_of(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        with _in_words_of(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _in_words_of(context: click.Context) -> Iterator[None]:
    """Name the options of a command in the library's errors."""
    try:
        yield
    except VisError as error:
        raise click.ClickException(wording.on_command_line(str(error), context)) from error


class Group(click.Group):
    """Commands whose first sentences are shown whole; the backend may also stand before a command's name."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params.append(_backend_option())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self.commands[name].get_short_help_str(1000)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Stopped(click.ClickException):
    """The user has stopped a command, which says how far it has come."""


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        backend = frameworks.configured()
        click.echo(f"vis, version {__version__}, on Keras with {frameworks.NAMES.get(backend, backend)}")
        context.exit()


@click.group(
    cls=Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH},
    epilog="Each command has a --help of its own, with an example.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and the backend of Keras.",
)
@click.pass_context
def cli(context: click.Context) -> None:
    """See what a Keras model looks at."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def check_zarr() -> None:
    """Raise for a Python without zarr, before anything else is done."""
    if importlib.util.find_spec("zarr") is None:
        raise InputError('Maps on disk need zarr: pip install "keras-vis3[zarr]".')


def start_keras() -> None:
    """Import Keras and run a first operation, without what a framework writes to stderr meanwhile."""
    frameworks.check()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    # TensorFlow's first lines are written by C++ to the file descriptor, before any setting takes effect.
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        import keras

        keras.ops.zeros(())
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def on_terminal() -> bool:
    """Tell whether someone watches stderr, so that progress is worth showing."""
    return sys.stderr.isatty()


def say(message: str) -> None:
    """Write a line to stderr; a progress bar there is drawn again below it."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    bars = getattr(tqdm, "_instances", ()) if on_terminal() else ()
    drawn = [bar for bar in bars if bar.last_print_t >= bar.start_t + bar.delay]
    with tqdm.external_write_mode(file=sys.stderr) if tqdm and drawn else contextlib.nullcontext():
        click.echo(f"vis: {_one_line(message)}", err=True)


def _say_stopped(message: str) -> None:
    """Write a line to stderr, in place of what a terminal shows of the keys and a bar was cut off."""
    if on_terminal():
        click.echo("\r\x1b[K", nl=False, err=True)
    say(message)


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, VisWarning):
        told = wording.on_command_line(str(message), click.get_current_context(silent=True))
        say(f"warning: {told}")


def main() -> None:
    """Run the command and exit: 0; 2 with the reason in one line on stderr; 130 if it was stopped."""
    started = time.monotonic()
    warnings.showwarning = _show_warning
    try:
        cli.main(standalone_mode=False, prog_name="vis")
    except click.exceptions.Abort:
        _say_stopped(f"stopped after {time.monotonic() - started:.0f} s")
        sys.exit(130)
    except Stopped as error:
        _say_stopped(error.format_message())
        sys.exit(130)
    except click.ClickException as error:
        say(error.format_message())
        sys.exit(2)
    except (VisError, MemoryError, OSError, ImportError) as error:
        say(_one_line(str(error)) or type(error).__name__)
        sys.exit(2)
    except Exception as error:  # what a model's own code raises when it is called
        say(f"the model could not be run: {type(error).__name__}: {error}")
        sys.exit(2)
