"""Elementwise operations in NumPy against TensorFlow's own."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from tests.graph import comparing
from tests.graph.comparing import X, Y
from vis.backend.tensorflow.reading import KINDS
from vis.graph.elementwise import FUNCTIONS

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
    "truncated remainder": lambda x, y: tf.raw_ops.TruncateMod(x=x, y=y),
    "finite": lambda x, y: tf.cast(tf.math.is_finite(x / y), x.dtype),
    "logical or": lambda x, y: tf.cast(tf.logical_or(x > 0, y > 1), x.dtype),
    "cast": lambda x, y: tf.cast(tf.cast(x, tf.int32), x.dtype),
    "leaky": lambda x, y: tf.nn.leaky_relu(x, 0.3),
    "sum of three": lambda x, y: tf.add_n([x, y, x]),
}


def check(function: Any, arrays: list[Any]) -> set[str]:
    """Compare, and return the kinds that were run."""
    return comparing.check(function, arrays, function(*map(tf.constant, arrays)).numpy())


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
    assert set(FUNCTIONS) & set(KINDS.values()) <= kinds
