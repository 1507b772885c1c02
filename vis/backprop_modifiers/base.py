"""Backprop modifiers: a rule for the derivative of activations, and the registry of them."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from vis import models
from vis.backend import Rule
from vis.errors import ModifierError
from vis.registry import Registry
from vis.words import BackpropModifierName


@dataclass(frozen=True)
class BackpropModifier:
    """A rule for the derivative of activations.

    Called with a model, it returns the modified model: a `keras.Model` over the same layers and
    variables, with the same predictions, whose gradient follows the rule under any differentiation.

    Args:
        name: how it is called in messages.
        rule: `rule(x, y, incoming, true)`, written in `keras.ops`, for each activation: its input, its
            output, the gradient that comes in from above, and the gradient that the activation would
            pass on by its true derivative, all of the shape of x. It returns the gradient for x.
    """

    name: str
    rule: Rule

    def __post_init__(self) -> None:
        if not callable(self.rule):
            raise ModifierError(f"A rule is a function rule(x, y, incoming, true). Received: {self.rule!r}.")

    def __call__(self, model: keras.Model) -> keras.Model:
        """Return `model` modified.

        Raises:
            ModifierError: if the rule reaches no activation of the model.
            ModelError: if `model` is no built Keras model.
        """
        return models.modified(model, self.name, self.rule)


def _wrap(thing: Any, name: str) -> BackpropModifier:
    if isinstance(thing, BackpropModifier):
        return thing
    if not callable(thing):
        raise TypeError("a backprop modifier is a function rule(x, y, incoming, true)")
    try:
        inspect.signature(thing).bind(None, None, None, None)
    except (TypeError, ValueError):
        raise TypeError("the function must take four arguments, rule(x, y, incoming, true)") from None
    return BackpropModifier(name, thing)


_registry: Registry[BackpropModifier] = Registry("backprop modifier", _wrap)
register = _registry.register
names = _registry.names
get = _registry.get

# What an option `backprop_modifier` takes.
BackpropModifierLike: TypeAlias = BackpropModifierName | str | BackpropModifier | Rule | None
