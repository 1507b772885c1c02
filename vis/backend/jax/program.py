"""A traced computation as one list of equations, which can be read, changed and run.

The functions that a jaxpr calls (`jax.jit`, and what `jax.numpy` is made of) are opened. Functions with a
derivative of their own are opened too, so that their bodies can be read, but they run as a whole, with that
derivative, unless an equation inside is replaced. The bodies of loops, branches and kernels stay closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
from jax.extend.core import JaxprEqn, Literal, Primitive, Var, new_jaxpr_eqn
from jax.extend.core.primitives import copy_p

from vis.backend.jax.noted import marked_output

# By the name of the primitive, the parameter with the body of a function that is called once.
_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}
_CUSTOM = {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}
# Stands after the body of a function whose derivative its body does not show: of the results of the body and
# the arguments of the function, it returns the results, and gradients go to the arguments. It is never run.
CUSTOM_DERIVATIVE = Primitive("custom_derivative")
CUSTOM_DERIVATIVE.multiple_results = True
# What has no derivative, besides operations on integers.
_FLAT = frozenset("stop_gradient floor ceil round sign eq ne lt le gt ge is_finite argmax argmin".split())


@dataclass(frozen=True)
class Custom:
    """A call of a function with a derivative of its own.

    Args:
        equation: the call.
        outputs: where its results are stored.
        steps: its body.
        first, stop: the range of the equations of the body.
        closed: whether it always runs as a whole; then its last equation is of `CUSTOM_DERIVATIVE`.
    """

    equation: JaxprEqn
    outputs: tuple[Var, ...]
    steps: tuple[Step, ...]
    first: int
    stop: int
    closed: bool


Step = int | Custom


@dataclass(frozen=True, eq=False)
class Replacement:
    """A function that is run in place of some equations.

    Args:
        equations: their indices.
        start, end: the function computes `end` from `start`.
        operands: what else it takes.
        run: takes `start` and the operands, and returns `end`.
    """

    equations: frozenset[int]
    start: Var
    end: Var
    operands: tuple[Var, ...]
    run: Callable[..., Any]

    def is_around(self, custom: Custom, made: Collection[Var]) -> bool:
        """Tell whether it replaces a call as a whole, given what the body of the call computes."""
        starts, ends = self.start in made, self.end in made
        return not starts and (not ends or self.end in custom.outputs)


@dataclass(frozen=True, eq=False)
class Action:
    """A part of a run: what it takes, what it returns and how, and what it is done for, if not as traced."""

    operands: tuple[Var, ...]
    results: tuple[Var, ...]
    run: Callable[..., Sequence[Any]]
    replacement: Replacement | None = None


class Program:
    """A traced computation.

    Args:
        closed: a jaxpr, closed or not.

    Attributes:
        equations: all equations in order, each with variables of its own.
        inputs, outputs: variables; an output may be a literal.
        constants: the values of the variables that are constants.
        marks: the outputs of layer calls and the number of equations before their ends, by the numbers of
            the call and of the output, see `noted`.
    """

    def __init__(self, closed: Any) -> None:
        self.equations: list[JaxprEqn] = []
        self.constants: dict[Var, Any] = {}
        self.marks: dict[tuple[int, int], tuple[Any, int]] = {}
        self._jaxpr = getattr(closed, "jaxpr", closed)
        self.inputs = [Var(var.aval) for var in self._jaxpr.invars]
        self.steps, self.outputs = self._opened(closed, self.inputs, None)

    @property
    def jaxpr(self) -> Any:
        """All equations as one jaxpr, to be read."""
        return self._jaxpr.replace(
            constvars=tuple(self.constants), invars=self.inputs, outvars=self.outputs, eqns=self.equations
        )

    def _opened(self, closed: Any, operands: Sequence[Any], scope: Any) -> tuple[list[Step], list[Any]]:
        """Append the equations of a closed jaxpr; return its steps and outputs."""
        jaxpr = getattr(closed, "jaxpr", closed)
        known: dict[Any, Any] = dict(zip(jaxpr.invars, operands, strict=True))
        known.update((var, Var(var.aval)) for var in jaxpr.constvars)
        for var, value in zip(jaxpr.constvars, getattr(closed, "consts", ()), strict=False):
            self.constants[known[var]] = value
        steps: list[Step] = []
        for equation in jaxpr.eqns:
            given = [atom if isinstance(atom, Literal) else known[atom] for atom in equation.invars]
            info = equation.source_info
            if scope is not None:
                info = info.replace(name_stack=scope + info.name_stack)
            name = equation.primitive.name
            mark = marked_output(equation)
            if mark is not None:
                self.marks[mark] = (given[0], len(self.equations))
            elif name in _CALLS:
                body = equation.params[_CALLS[name]]
                inner, results = self._opened(body, given, info.name_stack)
                steps += inner
                known.update(zip(equation.outvars, results, strict=True))
            elif name in _CUSTOM:
                custom = self._custom(equation.replace(invars=given, source_info=info))
                steps.append(custom)
                known.update(zip(equation.outvars, custom.outputs, strict=True))
            else:
                made = [Var(var.aval) for var in equation.outvars]
                known.update(zip(equation.outvars, made, strict=True))
                steps.append(self._append(equation.replace(invars=given, outvars=made, source_info=info)))
        outputs = [atom if isinstance(atom, Literal) else known[atom] for atom in jaxpr.outvars]
        return steps, outputs

    def _append(self, equation: JaxprEqn) -> int:
        self.equations.append(equation)
        return len(self.equations) - 1

    def _custom(self, equation: JaxprEqn) -> Custom:
        """Append the body of a call with a derivative of its own."""
        name, first = equation.primitive.name, len(self.equations)
        body = equation.params[_CUSTOM[name]]
        steps, results = self._opened(body, equation.invars, equation.source_info.name_stack)
        own = [Var(var.aval) for var in equation.outvars]
        stop = len(self.equations)
        sources = [atom for atom in equation.invars if isinstance(atom, Var)]
        flowing = flows(self.equations[first:stop], sources)
        if name == "custom_vjp_call" or flowing.isdisjoint(r for r in results if isinstance(r, Var)):
            # The body shows nothing of the derivative.
            whole = new_jaxpr_eqn(
                [*results, *equation.invars], own, CUSTOM_DERIVATIVE, {}, set(), equation.source_info
            )
            self._append(whole)
            closed = True
        else:
            closed = False
            made = {var for index in range(first, stop) for var in self.equations[index].outvars}
            for place, result in enumerate(results):
                if result in own or not isinstance(result, Var) or result not in made:
                    copied = new_jaxpr_eqn([result], [own[place]], copy_p, {}, set(), equation.source_info)
                    steps.append(self._append(copied))
                else:
                    own[place] = result
        equation = equation.replace(outvars=[Var(var.aval) for var in equation.outvars])
        return Custom(equation, tuple(own), tuple(steps), first, len(self.equations), closed)

    def actions(self, replacements: Sequence[Replacement] = ()) -> list[Action]:
        """Return how to run all equations in order, with some of them replaced."""
        last: dict[int, list[Replacement]] = {}
        for each in replacements:
            last.setdefault(max(each.equations), []).append(each)
        found: list[Action] = []
        for step in self._split(self.steps, replacements):
            found.append(self._action(step))
            for index in range(*_range(step)):
                for each in last.get(index, ()):
                    operands = (each.start, *each.operands)
                    found.append(Action(operands, (each.end,), _listed(each.run), each))
        return found

    def apart(self) -> list[Action]:
        """Return how to run each equation by itself, so that all inner values are computed."""
        return [self._opened_action(index) for index in range(len(self.equations))]

    def _opened_action(self, index: int) -> Action:
        equation = self.equations[index]
        if equation.primitive is not CUSTOM_DERIVATIVE:
            return self._action(index)
        results = tuple(equation.outvars)
        made = equation.invars[: len(results)]
        operands = tuple(atom for atom in made if isinstance(atom, Var))

        def copied(*values: Any) -> list[Any]:
            rest = iter(values)
            return [next(rest) if isinstance(atom, Var) else atom.val for atom in made]

        return Action(operands, results, copied)

    def part(self, equations: Collection[int], start: Var, end: Var) -> list[Action]:
        """Return how to compute `end` from `start` with some of the equations."""
        whole = Replacement(frozenset(equations), start, end, (), _nothing)
        steps = [
            step
            for step in self._split(self.steps, [whole])
            if not whole.equations.isdisjoint(range(*_range(step)))
        ]
        return needed([self._action(step) for step in steps], [end])

    def _split(self, steps: Iterable[Step], replacements: Sequence[Replacement]) -> Iterator[Step]:
        """Yield steps, the calls among them opened if a replacement begins or ends inside."""
        for step in steps:
            if isinstance(step, Custom) and not step.closed:
                inside = range(step.first, step.stop)
                made = {var for index in inside for var in self.equations[index].outvars}
                touching = [each for each in replacements if not each.equations.isdisjoint(inside)]
                if not all(each.is_around(step, made) for each in touching):
                    yield from self._split(step.steps, touching)
                    continue
            yield step

    def _action(self, step: Step) -> Action:
        if isinstance(step, Custom):
            equation, results = step.equation, step.outputs
        else:
            equation = self.equations[step]
            results = tuple(equation.outvars)
        operands = tuple(dict.fromkeys(atom for atom in equation.invars if isinstance(atom, Var)))
        jaxpr = self._jaxpr.replace(
            constvars=(),
            invars=operands,
            outvars=equation.outvars,
            eqns=[equation],
            effects=equation.effects,
        )
        return Action(operands, results, lambda *values: jax.core.eval_jaxpr(jaxpr, (), *values))


def _range(step: Step) -> tuple[int, int]:
    return (step.first, step.stop) if isinstance(step, Custom) else (step, step + 1)


def _listed(function: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *values: [function(*values)]


def _nothing(*_: Any) -> None:
    """Stand in for a function that is not called."""


def needed(actions: Sequence[Action], outputs: Iterable[Any]) -> list[Action]:
    """Return the actions that some outputs depend on."""
    wanted = {atom for atom in outputs if isinstance(atom, Var)}
    found = []
    for action in reversed(actions):
        if not wanted.isdisjoint(action.results):
            wanted -= set(action.results)
            wanted.update(action.operands)
            found.append(action)
    return found[::-1]


def preceding(equations: Sequence[JaxprEqn], outputs: Iterable[Any]) -> list[JaxprEqn]:
    """Return the equations that some variables depend on, in order."""
    wanted = {atom for atom in outputs if isinstance(atom, Var)}
    found = []
    for equation in reversed(equations):
        if not wanted.isdisjoint(equation.outvars):
            wanted.update(atom for atom in equation.invars if isinstance(atom, Var))
            found.append(equation)
    return found[::-1]


def free(actions: Sequence[Action]) -> list[Var]:
    """Return what some actions take that none of them computes."""
    made: set[Var] = set()
    found: dict[Var, None] = {}
    for action in actions:
        found.update(dict.fromkeys(var for var in action.operands if var not in made))
        made.update(action.results)
    return list(found)


def run(
    actions: Sequence[Action],
    values: Mapping[Var, Any],
    outputs: Sequence[Any],
    changes: Mapping[Var, Callable[[Any], Any]] = MappingProxyType({}),
) -> list[Any]:
    """Return the values of some outputs.

    Args:
        actions: what computes them.
        values: the values of inputs and constants.
        outputs: variables or literals.
        changes: what is made of the value of some variables before it is used.
    """
    known = evaluated(actions, values, changes)
    return [atom.val if isinstance(atom, Literal) else known[atom] for atom in outputs]


def evaluated(
    actions: Sequence[Action],
    values: Mapping[Var, Any],
    changes: Mapping[Var, Callable[[Any], Any]] = MappingProxyType({}),
) -> dict[Var, Any]:
    """Return the values of all variables; the arguments are those of `run`."""
    known = dict(values)

    def store(var: Var, value: Any) -> None:
        known[var] = changes[var](value) if var in changes else value

    for var in changes:
        if var in known:
            store(var, known[var])
    for action in actions:
        made = action.run(*(known[var] for var in action.operands))
        for var, value in zip(action.results, made, strict=True):
            store(var, value)
    return known


def flows(equations: Iterable[JaxprEqn], sources: Iterable[Var]) -> set[Var]:
    """Return the variables whose derivative by some sources may be nonzero."""
    found = {var for var in sources if has_derivative(var.aval)}
    for equation in equations:
        if equation.primitive.name not in _FLAT and any(
            isinstance(atom, Var) and atom in found for atom in equation.invars
        ):
            found.update(var for var in equation.outvars if has_derivative(var.aval))
    return found


def has_derivative(aval: Any) -> bool:
    """Tell whether values of a type are floats."""
    dtype = getattr(aval, "dtype", None)
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.numpy.inexact)
