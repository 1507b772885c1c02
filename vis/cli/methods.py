"""The options of the explainers on the command line, and their texts as arguments in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from vis import wording
from vis.errors import did_you_mean
from vis.methods import METHODS, parameters, value

# The arguments that have an option of their own, and those that the command gives itself.
_OWN = "backprop_modifier baseline conv_layer grad_modifier nb_samples noise patch_size steps"
OWN = {name: wording.OPTIONS[name] for name in _OWN.split()}
GIVEN = {"model": "MODEL", "output_layer": "--layer", "batch_size": "--batch-size"}


def given_by(method: str) -> dict[str, str]:
    """Return the option that gives each argument of the explainers; "" where a method does not take it."""
    taken = METHODS[method].options
    names = dict.fromkeys(name for each in METHODS.values() for name in each.options)
    return {name: OWN.get(name, f"--option {name}") if name in taken else "" for name in names}


def named_options(method: str, own: Mapping[str, Any], more: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return the arguments that the options of a command give to an explainer, by their names in Python.

    Args:
        method: one of `METHODS`.
        own: the values of the options that have a name of their own; None for those that are not given.
        more: the names and texts of the others.

    Raises:
        UsageError: for a name that is unknown, that this method does not take, or that is given twice.
    """
    chosen = {name: value for name, value in own.items() if value is not None}
    for name in chosen:
        _check(method, name, OWN[name])
    spelled = {option.removeprefix("--").replace("-", "_"): name for name, option in OWN.items()}
    for written, text in more:
        name = written.strip().removeprefix("--").replace("-", "_")
        name = spelled.get(name, name)
        _check(method, name, f"--option {written}")
        if name in chosen:
            raise click.UsageError(f"{OWN.get(name, f'--option {name}')} is given twice. Give it once.")
        chosen[name] = text
    return chosen


def _check(method: str, name: str, option: str) -> None:
    valid = METHODS[method].options
    if name in valid:
        return
    if name in GIVEN:
        raise click.UsageError(f"{option} is not an option. Use {GIVEN[name]}.")
    others = [other for other, taking in METHODS.items() if name in taking.options]
    if others:
        what = f"{option} is an option of {', '.join(others)}, not of {method}."
    else:
        what = f"{option} is unknown.{did_you_mean(name, valid)}"
    own = ", ".join(OWN[each] for each in valid if each in OWN)
    more = ", ".join(each for each in valid if each not in OWN)
    takes = f"{own}; and by --option NAME=VALUE {more}" if own else f"by --option NAME=VALUE {more}"
    raise click.UsageError(f"{what} The method {method} takes {takes}.")


def converted(explainer: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with each text as the type that the constructor of an explainer asks for.

    Raises:
        BadParameter: for a text that is no such value.
    """
    asked = parameters(explainer)
    return {
        name: _value(name, text, asked[name].annotation) if isinstance(text, str) else text
        for name, text in options.items()
    }


def _value(name: str, text: str, asked: Any) -> Any:
    try:
        return value(text, asked)
    except ValueError as error:
        option = OWN.get(name, f"--option {name}")
        raise click.UsageError(f"{option} must be {error}. Received: {text!r}.") from error
