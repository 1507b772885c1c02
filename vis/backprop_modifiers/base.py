"""The class of backprop modifiers, rules for the derivative of activations, and their registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import keras

from vis import models
from vis.backend import Flow, Rule
from vis.errors import ModifierError
from vis.registry import Registry
from vis.reprs import TypedRepr
from vis.words import BackpropModifierName


@dataclass(frozen=True, repr=False)
class BackpropModifier(TypedRepr):
    """A rule for the derivative of activations.

    Called with a model, it returns the modified model: a `keras.Model` over the same layers and
    variables, with the same predictions, whose gradient follows the rule under any differentiation.

    Args:
        name: its name in messages.
        rule: `rule(x, y, grad, true_grad)`, written in `keras.ops`, called for each activation with its
            input, its output, the gradient by its output, and the gradient by its input that its true
            derivative gives. All four have the shape of x. It returns the gradient by x to use, a tensor
            of floats of the same shape. The arguments are passed by position. Or a composite of rules of
            relevance, see `vis.relevance`: what is passed back is then the relevance.
    """

    name: str
    rule: Rule | Flow

    def __post_init__(self) -> None:
        if not callable(self.rule) and not isinstance(self.rule, Flow):
            raise ModifierError(f"A rule is a function rule(x, y, grad, true_grad). Received: {self.rule!r}.")

    def __call__(self, model: keras.Model) -> keras.Model:
        """Return the modified model.

        Raises:
            ModifierError: if the rule reaches no activation of the model, or returns an invalid gradient.
            ModelError: if `model` is not a built Keras model.
        """
        rule = self.rule.of(model) if isinstance(self.rule, Flow) else self.rule
        return models.modified(model, self.name, rule)

    def __repr__(self) -> str:
        name = _registry.name_of(self)
        return super().__repr__() if name is None else f"vis.backprop_modifiers.get({name!r})"


# What `get` takes, and what an option `backprop_modifier` takes.
_Named: TypeAlias = BackpropModifierName | str | BackpropModifier | Rule | Flow
BackpropModifierLike: TypeAlias = _Named | None


def _wrap(thing: BackpropModifier | Rule | Flow, name: str) -> BackpropModifier:
    if isinstance(thing, BackpropModifier):
        return thing
    if isinstance(thing, Flow):
        return BackpropModifier(getattr(thing, "name", name), thing)
    if not callable(thing):
        raise TypeError("a backprop modifier is a function rule(x, y, grad, true_grad)")
    try:
        inspect.signature(thing).bind(None, None, None, None)
    except (TypeError, ValueError):
        raise TypeError("the function must take four arguments, rule(x, y, grad, true_grad)") from None
    return BackpropModifier(name, thing)


_registry: Registry[BackpropModifier] = Registry("backprop modifier", _wrap)
names = _registry.names


def register(*names: str) -> Callable[[BackpropModifier | Rule | Flow], BackpropModifier]:
    """Return a decorator that registers a rule under each of `names` and returns its backprop modifier.

    ```python
    @vis.backprop_modifiers.register("leaky_guided")
    def leaky_guided(x, y, grad, true_grad):
        return keras.ops.where(grad > 0, true_grad, 0.1 * true_grad)
    ```

    Raises:
        ModifierError: if a name is taken by another one, or it is not a function of four arguments.
    """
    return _registry.register(*names)


def get(identifier: _Named) -> BackpropModifier:
    """Return the backprop modifier for a name, a backprop modifier, or a rule `rule(x, y, grad, true_grad)`.

    Raises:
        ModifierError: if the name is unknown (the valid ones and the nearest are listed), or it is not a
            function of four arguments.
    """
    return _registry.get(identifier)
