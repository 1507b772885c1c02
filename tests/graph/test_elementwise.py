"""Elementwise operations in NumPy against TensorFlow's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from vis import backend
from vis.graph import Graph
from vis.graph.elementwise import FUNCTIONS, computed, evaluated

X = np.array([-2.5, -1.0, -0.3, 0.0, 0.2, 0.9, 1.0, 3.7, 7.0])
Y = np.array([1.5, -1.0, 2.0, 0.5, -0.4, 3.0, 1.0, -2.0, 0.0])
UNARY = [
    *(tf.identity, tf.stop_gradient, tf.negative, tf.abs, tf.sign, tf.square, tf.sqrt, tf.math.rsqrt),
    *(tf.math.reciprocal, tf.exp, tf.math.expm1, tf.math.log, tf.math.log1p, tf.sin, tf.cos, tf.tan),
    *(tf.asin, tf.acos, tf.atan, tf.sinh, tf.cosh, tf.tanh, tf.asinh, tf.math.erf, tf.math.erfc),
    *(tf.sigmoid, tf.math.softplus, tf.nn.softsign, tf.nn.relu, tf.nn.relu6, tf.nn.elu, tf.nn.selu),
    *(tf.floor, tf.math.ceil, tf.round, tf.zeros_like, tf.ones_like),
]
BINARY = [
    *(tf.add, tf.subtract, tf.multiply, tf.divide, tf.math.divide_no_nan, tf.math.floordiv, tf.math.floormod),
    *(tf.pow, tf.math.squared_difference, tf.maximum, tf.minimum, tf.atan2),
    *(tf.less, tf.less_equal, tf.greater, tf.greater_equal, tf.equal, tf.not_equal),
]
OTHERS = {
    "clip": lambda x, y: tf.raw_ops.ClipByValue(t=x, clip_value_min=-1.0, clip_value_max=2.0),
    "select": lambda x, y: tf.where(tf.logical_and(x > 0, tf.logical_not(y > 1)), x, y),
    "logical or": lambda x, y: tf.cast(tf.logical_or(x > 0, y > 1), x.dtype),
    "cast": lambda x, y: tf.cast(tf.cast(x, tf.int32), x.dtype),
    "leaky": lambda x, y: tf.nn.leaky_relu(x, 0.3),
    "sum of three": lambda x, y: tf.add_n([x, y, x]),
}


def read(function: Any, count: int) -> Graph:
    return backend.traced(lambda tensors: function(*tensors), [backend.Spec((None,), "float64")] * count)


def check(function: Any, arrays: list[Any]) -> set[str]:
    """Compare, and return the kinds that were run."""
    graph = read(function, len(arrays))
    known = dict(zip(graph.inputs, arrays, strict=True))
    for operation in graph.operations:
        for output in operation.outputs:
            if output.constant is not None:
                known[output] = output.constant
            elif output not in known:
                known[output] = computed(operation, [known[value] for value in operation.operands])
    (found,) = [known[value] for value in graph.outputs]
    with np.errstate(all="ignore"):
        wanted = function(*map(tf.constant, arrays)).numpy()
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=1e-6, atol=1e-9)
    return {operation.kind for operation in graph.operations}


@pytest.mark.parametrize("function", UNARY, ids=lambda function: function.__name__)
def test_of_one(function: Any) -> None:
    check(function, [X])


@pytest.mark.parametrize("function", BINARY, ids=lambda function: function.__name__)
def test_of_two(function: Any) -> None:
    check(function, [X, Y])


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    check(OTHERS[name], [X, Y])


def test_every_kind_is_compared() -> None:
    kinds = set().union(*(check(function, [X]) for function in UNARY))
    kinds |= set().union(*(check(function, [X, Y]) for function in [*BINARY, *OTHERS.values()]))
    assert set(FUNCTIONS) <= kinds


def test_a_group_is_a_function_of_its_start() -> None:
    graph = read(lambda x, y: (tf.nn.relu(x) - 0.25 * tf.nn.relu(-x)) * y, 2)
    operations = list(graph.between(graph.inputs[:1], graph.outputs))
    x = np.array([[-4.0, 0.0], [1.0, 3.0]])
    found = evaluated(operations, graph.inputs[0], graph.outputs[0], x, lambda value: value.constant or 10.0)
    np.testing.assert_allclose(found, np.where(x > 0, x, 0.25 * x) * 10)
