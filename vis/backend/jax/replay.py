"""Parts of a traced program that are run again with other operands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Var

from vis.backend.jax.words import Words
from vis.graph import Operation, Value


class Replay:
    """A run of a program, see `vis.backend.contract.Replay`.

    Args:
        words: what it computes.
        known: the values of its variables.
    """

    def __init__(self, words: Words, known: Mapping[Var, Any]) -> None:
        self._words, self._known = words, known
        self._program = words.trace.program

    def tensor(self, value: Value) -> Any:
        variable = self._words.variable(value)
        if variable is not None:
            return self._known[variable]
        # A size that is known only when it runs has no tensor.
        return None if value.constant is None else jnp.asarray(value.constant)

    def run(self, operation: Operation, operands: Sequence[Any], values: bool = True) -> list[Any]:
        if "differentiated" in operation.attributes:  # the results of a function with its own derivative
            return list(operands[: len(operation.outputs)])
        pairs = [
            (variable, operand)
            for value, operand in zip(operation.operands, operands, strict=True)
            if (variable := self._words.variable(value)) is not None
        ]
        last = self._words.equation(operation)
        given = dict(reversed(pairs))
        known = {**self._known, **given}
        for equation in self._before(last, given):
            taken = [known[atom] for atom in equation.invars if isinstance(atom, Var)]
            known.update(zip(equation.outvars, self._evaluated(equation, taken), strict=True))
        rest = list(pairs)
        taken = []
        for atom in last.invars:
            if isinstance(atom, Var):
                # Each use of a variable has an operand of its own.
                place = next((i for i, (variable, _) in enumerate(rest) if variable is atom), None)
                taken.append(known[atom] if place is None else rest.pop(place)[1])
        return self._evaluated(last, taken)

    def _before(self, last: JaxprEqn, given: Mapping[Var, Any]) -> list[JaxprEqn]:
        """Return the equations before one that it needs, and that depend on some variables, in order."""
        wanted = {atom for atom in last.invars if isinstance(atom, Var) and atom not in given}
        if not wanted:
            return []
        dependent, steps = set(given), []
        for equation in self._program.equations:
            if equation is last:
                break
            if not dependent.isdisjoint(atom for atom in equation.invars if isinstance(atom, Var)):
                dependent.update(equation.outvars)
                steps.append(equation)
        found = []
        for equation in reversed(steps):
            if not wanted.isdisjoint(equation.outvars) and given.keys().isdisjoint(equation.outvars):
                found.append(equation)
                wanted.update(atom for atom in equation.invars if isinstance(atom, Var) and atom not in given)
        return found[::-1]

    def _evaluated(self, equation: JaxprEqn, operands: Sequence[Any]) -> list[Any]:
        """Run one equation, given its operands that are no literals; they may have wider types now."""
        rest, wide = iter(operands), any(jnp.asarray(each).dtype == jnp.float32 for each in operands)
        given = [next(rest) if isinstance(atom, Var) else _literal(atom, wide) for atom in equation.invars]
        invars = [Var(atom.aval) for atom in equation.invars]
        parameters = dict(equation.params)
        if parameters.get("preferred_element_type") is not None:
            parameters["preferred_element_type"] = jnp.asarray(operands[0]).dtype
        alone = equation.replace(invars=invars, params=parameters)
        jaxpr = self._program.jaxpr.replace(
            constvars=(),
            invars=invars,
            outvars=equation.outvars,
            eqns=[alone],
            effects=equation.effects,
        )
        return list(jax.core.eval_jaxpr(jaxpr, (), *given))


def _literal(atom: Any, wide: bool) -> Any:
    """Return the number of a literal, in single precision if it has less and the other operands have that."""
    narrow = atom.aval.dtype in (jnp.float16, jnp.bfloat16)
    return jnp.asarray(atom.val, jnp.float32 if narrow and wide else atom.aval.dtype)


def linearized(
    function: Callable[[list[Any]], list[Any]], tensors: Sequence[Any]
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """Return what a function makes of some tensors, and the gradients by these of it times some slopes."""
    made, back = jax.vjp(lambda given: list(function(given)), list(tensors))
    return made, lambda slopes: list(back(list(slopes))[0])
