"""Gradients compiled for the sizes that they meet: from one trace for all, or from one for each."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vis.backend.contract import Forward, Spec, Way
from vis.backend.jax.differentiated import Differentiated, Outcome, traced_forward
from vis.backend.jax.kernels import Turned, are_large, split
from vis.backend.jax.sizes import is_stretched, is_symbolic, types
from vis.backend.jax.tracing import types_of_values, values_of
from vis.backend.recent import Recent
from vis.errors import GradientError, VisError

# For how many sizes a function is kept that is traced for each.
KEPT = 8


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn JAX's errors while it differentiates into the library's own."""
    try:
        yield
    except VisError:
        raise
    except (NotImplementedError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        if not any(words in reason for words in _NO_DERIVATIVE):
            raise
        raise GradientError(
            f"An operation between the input and the loss has no gradient: {reason}. Choose a layer "
            "before it, or differentiate with respect to a tensor after it: wrt."
        ) from error


# What JAX says of an operation, a loop or a call of Python that has no derivative.
_NO_DERIVATIVE = ("ifferentiation rule", "everse-mode differentiation", "not support JVP")


class Compiled:
    """A gradient as a function of variables and tensors of some types.

    It holds nothing of the model. It is differentiated here, and compiled when it is called.

    Args:
        made: the gradient.
        given: the types of the tensors.

    Raises:
        GradientError: if something in it has no derivative.
    """

    def __init__(self, made: Differentiated, given: Sequence[Any]) -> None:
        held, tensors = types_of_values(made.variables), list(given)
        symbolic = any(is_symbolic(size) for each in given for size in each.shape)
        large = are_large(held)
        self._turned: Turned | None = None
        with translated():
            if symbolic and not large:
                self.call: Callable[..., Outcome] = jax.export.export(jax.jit(made))(held, tensors).call
            else:
                closed, shapes = jax.make_jaxpr(made, return_shape=True)(held, tensors)
                structure, jaxpr = jax.tree.structure(shapes), closed.jaxpr
                kernels: tuple[Any, ...] = ()
                if large and (parts := split(closed, len(held))) is not None:
                    turn, jaxpr = parts
                    self._turned, kernels = Turned(turn), (jax.eval_shape(turn, held),)

                def run(variables: Any, tensors: Any, kernels: Any = ()) -> Outcome:
                    found = jax.core.eval_jaxpr(jaxpr, closed.consts, *variables, *tensors, *kernels)
                    outcome: Outcome = jax.tree.unflatten(structure, found)
                    return outcome

                self.call = jax.export.export(jax.jit(run))(held, tensors, *kernels).call if symbolic else run
        self._function = jax.jit(self.call)

    def __call__(self, variables: Sequence[Any], tensors: Sequence[Any]) -> Outcome:
        """Return what the gradient returns."""
        outcome: Outcome = self._function(variables, list(tensors), *self.kernels(variables))
        return outcome

    def kernels(self, variables: Sequence[Any]) -> tuple[list[Any], ...]:
        """Return what is computed from the variables alone, once."""
        return () if self._turned is None else (self._turned(variables),)

    def shapes(self, variables: Sequence[Any], tensors: Sequence[Any]) -> Any:
        """Return the types of what it returns for some types."""
        return jax.eval_shape(self.call, variables, tensors, *jax.eval_shape(self.kernels, variables))


class ForAll:
    """A gradient that was traced once for all sizes.

    Args:
        made: the gradient.
        given: the types of the tensors that it was traced with.
        specs: their specs.
        rule: the derivative of the activations, or None for the true one.
    """

    def __init__(
        self, made: Differentiated, given: Sequence[Any], specs: Sequence[Spec], rule: Way | None
    ) -> None:
        self._variables = made.variables
        self._given = given
        self._stretched = [is_stretched(spec) for spec in specs]
        self._batch = next(
            (
                place
                for place, spec in enumerate(specs)
                if spec.shape[:1] == (None,) and not is_stretched(spec)
            ),
            None,
        )
        self._apart = PerSize(specs, rule)
        self._function = Compiled(made, given)

    def __call__(self, tensors: Sequence[Any], forward: Forward) -> Outcome:
        """Return what the gradient returns for some tensors; a symbolic size is at least 1."""
        if any(0 in np.shape(tensor)[1:] for tensor in tensors):
            return self._apart(tensors, forward)
        batch = None if self._batch is None else len(tensors[self._batch])
        fitted = [
            np.broadcast_to(tensor, _with_batch(each.shape, batch)) if stretched else tensor
            for tensor, each, stretched in zip(tensors, self._given, self._stretched, strict=True)
        ]
        if batch == 0:
            return self._of_none(fitted)
        outcome: Outcome = self._function(values_of(self._variables), fitted)
        return outcome

    def _of_none(self, tensors: Sequence[Any]) -> Outcome:
        """Return what the gradient returns for no samples."""

        def shapes(batch: int) -> Any:
            filled = []
            for tensor, each in zip(tensors, self._given, strict=True):
                sizes = zip(tensor.shape, each.shape, strict=True)
                shape = [batch if is_symbolic(symbol) and not size else size for size, symbol in sizes]
                filled.append(jax.ShapeDtypeStruct(shape, each.dtype))
            return self._function.shapes(types_of_values(self._variables), filled)

        def empty(one: Any, two: Any) -> Any:
            shape = [2 * size - more for size, more in zip(one.shape, two.shape, strict=True)]
            return jnp.zeros(shape, one.dtype)

        found: Outcome = jax.tree.map(empty, shapes(1), shapes(2))
        return found


def _with_batch(shape: Sequence[Any], batch: int | None) -> tuple[Any, ...]:
    return tuple(size if isinstance(size, int) else batch for size in shape)


class PerSize:
    """A gradient that is traced for each size.

    Args:
        specs: the specs of the tensors of the forward pass.
        rule: the derivative of the activations, or None for the true one.
    """

    def __init__(self, specs: Sequence[Spec], rule: Way | None) -> None:
        self._specs = specs
        # Held weakly: a compiled gradient lasts as long as its rule.
        self._rule = (lambda: None) if rule is None else weakref.ref(rule)
        self._recent: Recent[tuple[Callable[[Any, Any], Outcome], list[Any]]] = Recent(KEPT)

    def __call__(self, tensors: Sequence[Any], forward: Forward) -> Outcome:
        """Return what the gradient of a forward pass returns for some tensors."""
        shapes = tuple(tuple(np.shape(tensor)) for tensor in tensors)
        function, variables = self._recent.get(shapes, lambda: self._made(shapes, forward))
        return function(values_of(variables), tensors)

    def _made(
        self, shapes: Sequence[tuple[int, ...]], forward: Forward
    ) -> tuple[Callable[[Any, Any], Outcome], list[Any]]:
        given = types(self._specs, shapes)
        made = Differentiated(traced_forward(forward, given), self._rule())
        return Compiled(made, given), made.variables
