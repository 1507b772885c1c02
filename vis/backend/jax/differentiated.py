"""The gradient of a traced forward pass, as a function of arrays that JAX can trace again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Literal, Var

from vis.backend.contract import Coverage, Flow, FlowPlan, Forward, Way
from vis.backend.jax.draws import fixed_draws
from vis.backend.jax.overrides import override
from vis.backend.jax.program import Replacement, evaluated, flows, has_derivative, needed, run
from vis.backend.jax.replay import Replay
from vis.backend.jax.tracing import Trace, Widen, traced_program
from vis.backend.jax.words import words_of
from vis.graph import Graph


@dataclass(frozen=True)
class Outcome:
    """A loss, the gradients by what is watched, the wanted values, the summands of the loss, and what a
    flow notes.

    See `vis.backend.contract.Traced`; a gradient is None if the loss does not depend on what is watched.
    """

    loss: Any
    gradients: list[Any]
    values: list[Any]
    of_samples: Any
    terms: list[Any]
    told: list[Any]


jax.tree_util.register_dataclass(Outcome)


class Differentiated:
    """The gradient of a traced forward pass.

    Args:
        trace: see `traced_forward`.
        rule: the derivative of the activations, or None for the true one.

    Attributes:
        coverage: what the rule reaches, or None without a rule.
        draws: the random operations that the loss and the values depend on.
        reading: what the forward pass computes, if it is asked for.
    """

    coverage: Coverage | None = None
    reading: Graph | None = None

    def __init__(self, trace: Trace, rule: Way | None) -> None:
        self.variables = trace.variables
        self._program = program = trace.program
        shape: _Shape = trace.returned
        self._parts = shape.split(program.outputs)
        explained = [self._parts.loss, *self._parts.values]
        self.draws, seeds = fixed_draws(trace, explained)
        self._fixed = program.constants | seeds
        self._watched = [atom if self._depends(atom) else None for atom in self._parts.watched]
        replacements: list[Replacement] = []
        self._plan: FlowPlan | None = None
        if self._parts.read or rule is not None:
            told, ends = self._parts.read, [self._parts.loss, *self._parts.watched]
            if isinstance(rule, Flow):
                ends += [*self._parts.explained, *self._parts.references]
            words = words_of(trace, [*told, *ends])
            graph = words.graph
            if told:
                self.reading = Graph(graph.operations, graph.inputs, graph.outputs[: len(told)], graph.calls)
            if isinstance(rule, Flow):
                self._words = words
                loss, *values = graph.outputs[len(told) :]
                rest = iter(values)
                groups = self._parts.watched, self._parts.explained, self._parts.references
                watched, started, references = ([next(rest) for _ in group] for group in groups)
                self._plan = rule.plan(graph, watched, started, loss, references)
                self.coverage = self._plan.coverage
            elif rule is not None:
                replacements, self.coverage = override(rule, words, self._parts.watched, ends[:1])
        self._actions = program.actions(replacements)

    def _depends(self, watched: Any) -> bool:
        """Tell whether the loss has a derivative by a variable."""
        if not isinstance(watched, Var) or not has_derivative(watched.aval):
            return False
        loss = self._parts.loss
        return isinstance(loss, Var) and loss in flows(self._program.equations, [watched])

    def __call__(self, variables: Sequence[Any], tensors: Sequence[Any]) -> Outcome:
        """Return what the forward pass returns, and the gradients.

        Args:
            variables: the values of the variables.
            tensors: one tensor per spec.
        """
        parts, program = self._parts, self._program
        given = dict(zip(program.inputs, [*variables, *tensors], strict=True)) | self._fixed
        outputs = [parts.loss, *parts.values, parts.of_samples, *parts.terms]
        if self._plan is not None:
            known = evaluated(program.apart(), given)
            gradients, told = self._plan(Replay(self._words, known))
            return self._outcome([_read(atom, known) for atom in outputs], gradients, told)
        watched = list(dict.fromkeys(var for var in self._watched if var is not None))
        actions = needed(self._actions, outputs)

        def loss_of(probes: dict[Any, Any]) -> tuple[Any, Any]:
            changes = {var: _watching(probe) for var, probe in probes.items()}
            loss, *rest = run(actions, given, outputs, changes)
            return loss, rest

        probes = [jnp.zeros(var.aval.shape, var.aval.dtype) for var in watched]
        loss, back, rest = jax.vjp(
            lambda probes: loss_of(dict(zip(watched, probes, strict=True))), probes, has_aux=True
        )
        found = dict(zip(watched, back(jnp.ones_like(loss))[0], strict=True)) if watched else {}
        gradients = [None if var is None else found[var] for var in self._watched]
        return self._outcome([loss, *rest], gradients, [])

    def _outcome(self, outputs: Sequence[Any], gradients: list[Any], told: list[Any]) -> Outcome:
        loss, *rest = outputs
        count = len(self._parts.values)
        return Outcome(loss, gradients, rest[:count], rest[count], rest[count + 1 :], told)


def _read(atom: Any, known: Mapping[Var, Any]) -> Any:
    return atom.val if isinstance(atom, Literal) else known[atom]


def _watching(probe: Any) -> Callable[[Any], Any]:
    """Return a function that returns its argument, and makes the gradient by it that of `probe` too."""

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def watched(value: Any, probe: Any) -> Any:
        return value

    watched.defvjp(lambda value, probe: (value, None), lambda _, gradient: (gradient, gradient))
    return lambda value: watched(value, probe)


@dataclass(frozen=True)
class _Parts:
    loss: Any
    watched: list[Any]
    values: list[Any]
    of_samples: Any
    terms: list[Any]
    read: list[Any]
    explained: list[Any]
    references: list[Any]


@dataclass(frozen=True)
class _Shape:
    """How many tensors of each kind a forward pass returned."""

    watched: int
    values: int
    terms: int
    read: int
    explained: int
    references: int

    def split(self, atoms: Sequence[Any]) -> _Parts:
        rest = iter(atoms)

        def some(count: int) -> list[Any]:
            return [next(rest) for _ in range(count)]

        (loss,), watched, values = some(1), some(self.watched), some(self.values)
        (of_samples,), terms, read = some(1), some(self.terms), some(self.read)
        explained, references = some(self.explained), some(self.references)
        return _Parts(loss, watched, values, of_samples, terms, read, explained, references)


def traced_forward(forward: Forward, types: Sequence[Any], widen: Widen | None = None) -> Trace:
    """Trace a forward pass for inputs of some shapes and data types, see `traced_program`."""

    def function(tensors: list[Any]) -> tuple[list[Any], _Shape]:
        made = forward(tensors)
        flat = [made.loss, *made.watched, *made.values, made.of_samples, *made.terms, *made.read]
        flat += [*made.explained, *made.references]
        groups = made.watched, made.values, made.terms, made.read, made.explained, made.references
        return flat, _Shape(*map(len, groups))

    return traced_program(function, types, widen)
