"""Compiled gradients and forward passes.

A forward pass is traced once with symbolic sizes, and XLA compiles it for each size that it meets. A pass
that cannot be traced so is traced again for each size.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import numpy.typing as npt

from vis.backend.contract import (
    CompiledCall,
    CompiledGradient,
    Coverage,
    Evaluation,
    Flow,
    Forward,
    Spec,
    Way,
)
from vis.backend.jax.differentiated import Differentiated, traced_forward
from vis.backend.jax.overrides import override
from vis.backend.jax.program import evaluated, needed, run
from vis.backend.jax.replay import Replay
from vis.backend.jax.sized import KEPT, ForAll, PerSize
from vis.backend.jax.sizes import is_symbolic, serves_all, type_of, with_sizes
from vis.backend.jax.tokens import check_tokens, token_counts
from vis.backend.jax.tracing import Trace, Widen, traced_program, values_of
from vis.backend.jax.words import Words, words_of
from vis.backend.recent import Recent
from vis.errors import GradientError, InputError, VisError


@contextlib.contextmanager
def _run(shape: Any) -> Iterator[None]:
    """Turn JAX's errors about an input into the library's own."""
    try:
        yield
    except VisError:
        raise
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0].removesuffix(".")
        raise InputError(f"The model cannot run on an input of shape {tuple(shape)}: {reason}.") from error


class _Gradient:
    def __init__(self, forward: Forward, specs: Sequence[Spec], rule: Way | None) -> None:
        trace = with_sizes(functools.partial(traced_forward, forward), specs)
        made = Differentiated(trace, rule)
        self.coverage, self.draws, self.reading = made.coverage, made.draws, made.reading
        self._dtypes = [type_of(spec) for spec in specs]
        self._tokens = token_counts(trace)
        self._outcome = _compiled(made, trace.types, specs, rule)

    def __call__(self, arrays: Sequence[npt.ArrayLike], forward: Forward) -> Evaluation:
        tensors = [
            array if isinstance(array, jax.Array) else np.asarray(array, dtype)
            for array, dtype in zip(arrays, self._dtypes, strict=True)
        ]
        check_tokens(self._tokens, tensors)
        with _run(np.shape(tensors[0])):
            found = self._outcome(tensors, forward)
        if isinstance(found.loss, jax.core.Tracer):
            raise GradientError(
                "Maps are NumPy arrays and cannot be computed while a function is traced. Received: a call "
                "inside jax.jit. Call outside it, or use a modified model with jax.grad inside."
            )
        return Evaluation(
            _array(found.loss),
            [None if gradient is None else _array(gradient) for gradient in found.gradients],
            [_array(value) for value in found.values],
            [_array(value) for value in found.told],
        )


def _compiled(
    made: Differentiated, given: Sequence[Any], specs: Sequence[Spec], rule: Way | None
) -> ForAll | PerSize:
    """Return a gradient for all sizes if there is one, or one for each size."""
    if serves_all(given, specs):
        try:
            return ForAll(made, given, specs, rule)
        except VisError:
            raise
        except Exception:
            # Some derivatives ask for the numbers behind symbols, such as that of a strided convolution.
            if all(None not in spec.shape for spec in specs):
                raise
    return PerSize(specs, rule)


def _array(tensor: Any) -> npt.NDArray[Any]:
    """Return a tensor as an array of its own, which may be written to."""
    narrow = tensor.dtype.itemsize == 2 and jnp.issubdtype(tensor.dtype, jnp.inexact)
    return np.array(tensor.astype(jnp.float32) if narrow else tensor)


def compile_gradient(forward: Forward, specs: Sequence[Spec], rule: Way | None = None) -> CompiledGradient:
    """Compile the gradient of a scalar with respect to tensors that it is computed from.

    Args:
        forward: takes one tensor per spec.
        specs: what the compiled function takes.
        rule: the derivative of the activations, or None for the true one.
    """
    return _Gradient(forward, specs, rule)


class _Ruled:
    """A forward pass, traced for one input signature, with a rule in place of derivatives.

    Args:
        trace: the forward pass.
        rule: the derivative of the activations.
    """

    def __init__(self, trace: Trace, rule: Way) -> None:
        program, self._trace = trace.program, trace
        words = words_of(trace, program.outputs)
        if isinstance(rule, Flow):
            self._function = self._flowing(words, rule)
            return
        replacements, self.coverage = override(rule, words, trace.arguments, program.outputs)
        self._actions = needed(program.actions(replacements), program.outputs)
        self._function = jax.jit(self._compute)

    def _flowing(self, words: Words, flow: Flow) -> Callable[[Any, Any], list[Any]]:
        """Return the forward pass with the relevance as its derivative."""
        program, graph = self._trace.program, words.graph
        plan = flow.plan(graph, graph.inputs, graph.outputs)
        self.coverage = plan.coverage
        self._actions = program.actions()

        def evaluated_on(variables: Sequence[Any], tensors: Sequence[Any]) -> dict[Any, Any]:
            given = dict(zip(program.inputs, [*variables, *tensors], strict=True))
            return evaluated(program.apart(), given | program.constants)

        @jax.custom_vjp  # type: ignore[untyped-decorator]
        def run_(variables: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
            return self._compute(variables, tensors)

        def forward(variables: Sequence[Any], tensors: Sequence[Any]) -> tuple[list[Any], Any]:
            return self._compute(variables, tensors), (variables, tensors)

        def backward(kept: Any, slopes: Sequence[Any]) -> tuple[Any, Any]:
            variables, tensors = kept
            gradients, _ = plan(Replay(words, evaluated_on(variables, tensors)), slopes)
            filled = [
                _nothing(tensor) if gradient is None else gradient
                for tensor, gradient in zip(tensors, gradients, strict=True)
            ]
            return list(map(_nothing, variables)), filled

        run_.defvjp(forward, backward)
        made: Callable[[Any, Any], list[Any]] = jax.jit(run_)
        return made

    def _compute(self, variables: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
        program = self._trace.program
        given = dict(zip(program.inputs, [*variables, *tensors], strict=True))
        return run(self._actions, given | program.constants, program.outputs)

    def __call__(self, tensors: Sequence[Any]) -> Any:
        """Return the outputs, in their structure."""
        found = self._function(values_of(self._trace.variables), list(tensors))
        return keras.tree.pack_sequence_as(self._trace.returned, found)


def _nothing(tensor: Any) -> Any:
    """Return the gradient by a tensor that gets none."""
    whole = not jnp.issubdtype(tensor.dtype, jnp.inexact)
    return np.zeros(tensor.shape, jax.dtypes.float0) if whole else jnp.zeros_like(tensor)


class _Call:
    def __init__(self, forward: Callable[[Any], Any], rule: Way) -> None:
        self.found: Coverage | None = None
        self._forward, self._rule = forward, rule
        self._recent: Recent[_Ruled] = Recent(KEPT)

    def _trace(self, inputs: Any, types: Sequence[Any], widen: Widen | None = None) -> Trace:
        def function(tensors: list[Any]) -> tuple[list[Any], Any]:
            outputs = self._forward(keras.tree.pack_sequence_as(inputs, tensors))
            # Not the tensors themselves: they belong to the trace.
            return keras.tree.flatten(outputs), keras.tree.map_structure(lambda _: 0, outputs)

        return traced_program(function, types, widen)

    def __call__(self, inputs: Any) -> Any:
        tensors = [jnp.asarray(tensor) for tensor in keras.tree.flatten(inputs)]
        given = [jax.ShapeDtypeStruct(tensor.shape, tensor.dtype) for tensor in tensors]
        structure = keras.tree.map_structure(lambda _: 0, inputs)

        def make() -> _Ruled:
            return _Ruled(self._trace(structure, given), self._rule)

        if any(is_symbolic(size) for each in given for size in each.shape):
            ruled = make()  # Keras asks for shapes, with symbols that it makes each time
        else:
            key = (repr(structure), *((each.shape, str(each.dtype)) for each in given))
            ruled = self._recent.get(key, make)
        self.found = ruled.coverage
        return ruled(tensors)

    def coverage(self, specs: Any) -> Coverage:
        structure = keras.tree.map_structure(lambda _: 0, specs)
        flat = keras.tree.flatten(specs)
        trace = with_sizes(functools.partial(self._trace, structure), flat, only_told=True)
        self.found = _Ruled(trace, self._rule).coverage
        return self.found


def compile_call(forward: Callable[[Any], Any], rule: Way) -> CompiledCall:
    """Compile a forward pass whose derivative follows `rule` wherever JAX differentiates it."""
    return _Call(forward, rule)


def widest_float() -> str:
    """Return the data type in which sums are taken."""
    return "float64" if jax.config.jax_enable_x64 else "float32"
