"""The class of rules, their registry, and what they share."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from keras import ops

from vis.registry import Registry
from vis.relevance.site import Site
from vis.reprs import TypedRepr
from vis.typing import Tensor


class Rule(TypedRepr, ABC):
    """How a site passes back the relevance that arrives at its output.

    Subclass it and implement `__call__`, or write a function `rule(site, relevance)`.
    """

    @abstractmethod
    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        """Return the relevance of each input of a site, in the shapes of `site.inputs`.

        Args:
            site: the site.
            relevance: that of its output, in the shape of `site.output`; for a site with several outputs a
                list.
        """

    def reaches(self, signals: Sequence[bool]) -> Sequence[bool]:
        """Return which inputs get relevance at all, given which are signals."""
        return (True,) * len(signals)


class FunctionRule(Rule):
    """A function `rule(site, relevance)` as a rule."""

    def __init__(self, function: Callable[[Site, Any], list[Tensor]], name: str) -> None:
        self.function, self.name = function, name

    def __call__(self, site: Site, relevance: Tensor) -> list[Tensor]:
        return self.function(site, relevance)


# What is called with a site and its relevance.
RuleLike: TypeAlias = str | Rule | Callable[[Site, Any], list[Tensor]]
# The input, weights and bias of one of several terms that share a denominator; a bias of None is nothing.
Part = tuple[Any, Any, Any]


def stabilized(values: Tensor, epsilon: float) -> Tensor:
    """Return values moved away from zero: `v + epsilon sign(v)`, with `sign(0) = 1`."""
    return ops.where(values < 0, values - epsilon, values + epsilon)


def shares(relevance: Tensor, below: Tensor, epsilon: float) -> Tensor:
    """Return relevance over a denominator that epsilon keeps away from zero; zero where it is zero."""
    return relevance / below if epsilon else quotient(relevance, below)


def quotient(above: Tensor, below: Tensor) -> Tensor:
    """Return a quotient, which is zero where the denominator is."""
    is_zero = ops.equal(below, 0)
    return ops.where(is_zero, ops.zeros_like(above), above / ops.where(is_zero, ops.ones_like(below), below))


def shared(
    site: Site, relevance: Tensor, parts: Sequence[Part], epsilon: float, weight: float = 1.0
) -> Tensor:
    """Return the relevance of the input of an affine site, shared by what each value contributes.

    `R_i = sum_p x_pi sum_j w_pij R_j / (z_j + epsilon sign(z_j))` with `z = sum_p (x_p W_p + b_p)`.

    Args:
        site: the site.
        relevance: that of its output.
        parts: each an input, weights and a bias.
        epsilon: what moves the denominator away from zero.
        weight: what the result is multiplied by.
    """
    total: Any = None
    backs = []
    for x, weights, bias in parts:
        made, back = site.linearized(x, weights)
        backs.append(back)
        made = made if bias is None else made + bias
        total = made if total is None else total + made
    below = stabilized(total, epsilon)
    share = shares(relevance, below, epsilon)
    found: Any = None
    for (x, _, bias), back in zip(parts, backs, strict=True):
        more = x * back(share)
        found = more if found is None else found + more
        site.account(share, bias, None, weight)
    site.account(share, None, below - total, weight)
    return found if weight == 1 else weight * found


def positive(values: Tensor | None) -> Any:
    return None if values is None else ops.relu(values)


def negative(values: Tensor | None) -> Any:
    return None if values is None else values - ops.relu(values)


def _wrap(thing: Any, name: str) -> Rule:
    if isinstance(thing, Rule):
        return thing
    if isinstance(thing, type) and issubclass(thing, Rule):
        made: Rule = thing()
        return made
    if not callable(thing):
        raise TypeError("a rule is a function rule(site, relevance)")
    try:
        inspect.signature(thing).bind(None, None)
    except (TypeError, ValueError):
        raise TypeError("the function must take two arguments, rule(site, relevance)") from None
    return FunctionRule(thing, name)


_registry: Registry[Rule] = Registry("rule of relevance", _wrap)
names = _registry.names


def register(*names: str) -> Callable[[Any], Any]:
    """Return a decorator that registers a rule, or a class of rules with its defaults, under some names.

    Raises:
        ModifierError: if a name is taken by another one, or it is not a function of two arguments.
    """

    def decorate(thing: Any) -> Any:
        made = _registry.register(*names)(thing)
        return thing if isinstance(thing, type) else made

    return decorate


def get(identifier: RuleLike) -> Rule:
    """Return the rule for a name, a rule, or a function `rule(site, relevance)`.

    Raises:
        ModifierError: if the name is unknown, or it is not a function of two arguments.
    """
    return _registry.get(identifier)
