"""Composites: which rule each site of a model passes its relevance back by."""

from __future__ import annotations

import fnmatch
import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import keras

from vis import backend, models
from vis.errors import ModifierError, PartialOverrideWarning, did_you_mean, warn
from vis.graph import Graph, Value
from vis.relevance import rules
from vis.relevance.flow import Plan
from vis.relevance.rules import Box, Epsilon, Gamma, Half, Pass, Route, Rule, RuleLike, Signal, Zero
from vis.relevance.steps import KINDS, Step, find_steps
from vis.reprs import TypedRepr

# Which sites a rule is for: a kind, another word, a path with wildcards, a class of layers, or a function
# of the site.
Where: TypeAlias = str | type | Callable[[Any], bool]
_WORDS = ("any", "first", "last", "affine", *KINDS)
# What holds if nothing else is said.
_OTHERWISE: tuple[tuple[str, Rule], ...] = (
    ("activation", Pass()),
    ("scale", Pass()),
    ("softmax", Pass()),
    ("route", Route()),
    ("maximum", Route()),
    ("gate", Signal()),
    ("attention", Signal()),
    ("product", Half()),
    ("any", Epsilon()),
)


class Composite(backend.Flow, TypedRepr):
    """Maps the sites of a model to rules.

    Args:
        entries: pairs `(where, rule)`; for each site, the first that matches holds. `where` is a kind of site
            (see `vis.relevance.steps`), `"affine"` (convolutions and dense layers), `"any"`, `"first"`,
            `"last"`, the path of a layer, in which `*` stands for anything, or a class of layers, for their
            affine sites, or a function of the site that returns whether the rule is for it; or several of
            these in a tuple, which must all match; there a path or a class is that of any site. `rule`
            is a rule, its name, or a function `rule(site, relevance)`. For sites that no entry matches:
            activations, scales and a softmax pass relevance on, gates and attention give it to their signal,
            other products share it equally, and all else is shared by what each input contributes (epsilon
            1e-6).
        name: for messages.
        tells: whether it notes what becomes of the relevance at each site, see `vis.relevance.flow.TOLD`.

    Raises:
        ModifierError: if an entry is no such pair.
    """

    def __init__(
        self, entries: Sequence[tuple[Any, RuleLike]] = (), name: str = "composite", *, tells: bool = False
    ) -> None:
        self.name, self.tells = name, tells
        self.entries: list[tuple[Any, Rule]] = [
            (_checked(where), rules.get(rule)) for where, rule in _pairs(entries)
        ]
        # The path, the kind and the rule of each site of the model that was planned last.
        self.sites: list[tuple[str, str, str]] = []
        self._of: weakref.WeakKeyDictionary[Any, Composite] = weakref.WeakKeyDictionary()

    def of(self, model: keras.Model) -> Composite:
        """Return it with the paths of the layers of a model in place of their classes."""
        if not any(isinstance(each, type) for where, _ in self.entries for each in _each(where)):
            return self
        if model not in self._of:
            entries = [(_placed(where, models.unmodified(model)[0]), rule) for where, rule in self.entries]
            self._of[model] = Composite(entries, self.name, tells=self.tells)
        return self._of[model]

    def rule(self, step: Any) -> Rule:
        """Return the rule for a site."""
        return next(rule for where, rule in [*self.entries, *_OTHERWISE] if _matches(where, step))

    def plan(
        self,
        graph: Graph,
        sources: Sequence[Value],
        ends: Sequence[Value],
        loss: Value | None = None,
        references: Sequence[Value] = (),
    ) -> Plan:
        steps = [self._ruled(step) for step in find_steps(graph, sources, ends)]
        plan = Plan(steps, graph, sources, ends, loss, self.tells)
        self.sites = [(step.path, step.kind, repr(rule)) for step, rule in plan.steps]
        return plan

    def _ruled(self, step: Step) -> tuple[Step, Rule]:
        """Return a site with its rule. A shift within a sum takes a share unless scales pass relevance on."""
        if step.is_shifted and not isinstance(self.rule(replace(step, kind="scale")), Pass):
            step = replace(step, is_shifted=False)
        return step, self.rule(step)

    def report(self, coverage: backend.Coverage, name: str, model: str) -> None:
        """Warn of operations that no rule is made for.

        Raises:
            ModifierError: if there is no site at all.
        """
        if not coverage.reached and not coverage.missed:
            raise ModifierError(
                f"No relevance reaches the input of the model {model!r} by {name!r}: no operation leads from "
                "it to the explained output. Choose a layer after it."
            )
        if coverage.missed:
            warn(
                f"The relevance of the model {model!r} by {name!r} passes operations that no rule is made "
                f"for, and is shared there by their gradients: {', '.join(coverage.missed[:10])}"
                f"{', ...' if len(coverage.missed) > 10 else ''}. Give them a rule, "
                'Composite([("unknown", rule), ...]), or look at explainer.conservation.',
                PartialOverrideWarning,
            )


def _pairs(entries: Any) -> list[tuple[Any, Any]]:
    try:
        return [(where, rule) for where, rule in entries]
    except (TypeError, ValueError):
        raise ModifierError(
            f"A composite is a list of pairs, [(where, rule), ...]. Received: {entries!r}. "
            'Write, for example, Composite([("conv", "z_plus"), ("dense", "epsilon")]).'
        ) from None


def _checked(where: Any) -> Any:
    if isinstance(where, tuple):
        return tuple(map(_checked, where))
    if not isinstance(where, str | frozenset) and not callable(where):
        raise ModifierError(
            f"A rule is for sites of a kind ({', '.join(_WORDS)}), for a path, or for those that a function "
            f"chooses. Received: {where!r}."
        )
    return where


def _each(where: Any) -> tuple[Any, ...]:
    return where if isinstance(where, tuple) else (where,)


def _placed(where: Any, model: keras.Model) -> Any:
    """Return a condition with the paths of the layers of a model in place of their class."""
    if isinstance(where, tuple):
        return tuple(_placed(each, model) for each in where)
    if not isinstance(where, type):
        return where
    paths = models.paths_of(model)
    found = [each for key, each in models.held_operations(model).items() if isinstance(each, where)]
    return frozenset(paths[id(each)] for each in found if id(each) in paths)


def _matches(where: Any, step: Step, of_any: bool = False) -> bool:
    if isinstance(where, tuple):
        return all(_matches(each, step, of_any=True) for each in where)
    if isinstance(where, frozenset):
        return (of_any or step.kernel is not None) and step.layer in where
    if not isinstance(where, str):
        return bool(where(step))
    if where in KINDS:
        return step.kind == where
    if where in ("any", "affine"):
        return where == "any" or step.kernel is not None
    if where in ("first", "last"):
        return step.is_first if where == "first" else step.is_last
    return (of_any or step.kernel is not None) and fnmatch.fnmatchcase(step.layer, where)


def epsilon_plus() -> Composite:
    """Z-plus for convolutions, epsilon for dense layers."""
    return Composite([("conv", "z_plus")], "epsilon_plus")


def epsilon_plus_flat() -> Composite:
    """As `epsilon_plus`, with the flat rule for the first affine layers."""
    return Composite([("first", "flat"), ("conv", "z_plus")], "epsilon_plus_flat")


def epsilon_gamma_box(low: float = 0.0, high: float = 1.0) -> Composite:
    """The box rule for the first convolutions, gamma for others, epsilon for dense layers.

    Args:
        low, high: the bounds of the inputs.
    """
    return Composite([(("first", "conv"), Box(low, high)), ("conv", Gamma(0.25))], "epsilon_gamma_box")


def epsilon_alpha2_beta1_flat() -> Composite:
    """Alpha 2, beta 1 for convolutions, the flat rule for the first affine layers, epsilon for dense ones."""
    return Composite([("first", "flat"), ("conv", "alpha_beta")], "epsilon_alpha2_beta1_flat")


def deep_taylor(low: float | None = None, high: float | None = None) -> Composite:
    """Z-plus everywhere; the box rule, or without bounds that of squared weights, for the first layers.

    Args:
        low, high: the bounds of the inputs, if there are any.
    """
    first: RuleLike = "w_square" if low is None or high is None else Box(low, high)
    return Composite([("first", first), ("affine", "z_plus")], "deep_taylor")


def excitation() -> Composite:
    """Z-plus for all affine layers."""
    return Composite([("affine", "z_plus")], "excitation")


def attn_lrp() -> Composite:
    """Epsilon everywhere; products of attention share equally; a softmax is expanded at its input.

    Also for elementwise scales and shifts: what passed the shift of a layer normalization unchanged would be
    divided by numbers around zero before it.
    """
    return Composite([("attention", Half()), ("softmax", Zero()), ("scale", Epsilon())], "attn_lrp")


def cp_lrp() -> Composite:
    """Epsilon everywhere; the weights of attention are gates, so that relevance is conserved."""
    return Composite([("attention", Signal()), ("scale", Epsilon())], "cp_lrp")


_made: dict[str, Callable[[], Composite]] = {
    made.__name__: made
    for made in (
        epsilon_plus,
        epsilon_plus_flat,
        epsilon_gamma_box,
        epsilon_alpha2_beta1_flat,
        deep_taylor,
        excitation,
        attn_lrp,
        cp_lrp,
    )
}
NAMES = tuple(_made)
CompositeLike: TypeAlias = str | Composite | Sequence[tuple[Any, RuleLike]]


@functools.cache
def _named(name: str) -> Composite:
    return _made[name]()


def name_of(composite: Composite) -> str | None:
    """Return the name of a composite that the library brings, or None."""
    return composite.name if composite.name in _made and _named(composite.name) is composite else None


def get(identifier: CompositeLike) -> Composite:
    """Return the composite for a name, a composite, or a list of pairs `(where, rule)`.

    The name of a rule, such as `"epsilon"`, is a composite of that rule for all affine layers.

    Raises:
        ModifierError: if the name is unknown, or an entry is not a pair.
    """
    if isinstance(identifier, Composite):
        return identifier
    if not isinstance(identifier, str):
        return Composite(identifier)
    if identifier in _made:
        return _named(identifier)
    if identifier in rules.names():
        return Composite([("affine", identifier)], identifier)
    known = [*_made, *rules.names()]
    raise ModifierError(
        f"Unknown composite: {identifier!r}.{did_you_mean(identifier, known)} Valid names: "
        f"{', '.join(_made)}; or a rule for all affine layers: {', '.join(rules.names())}."
    )
