"""Arguments and options that several commands share, each declared once."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from vis import methods
from vis.cli.app import Command, Option, cli
from vis.errors import did_you_mean
from vis.words import Normalization

_option = partial(click.option, cls=Option)


class Name(click.ParamType):  # type: ignore[type-arg]
    """One of some names; a misspelt one is reported at once, with the nearest."""

    name = "name"

    def __init__(self, kind: str, known: Iterable[str] | Callable[[], Iterable[str]]) -> None:
        self.kind = kind
        self._known = known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        known = list(self._known() if callable(self._known) else self._known)
        if known and value not in known:
            self.fail(
                f"Unknown {self.kind}: {value!r}.{did_you_mean(value, known)} "
                f"Valid names: {', '.join(known)}.",
                param,
                ctx,
            )
        return value


class Names(Name):
    """Several names with commas between them, each once."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, list):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        return list(dict.fromkeys(super(Names, self).convert(part, param, ctx) for part in parts))


class Sides(click.ParamType):  # type: ignore[type-arg]
    """An integer, or one for each axis."""

    name = "sides"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            sides = [int(part) for part in str(value).replace("x", ",").split(",")]
        except ValueError:
            self.fail(f"{value!r} is not a size: give 16, or 16x24 for height and width.", param, ctx)
        return sides[0] if len(sides) == 1 else tuple(sides)


class Pair(click.ParamType):  # type: ignore[type-arg]
    """A name and its value, NAME=VALUE."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        name, sign, text = value.partition("=")
        if not name.strip() or not sign or not text.strip():
            self.fail(f"{value!r} is not of the form NAME=VALUE.", param, ctx)
        return name, text.strip()


def path_argument(name: str, check: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return the argument of a path, or of several, that are looked at before Keras is imported.

    Args:
        name: of the argument.
        check: what is done to each: `vis.checks.CHECK`.
        **attributes: of the argument.
    """

    return click.argument(name, type=click.Path(path_type=Path), callback=_checking(check), **attributes)


def path_option(name: str, check: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return the option of a path that is looked at before Keras is imported, as an argument is."""
    return click.option(name, type=click.Path(path_type=Path), callback=_checking(check), **attributes)


def _checking(check: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def checked(_: click.Context, __: click.Parameter, value: Any) -> Any:
        from vis import checks

        look = getattr(checks, check)
        if value is None:
            return None
        return tuple((path, look(path)) for path in value) if isinstance(value, tuple) else look(value)

    return checked


def output_option(help: str, **attributes: Any) -> Callable[[Any], Any]:
    """Return the option of where something is written, the same in every command."""
    return _option("-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help=help, **attributes)


def number_option(*names: str, help: str, least: int = 1, **attributes: Any) -> Callable[[Any], Any]:
    """Return the option of a whole number."""
    return click.option(*names, type=click.IntRange(min=least), metavar="N", help=help, **attributes)


SAFE_OPTION = click.option(
    "--safe-mode/--no-safe-mode",
    default=True,
    show_default=True,
    help="Refuse a model file that holds code, or load it all the same.",
)


def command(*options: Any, shown: str) -> Callable[[Any], Any]:
    """Make a command of a function.

    Args:
        options: its arguments and options.
        shown: the line of its example, which ends its help.
    """

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return cli.command(cls=Command, epilog=f"\b\nExample:\n  {shown}")(function)

    return decorate


def _scaled_or_prepared(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Check the range of pictures and their preprocessing, in whichever order they are given."""
    if value is not None:
        from vis import maps

        given = {**context.params, option.name: value}
        maps.range_of_pictures(given.get("input_range"), given.get("preprocess"))
    return value


INPUT_RANGE_OPTION = _option(
    "--input-range",
    type=float,
    nargs=2,
    callback=_scaled_or_prepared,
    metavar="LOW HIGH",
    help="The model's values for black and white.  [default: read from the model]",
)
ASKED_OPTIONS = (
    _option(
        "--layer",
        metavar="LAYER",
        help="What is explained: an index, name, path or call, see `vis layers`.  "
        "[default: the model's output]",
    ),
    _option("--probabilities", is_flag=True, help="Explain the softmax itself, not the logits before it."),
    INPUT_RANGE_OPTION,
    SAFE_OPTION,
)


def size_option(side: int) -> Callable[[Any], Any]:
    """Return the option of a size, by default a square."""
    return _option(
        "--size",
        type=click.IntRange(min=1),
        nargs=2,
        default=(side, side),
        metavar="HEIGHT WIDTH",
        help=f"The size of the pictures, if the model takes any.  [default: {side} {side}]",
    )


def _preprocessings() -> list[str]:
    """Return the modules of `keras.applications` that preprocess pictures, without importing Keras."""
    spec = importlib.util.find_spec("keras")
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    found = [
        init.parent.name
        for root in roots
        for inside in ("applications", "api/applications")
        for init in sorted((root / inside).glob("*/__init__.py"))
        if "preprocess_input" in init.read_text()
    ]
    return list(dict.fromkeys(found))


PICTURE_OPTIONS = (
    _option(
        "--preprocess",
        type=Name("preprocessing", _preprocessings),
        metavar="NAME",
        callback=_scaled_or_prepared,
        help="Prepare the pictures as this module of keras.applications does, such as resnet50.",
    ),
    _option(
        "--fit",
        type=click.Choice(["crop", "pad", "stretch"]),
        default="crop",
        show_default=True,
        help="What is done to a picture of another shape than the model takes.",
    ),
)


def target_option(help: str) -> Callable[[Any], Any]:
    """Return the option of the class or filter."""
    return _option(
        "--target", "targets", type=int, multiple=True, metavar="N", formerly=("--filter",), help=help
    )


BACKPROP_OPTION = _option(
    "--backprop-modifier",
    type=Name("backprop modifier", methods.BACKPROP_MODIFIERS),
    metavar="NAME",
    formerly=("--backprop",),
    help="The gradient of activations: guided, or rectified.  [default: the true one]",
)
CONV_LAYER_OPTION = _option(
    "--conv-layer",
    metavar="LAYER",
    formerly=("--penultimate",),
    help="The layer whose feature maps are weighted.  "
    "[default: the last with positions before what is explained]",
)


def grad_option(default: str | None, none: bool = False, **attributes: Any) -> Callable[[Any], Any]:
    """Return the option of the gradient modifier; `none` is one of its names if asked for."""
    names = (*methods.GRAD_MODIFIERS, *(["none"] if none else []))
    return _option(
        "--grad-modifier",
        type=Name("gradient modifier", names),
        metavar="NAME",
        formerly=("--grad",),
        default=default,
        show_default=default is not None,
        help=f"What is done to the gradient: {', '.join(names)}.",
        **attributes,
    )


NORMALIZE_OPTION = _option(
    "--normalize",
    type=click.Choice([*get_args(Normalization), "none"]),
    default="minmax",
    show_default=True,
    help="How the values of a map are scaled: from lowest and highest to 0 and 1 (minmax); by the largest "
    "magnitude, which keeps zero and the signs (signed); or not at all (none).",
)
FILTER_OPTIONS = (
    target_option("The class or filter that is explained; may be repeated for several."),
    BACKPROP_OPTION,
    output_option("The folder for what is drawn.  [default: this one]", default="."),
    click.option("--save-array", is_flag=True, help="Write the array, too, as .npy beside each picture."),
)
MODEL = path_argument("model", "model_file")
IMAGES = path_argument("images", "pictures", nargs=-1, required=True, metavar="PICTURE...")
MODEL_OR_NONE = path_argument("model", "model_file", required=False)
SAMPLES_OR_NONE = path_argument("images", "samples", nargs=-1, metavar="SAMPLE...")
LABELS_OPTION = path_option(
    "--labels",
    "existing",
    metavar="FILE",
    help="Names of the classes: one a line, or JSON such as that of keras.applications.",
)
