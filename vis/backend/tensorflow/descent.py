"""Gradient descent on an input, with the loop inside one graph.

Keras's optimizers work on variables, so a compiled descent has its own variables. Each call sets them to the
given state, so one trace serves any number of runs, one at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from vis.backend.contract import CompiledDescent, Forward, Rule, Spec, Steps
from vis.backend.steps import Descent, Modify, Point, Slope, best_of
from vis.backend.tensorflow.compiled import widest_float
from vis.backend.tensorflow.draws import fix_draws
from vis.backend.tensorflow.overrides import override
from vis.backend.tensorflow.reading import asked


class _Descent(Descent):
    def __init__(self, forward: Forward, specs: Sequence[Spec], steps: Steps, rule: Rule | None) -> None:
        super().__init__(specs, steps, widest_float())
        self._lock = threading.Lock()
        self._modify: Modify = np.asarray
        self._failure: Exception | None = None
        variable, optimizer = self._variable, steps.optimizer

        def slope(x: Any, rest: list[Any], own: list[Any]) -> Slope:
            # Before the model sees the input: the rule concerns only the activations of the model.
            seen = [*steps.first(x, own), *rest]
            with keras.StatelessScope():
                traced = forward(seen)
            self.reading = asked(traced, seen)
            self.draws = fix_draws([traced.loss])
            self.coverage = override(rule, seen[: steps.made], [traced.loss])
            (gradient,) = tf.gradients(traced.loss, [x], unconnected_gradients="zero")
            found = self._slope(traced.of_samples, traced.terms, gradient)
            if steps.modified:
                result = tf.numpy_function(self._modified, [found.gradient], gradient.dtype)
                found = found._replace(gradient=tf.ensure_shape(result, x.shape))
            return found

        def trace(point: Point, count: Any, rest: list[Any], drawn: list[Any]) -> Point:
            held = [variable, *optimizer.variables]
            for each, value in zip(held, [point.x, *point.variables], strict=True):
                each.value.assign(value)

            def step(i: Any, best: Any, best_loss: Any, _: Slope) -> Any:
                x = tf.identity(variable.value)
                found = slope(x, rest, [values[i] for values in drawn])
                optimizer.apply([found.gradient], [variable])
                return i + 1, *best_of(x, found.loss, best, best_loss), found

            start = (tf.zeros((), tf.int32), point.best, point.best_loss, point.slope)
            _, *found = tf.while_loop(lambda i, *_: i < count, step, start)
            x, *variables = [tf.identity(each.value) for each in held]
            return Point(x, variables, *found)

        def spec(array: npt.NDArray[Any]) -> Any:
            return tf.TensorSpec(array.shape, array.dtype)

        self._function = tf.function(trace, autograph=False).get_concrete_function(
            keras.tree.map_structure(spec, self._point(self.start(variable))),
            tf.TensorSpec((), tf.int32),
            [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs[steps.made :]],
            [tf.TensorSpec((None, *spec.shape), spec.dtype) for spec in steps.drawn],
        )

    def _modified(self, gradient: npt.NDArray[Any]) -> npt.NDArray[Any]:
        try:
            return np.asarray(self._modify(gradient), gradient.dtype)
        except Exception as error:
            self._failure = error  # TensorFlow would wrap it in an error of its own
            raise

    def _run(
        self,
        forward: Forward,
        point: Point,
        steps: int,
        rest: list[Any],
        drawn: list[Any],
        modify: Modify | None,
    ) -> Point:
        tensors = keras.tree.map_structure(tf.convert_to_tensor, (point, np.int32(steps), rest, drawn))
        with self._lock:
            self._modify, self._failure = (np.asarray if modify is None else modify), None
            try:
                found: Point = self._function(*tensors)
            except tf.errors.OpError:
                failure, self._failure = self._failure, None
                if failure is None:
                    raise
                raise failure from None
            finally:
                self._modify = np.asarray  # TensorFlow keeps this object, and so what it holds
        return found


def compile_descent(
    forward: Forward, specs: Sequence[Spec], steps: Steps, rule: Rule | None = None
) -> CompiledDescent:
    """Compile steps of gradient descent on the first input of a forward pass.

    Args:
        forward: takes one tensor per spec.
        specs: what it takes.
        steps: what the steps are.
        rule: the derivative of the activations, or None for the true one.
    """
    return _Descent(forward, specs, steps, rule)
