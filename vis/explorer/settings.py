"""What a page asks: a method with its options, for a target of a layer, on a sample."""

from __future__ import annotations

import typing
from dataclasses import dataclass
from typing import Any

from vis import attributions, methods
from vis.attributions.perturbed import Perturbed
from vis.errors import InputError, did_you_mean

# What is shown beside a map.
BESIDE = ("sanity", "measures", "maximize")
# Methods that mix an input with another one.
_BLENDING = ("rise", "sobol")


@dataclass(frozen=True)
class Setting:
    """What is asked.

    Args:
        picture: the number of a sample in the strip.
        method: one of `vis.methods.METHODS`.
        layer: its number in the list of layers; None for the model's output.
        target: a class or filter; None for the predicted one.
        options: the texts of the options that are not the method's own defaults, by name.
    """

    picture: int
    method: str = "saliency"
    layer: int | None = None
    target: int | None = None
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, given: Any) -> Setting:
        """Return the setting that a page sends.

        Raises:
            InputError: if it is not one.
        """
        known = ("picture", "method", "layer", "target", "options")
        if not isinstance(given, dict) or not set(given) <= set(known):
            raise InputError(f"A setting has the parts {', '.join(known)}. Received: {str(given)[:200]}.")
        picture, layer, target = (given.get(name) for name in ("picture", "layer", "target"))
        method, options = given.get("method", "saliency"), given.get("options", {})
        whole = [each for each in (picture, layer, target) if each is not None]
        if picture is None or any(isinstance(each, bool) or not isinstance(each, int) for each in whole):
            raise InputError("picture, layer and target must be whole numbers. Received others.")
        if not isinstance(method, str) or method not in methods.METHODS:
            raise InputError(
                f"Unknown method: {str(method)[:50]!r}.{did_you_mean(str(method)[:50], methods.METHODS)}"
            )
        if not isinstance(options, dict) or not all(isinstance(each, str) for each in options.values()):
            raise InputError("options must be texts by their names. Received others.")
        takes = methods.METHODS[method].options
        for name in options:
            if name not in takes:
                raise InputError(
                    f"{method} does not take {name[:50]!r} here. Take one of {', '.join(takes)}."
                )
        return cls(picture, method, layer, target, tuple(sorted(options.items())))

    @property
    def explainer(self) -> Any:
        """The explainer's class."""
        return getattr(attributions, methods.METHODS[self.method].explainer)

    def arguments(self) -> dict[str, Any]:
        """Return the options as arguments of the explainer.

        Raises:
            InputError: for a text that is not such a value.
        """
        known = methods.parameters(self.explainer)
        found: dict[str, Any] = {}
        for name, text in self.options:
            try:
                found[name] = methods.value(text, known[name].annotation)
            except ValueError as error:
                raise InputError(f"{name} must be {error}. Received: {text[:100]!r}.") from error
        return found


def needs_gradient(method: str) -> bool:
    """Tell whether a method differentiates by the inputs, or by the layer `wrt`."""
    known = methods.METHODS[method]
    return "wrt" in known.options and not issubclass(getattr(attributions, known.explainer), Perturbed)


def needs_layer(method: str, text: bool) -> bool:
    """Tell whether a method makes maps of words by the layer `wrt` alone.

    Args:
        method: one of `vis.methods.METHODS`.
        text: whether an input is text, and not numbers of words.
    """
    return "wrt" in methods.METHODS[method].options and (
        text or method in _BLENDING or needs_gradient(method)
    )


def forms(method: str, wrt: str | None = None) -> list[dict[str, Any]]:
    """Return what the page asks for each option of a method: its name, kind, choices and default.

    Args:
        method: one of `vis.methods.METHODS`.
        wrt: the layer that the maps are made by, if not by the inputs.
    """
    arguments = methods.parameters(getattr(attributions, methods.METHODS[method].explainer))
    found = []
    for name in methods.METHODS[method].options:
        kinds = methods.kinds_of(arguments[name].annotation)
        default = arguments[name].default
        choices = list(dict.fromkeys(_choices(arguments[name].annotation)))
        if choices and (type(None) in kinds or default is None):
            choices = ["none", *choices]
        kind = "choice" if choices else "text"
        if not choices and kinds == {bool}:
            kind = "flag"
        elif not choices and kinds <= {int, float, type(None)}:
            kind = "number"
        elif name in ("wrt", "conv_layer"):
            kind = "layer"
        if default is ...:  # it follows from other arguments
            text, choices = "", ["", *choices]
        else:
            text = str(default).lower() if default is None or isinstance(default, bool) else str(default)
        if name == "wrt" and wrt is not None:
            text = wrt
        found.append({"name": name, "kind": kind, "choices": choices, "default": text})
    return found


def _choices(asked: Any) -> list[str]:
    """Return the names that an annotation lists."""
    if typing.get_origin(asked) is typing.Literal:
        return [str(each) for each in typing.get_args(asked)]
    return [name for part in typing.get_args(asked) for name in _choices(part)]
