"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vis.cli.app import Command, cli


def path_argument(name: str, check: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return the argument of a path, or of several, that are looked at before TensorFlow is imported.

    Args:
        name: of the argument.
        check: what is done to each: `vis.checks.CHECK`.
        **attributes: of the argument.
    """

    def checked(_: click.Context, __: click.Parameter, value: Any) -> Any:
        from vis import checks

        look = getattr(checks, check)
        return tuple(map(look, value)) if isinstance(value, tuple) else look(value)

    return click.argument(name, type=click.Path(path_type=Path), callback=checked, **attributes)


SAFE_OPTION = click.option(
    "--safe-mode/--no-safe-mode",
    default=True,
    show_default=True,
    help="Refuse a model file that holds code, or load it all the same.",
)


def command(*options: Any) -> Callable[[Any], Any]:
    """Make a command of a function of a model and of options that several commands share."""

    def decorate(function: Any) -> Any:
        for option in reversed((path_argument("model", "model_file"), *options)):
            function = option(function)
        return cli.command(cls=Command)(function)

    return decorate


ASKED_OPTIONS = (
    click.option(
        "--layer", help="Index, name, path or call (see `vis layers`).  [default: the model's output]"
    ),
    click.option("--probabilities", is_flag=True, help="Take the softmax itself instead of the logits."),
    click.option(
        "--input-range",
        type=float,
        nargs=2,
        metavar="LOW HIGH",
        help="Pixel values the model takes, for black and white.  [default: those it seems to take]",
    ),
    SAFE_OPTION,
)


def size_option(side: int) -> Callable[[Any], Any]:
    """Return the option of a size, by default a square."""
    return click.option(
        "--size",
        type=click.IntRange(min=1),
        nargs=2,
        default=(side, side),
        show_default=True,
        metavar="HEIGHT WIDTH",
        help="Of the pictures, if the model takes any size.",
    )


PICTURE_OPTIONS = (
    click.option(
        "--preprocess", help="Use the preprocessing of this keras.applications module, e.g. resnet50."
    ),
    click.option(
        "--fit",
        type=click.Choice(["crop", "pad", "stretch"]),
        default="crop",
        show_default=True,
        help="What is done to a picture of another shape than the model takes.",
    ),
)
FILTER_OPTIONS = (
    click.option("--filter", "filters", type=int, multiple=True, help="Filter or class; may be repeated."),
    click.option("--backprop", help="Backprop modifier: guided or rectified."),
    click.option("--output", type=click.Path(path_type=Path), default=".", help="Folder for the pictures."),
    click.option("--save-array", is_flag=True, help="Write the array itself as .npy beside each picture."),
)
IMAGES = path_argument("images", "image_file", nargs=-1, required=True, metavar="IMAGE...")
