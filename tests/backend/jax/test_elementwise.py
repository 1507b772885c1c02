"""Elementwise operations in NumPy against JAX's own."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from jax import lax

from tests.graph import comparing
from tests.graph.comparing import X, Y
from vis.backend.jax.kinds import ELEMENTWISE, LOGICAL

FLOATS = [X.astype("float32"), Y.astype("float32")]
UNARY = [
    *(lax.neg, lax.abs, lax.sign, lax.square, lax.sqrt, lax.rsqrt, lax.exp, lax.exp2, lax.expm1, lax.log),
    *(lax.log1p, lax.sin, lax.cos, lax.tan, lax.asin, lax.acos, lax.atan, lax.sinh, lax.cosh, lax.tanh),
    *(lax.asinh, lax.erf, lax.erfc, lax.logistic, lax.floor, lax.ceil, lax.stop_gradient, lax.reciprocal),
]
BINARY = [
    *(lax.add, lax.sub, lax.mul, lax.div, lax.rem, lax.pow, lax.max, lax.min, lax.atan2),
    *(lax.lt, lax.le, lax.gt, lax.ge, lax.eq, lax.ne),
]
OTHERS = {
    "round": lambda x, y: lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN),
    "cube": lambda x, y: lax.integer_pow(x, 3),
    "inverse square": lambda x, y: lax.integer_pow(x, -2),
    "clamp": lambda x, y: lax.clamp(np.float32(-1), x, np.float32(2)),
    "select": lambda x, y: lax.select((x > 0) & ~(y > 1), x, y),
    "logical or": lambda x, y: lax.convert_element_type((x > 0) | (y > 1), "float32"),
    "exclusive or": lambda x, y: lax.convert_element_type((x > 0) ^ (y > 1), "float32"),
    "finite": lambda x, y: lax.is_finite(x / y),
    "cast": lambda x, y: lax.convert_element_type(lax.convert_element_type(x, "int32"), "float32"),
    "sum of powers": lambda x, y: jax.numpy.logaddexp(x, y),
}


def check(function: Any, arrays: list[Any]) -> None:
    with np.errstate(all="ignore"):
        comparing.check(function, arrays, function(*arrays), "float32", 1e-5)


@pytest.mark.parametrize("function", UNARY, ids=lambda function: function.__name__)
def test_of_one(function: Any) -> None:
    check(function, FLOATS[:1])


@pytest.mark.parametrize("function", BINARY, ids=lambda function: function.__name__)
def test_of_two(function: Any) -> None:
    check(function, FLOATS)


@pytest.mark.parametrize("name", OTHERS)
def test_others(name: str) -> None:
    check(OTHERS[name], FLOATS)


def test_every_primitive_is_compared() -> None:
    compared = set()
    for function, count in [*((f, 1) for f in UNARY), *((f, 2) for f in [*BINARY, *OTHERS.values()])]:
        compared |= {str(each.primitive) for each in jax.make_jaxpr(function)(*FLOATS[:count]).eqns}
    assert {*ELEMENTWISE, *LOGICAL} <= compared | {"add_any"}  # written by derivatives only
