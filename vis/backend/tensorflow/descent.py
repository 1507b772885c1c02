"""Gradient descent on an input, with the loop inside one graph.

Keras's optimizers work on variables, so a compiled descent has its own variables. Each call sets them to the
given state, so one trace serves any number of runs, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vis.backend.contract import Coverage, DescentState, Forward, Rule, Spec
from vis.backend.tensorflow.draws import fix_draws
from vis.backend.tensorflow.overrides import override
from vis.backend.tensorflow.reading import asked
from vis.graph import Graph

Modify = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
Prepare = Callable[[list[Any]], list[Any]]


class _Descent:
    def __init__(
        self,
        forward: Forward,
        specs: Sequence[Spec],
        optimizer: Any,
        terms: int,
        normalize: bool,
        modified: bool,
        rule: Rule | None,
        drawn: Sequence[Spec],
        prepare: Prepare | None,
    ) -> None:
        self.coverage: Coverage | None = None
        self.draws: tuple[str, ...] = ()
        self.reading: Graph | None = None
        self._lock = threading.Lock()
        self._modify: Modify = np.asarray
        self._failure: Exception | None = None
        self._dtypes = [tf.as_dtype(spec.dtype).as_numpy_dtype for spec in (*specs, *drawn)]
        self._terms = terms
        first = tf.TensorSpec(specs[0].shape, specs[0].dtype)
        variable = keras.Variable(np.zeros(first.shape, self._dtypes[0]), dtype=specs[0].dtype)
        optimizer.build([variable])
        # Read once: the state before the first step.
        self._initial = [np.asarray(held) for held in optimizer.variables]
        samples = first.shape[0]

        def per_sample(value: Any) -> Any:
            return tf.broadcast_to(tf.cast(value, tf.float64), [samples])

        def gradient_of(x: Any, rest: list[Any]) -> tuple[Any, Any, Any]:
            # Before the model sees the input: the rule concerns only the activations of the model.
            seen = [x, *rest] if prepare is None else prepare([x, *rest])
            with keras.StatelessScope():
                traced = forward(seen)
            self.reading = asked(traced, seen)
            self.draws = fix_draws([traced.loss])
            self.coverage = override(rule, seen[:1], [traced.loss])
            (gradient,) = tf.gradients(traced.loss, [x], unconnected_gradients="zero")
            if normalize:
                gradient = _unit(gradient)
            if modified:
                result = tf.numpy_function(self._modified, [gradient], gradient.dtype)
                gradient = tf.ensure_shape(result, x.shape)
            return (
                per_sample(traced.of_samples),
                tf.stack([per_sample(term) for term in traced.terms]),
                gradient,
            )

        def trace(
            steps: Any, x: Any, state: list[Any], best: Any, best_loss: Any, rest: list[Any], own: list[Any]
        ) -> Any:
            for held, value in zip([variable, *optimizer.variables], [x, *state], strict=True):
                held.value.assign(value)

            def step(i: Any, best: Any, best_loss: Any, *_: Any) -> Any:
                x = tf.identity(variable.value)
                loss, parts, gradient = gradient_of(x, [*rest, *(values[i] for values in own)])
                optimizer.apply([gradient], [variable])
                better = loss < best_loss
                best = tf.where(tf.reshape(better, [samples] + [1] * (x.shape.rank - 1)), x, best)
                return i + 1, best, tf.where(better, loss, best_loss), loss, parts, gradient

            none = tf.zeros([samples], tf.float64)
            nothing = none, tf.zeros([terms, samples], tf.float64), tf.zeros_like(x)
            start = (tf.zeros((), tf.int32), best, best_loss, *nothing)
            _, *found = tf.while_loop(lambda i, *_: i < steps, step, start)
            return tf.identity(variable.value), [tf.identity(v.value) for v in optimizer.variables], found

        self._function = tf.function(trace, autograph=False).get_concrete_function(
            tf.TensorSpec((), tf.int32),
            first,
            [tf.TensorSpec(array.shape, array.dtype) for array in self._initial],
            first,
            tf.TensorSpec((samples,), tf.float64),
            [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs[1:]],
            [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in drawn],
        )

    def _modified(self, gradient: npt.NDArray[Any]) -> npt.NDArray[Any]:
        try:
            return np.asarray(self._modify(gradient), gradient.dtype)
        except Exception as error:
            self._failure = error  # TensorFlow would wrap it in an error of its own
            raise

    def start(self, x: npt.ArrayLike) -> DescentState:
        array = np.asarray(x, self._dtypes[0])
        worst = np.full(len(array), np.inf)
        nothing = np.zeros((self._terms, len(array)))
        return DescentState(array, self._initial, array, worst, worst, nothing, np.zeros_like(array))

    def advance(
        self,
        state: DescentState,
        steps: int,
        arrays: Sequence[npt.ArrayLike],
        drawn: Sequence[npt.ArrayLike] = (),
        modify: Modify | None = None,
        *,
        forward: Forward,
    ) -> DescentState:
        given = zip([*arrays, *drawn], self._dtypes[1:], strict=True)
        cast = [np.asarray(array, dtype) for array, dtype in given]
        rest, own = cast[: len(arrays)], cast[len(arrays) :]
        best = (state.best, state.best_loss)
        tensors = keras.tree.map_structure(
            tf.convert_to_tensor, (np.int32(steps), state.x, list(state.variables), *best, rest, own)
        )
        with self._lock:
            self._modify, self._failure = (np.asarray if modify is None else modify), None
            try:
                x, variables, found = self._function(*tensors)
            except tf.errors.OpError:
                if self._failure is None:
                    raise
                raise self._failure from None
        best, best_loss, loss, terms, gradient = (tensor.numpy() for tensor in found)
        held = [variable.numpy() for variable in variables]
        return DescentState(x.numpy(), held, best, best_loss, loss, terms, gradient)


def _unit(gradient: Any) -> Any:
    """Return the gradient of each sample divided by its Euclidean norm; zeros stay zero."""
    axes = list(range(1, gradient.shape.rank))
    # Dividing by the largest value first keeps the squares from overflowing or vanishing.
    scaled = tf.math.divide_no_nan(gradient, tf.reduce_max(tf.abs(gradient), axes, keepdims=True))
    return scaled / tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(scaled), axes, keepdims=True), 1))


def compile_descent(
    forward: Forward,
    specs: Sequence[Spec],
    optimizer: Any,
    terms: int,
    normalize: bool = False,
    modified: bool = False,
    rule: Rule | None = None,
    drawn: Sequence[Spec] = (),
    prepare: Prepare | None = None,
) -> _Descent:
    """Compile steps of gradient descent on an input.

    Args:
        forward: takes one tensor per spec, or what `prepare` makes of them.
        specs: the inputs; the first is the one to optimize, and contains no None.
        optimizer: a Keras optimizer that is not built and not used elsewhere.
        terms: the number of terms of the loss.
        normalize: divide the gradient of each sample by its Euclidean norm.
        modified: whether `advance` will receive a function that modifies the gradient, on arrays.
        rule: the derivative of the activations, or None for the true one.
        drawn: what differs in each step, such as random numbers.
        prepare: turns the given and drawn tensors into the inputs of `forward`; `rule` does not reach it.
    """
    return _Descent(forward, specs, optimizer, terms, normalize, modified, rule, drawn, prepare)
