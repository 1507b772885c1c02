"""Compiled gradients and forward passes.

The derivative is taken with `tf.gradients` in the graph that holds the model: this honours the rules of
`overrides`, and differentiates with respect to any intermediate tensor, past skip connections. Keras runs in
a stateless scope, so a forward pass assigns no variable (a stateful RNN keeps its state) and leaves no graph
tensor in the layers.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vis.backend.contract import (
    CompiledCall,
    CompiledGradient,
    Coverage,
    Evaluation,
    Flow,
    Forward,
    Spec,
    Traced,
    Way,
)
from vis.backend.tensorflow.draws import fix_draws
from vis.backend.tensorflow.executors import in_turn, one_at_a_time
from vis.backend.tensorflow.overrides import override
from vis.backend.tensorflow.reading import asked
from vis.backend.tensorflow.replay import flowing, planned
from vis.errors import GradientError, InputError, LayerError
from vis.graph import Graph


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn TensorFlow's errors while it traces a gradient into the library's own."""
    try:
        yield
    except LookupError as error:
        if type(error) is not LookupError:
            raise
        raise GradientError(
            f"An operation between the input and the loss has no gradient: {error}. Choose a layer "
            "before it, or differentiate with respect to a tensor after it: wrt."
        ) from error
    except ValueError as error:
        if type(error).__name__ != "InaccessibleTensorError":  # TensorFlow has no public name for it
            raise
        raise LayerError(
            "A layer runs inside a separate function or loop (a @tf.function call, a recurrent step), where "
            "its output cannot be read. Choose the layer that contains it, or the model's output."
        ) from error


@contextlib.contextmanager
def _run(shape: Any) -> Iterator[None]:
    """Turn TensorFlow's errors about an input into the library's own."""
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        # The reason is the last line, after the name and origin of the operation.
        lines = re.sub(r"\{\{[^}]*\}\} *|\[\[.*|\[Op:.*", "", str(error.message)).strip().splitlines()
        reason = lines[-1].strip().removesuffix(".") if lines else "TensorFlow gives no reason"
        token = re.search(r"indices\S* = (-?\d+) is not in \[0, (\d+)\)", reason)
        if token:
            reason = f"the token or category {token[1]} is not in the range 0 to {int(token[2]) - 1}"
        raise InputError(f"The model cannot run on an input of shape {tuple(shape)}: {reason}.") from error


class _Gradient:
    def __init__(self, forward: Forward, specs: Sequence[Spec], rule: Way | None) -> None:
        self.coverage: Coverage | None = None
        self.draws: tuple[str, ...] = ()
        self.reading: Graph | None = None
        self._missing: list[bool] = []
        signature = [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs]
        self._dtypes = [tf.as_dtype(spec.dtype).as_numpy_dtype for spec in specs]

        def trace(*tensors: Any) -> Any:
            with keras.StatelessScope():
                traced = forward(list(tensors))
            self.reading = asked(traced, tensors)
            self.draws = fix_draws([traced.loss, *traced.values])
            gradients, told = self._gradients(traced, rule)
            self._missing = [gradient is None for gradient in gradients]
            found = [tf.convert_to_tensor(gradient) for gradient in gradients if gradient is not None]
            return traced.loss, found, [tf.identity(value) for value in traced.values], told

        # A concrete function is traced here, once, and two threads may call it at the same time.
        function = tf.function(trace, input_signature=signature, autograph=False)
        with translated():
            self._function = function.get_concrete_function()
        self._in_turn = in_turn(self._function, len(specs))

    def _gradients(self, traced: Traced, rule: Way | None) -> tuple[list[Any | None], list[Any]]:
        """Return what is passed back to what is watched, and what a flow notes."""
        if isinstance(rule, Flow):
            plan, replay = planned(rule, traced.watched, traced.explained, [traced.loss], traced.references)
            self.coverage = plan.coverage
            return plan(replay)
        self.coverage = override(rule, traced.watched, [traced.loss])
        return list(tf.gradients(traced.loss, traced.watched)), []

    def __call__(self, arrays: Sequence[npt.ArrayLike], forward: Forward) -> Evaluation:
        if not tf.executing_eagerly():
            raise GradientError(
                "Maps are NumPy arrays and cannot be computed while a tf.function is traced. Received: a "
                "call inside one. Call outside it, or use a modified model with tf.GradientTape inside."
            )
        tensors = [
            array if isinstance(array, tf.Tensor) else tf.constant(np.asarray(array, dtype))
            for array, dtype in zip(arrays, self._dtypes, strict=True)
        ]
        with _run(np.shape(tensors[0])), one_at_a_time() if self._in_turn else contextlib.nullcontext():
            loss, gradients, values, told = self._function(*tensors)
        found = iter(gradients)
        return Evaluation(
            loss.numpy(),
            [None if none else _float(next(found)) for none in self._missing],
            [_float(value) for value in values],
            [_float(value) for value in told],
        )


def _float(tensor: Any) -> npt.NDArray[np.floating[Any]]:
    narrow = tensor.dtype in (tf.float16, tf.bfloat16)
    array: npt.NDArray[Any] = (tf.cast(tensor, tf.float32) if narrow else tensor).numpy()
    return array


def compile_gradient(forward: Forward, specs: Sequence[Spec], rule: Way | None = None) -> CompiledGradient:
    """Compile the gradient of a scalar with respect to tensors that it is computed from.

    Args:
        forward: takes one tensor per spec.
        specs: what the compiled function takes.
        rule: the derivative of the activations, or None for the true one.
    """
    return _Gradient(forward, specs, rule)


class _Call:
    def __init__(self, forward: Callable[[Any], Any], rule: Way) -> None:
        self.found: Coverage | None = None
        self.rule = rule  # the graph holds it weakly

        def trace(inputs: Any) -> Any:
            if isinstance(rule, Flow):
                outputs, self.found = flowing(forward, rule, inputs)
                return outputs
            with keras.StatelessScope():
                outputs = forward(inputs)
            self.found = override(rule, keras.tree.flatten(inputs), keras.tree.flatten(outputs))
            return outputs

        self._function = tf.function(trace, autograph=False, reduce_retracing=True)

    def __call__(self, inputs: Any) -> Any:
        # A concrete function runs as a graph even if functions are set to run eagerly.
        return self._function.get_concrete_function(inputs)(inputs)

    def coverage(self, specs: Any) -> Coverage:
        signature = keras.tree.map_structure(lambda spec: tf.TensorSpec(spec.shape, spec.dtype), specs)
        self._function.get_concrete_function(signature)
        assert self.found is not None  # noqa: S101 - the trace has just set it
        return self.found


def compile_call(forward: Callable[[Any], Any], rule: Way) -> CompiledCall:
    """Compile a forward pass whose derivative follows `rule` on any tape."""
    return _Call(forward, rule)


def widest_float() -> str:
    """Return the data type in which sums are taken."""
    return "float64"
