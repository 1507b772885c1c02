"""Elementwise operations in NumPy, so that a group of them can be evaluated on numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vis.graph.words import Operation, Value

Array = npt.NDArray[Any]


def _divide_no_nan(x: Array, y: Array) -> Array:
    return np.where(y == 0, 0, np.divide(x, np.where(y == 0, 1, y)))


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0, -x))


def _elu(x: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Array:
    return scale * np.where(x > 0, x, alpha * np.expm1(input_scale * np.minimum(x, 0)))


def _gelu(x: Array, approximate: bool) -> Array:
    if approximate:
        share: Array = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
    else:
        share = _error_function(x / math.sqrt(2))
    made: Array = 0.5 * x * (1 + share)
    return made


_error_function = np.vectorize(math.erf, [float])
# By kind, with one argument per operand of the operation, and the attributes of `ATTRIBUTES` by name.
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "identity": lambda x, *_: x,
    "stop_gradient": lambda x: x,
    "add": lambda *terms: sum(terms[1:], terms[0]),
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "divide_no_nan": _divide_no_nan,
    "floor_divide": np.floor_divide,
    "remainder": np.mod,
    "truncated_remainder": np.fmod,
    "power": np.power,
    "squared_difference": lambda x, y: (x - y) ** 2,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "arctan2": np.arctan2,
    "negative": np.negative,
    "absolute": np.abs,
    "sign": np.sign,
    "square": np.square,
    "square_root": np.sqrt,
    "reciprocal_square_root": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "exponential": np.exp,
    "exponential_minus_1": np.expm1,
    "logarithm": np.log,
    "logarithm_of_1_plus": np.log1p,
    "sine": np.sin,
    "cosine": np.cos,
    "tangent": np.tan,
    "arcsine": np.arcsin,
    "arccosine": np.arccos,
    "arctangent": np.arctan,
    "hyperbolic_sine": np.sinh,
    "hyperbolic_cosine": np.cosh,
    "hyperbolic_tangent": np.tanh,
    "inverse_hyperbolic_sine": np.arcsinh,
    "error_function": _error_function,
    "complementary_error_function": np.vectorize(math.erfc, [float]),
    "sigmoid": _sigmoid,
    "log_sigmoid": lambda x: -np.logaddexp(0, -x),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "softplus": lambda x, beta=1.0: np.logaddexp(beta * x, 0) / beta,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "parametric_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "threshold": lambda x, threshold, otherwise: np.where(x > threshold, x, otherwise),
    "elu": _elu,
    "selu": lambda x: _elu(x, 1.6732632423543772, 1.0507009873554805),
    "silu": lambda x: x * _sigmoid(x),
    "hard_silu": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "gelu": _gelu,
    "mish": lambda x: x * np.tanh(np.logaddexp(x, 0)),
    "soft_shrink": lambda x, margin: np.sign(x) * np.maximum(np.abs(x) - margin, 0),
    "hard_shrink": lambda x, margin: np.where(np.abs(x) > margin, x, 0),
    "floor": np.floor,
    "ceiling": np.ceil,
    "round": np.round,
    "is_finite": np.isfinite,
    "less": np.less,
    "less_equal": np.less_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
    "select": lambda condition, x, y: np.where(condition, x, y),
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "cast": lambda x, dtype: x.astype(
        bool if dtype == "bool" else np.int64 if "int" in dtype else np.float64
    ),
}
# The attributes that a function takes, where the operation has them.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "cast": ("dtype",),
    "leaky_relu": ("slope",),
    "softplus": ("beta",),
    "elu": ("alpha", "scale", "input_scale"),
    "gelu": ("approximate",),
    **dict.fromkeys(["soft_shrink", "hard_shrink"], ("margin",)),
}
# Operations whose derivative is zero or undefined.
FLAT = frozenset(
    "stop_gradient sign floor ceiling round is_finite less less_equal greater greater_equal equal not_equal "
    "logical_and logical_or logical_not zeros_like ones_like floor_divide".split()
)
# Affine functions of one operand if the others do not depend on it.
AFFINE = frozenset("identity add subtract multiply divide divide_no_nan negative cast".split())


def is_elementwise(operation: Operation) -> bool:
    """Tell whether each output of an operation depends only on the operands at the same position."""
    return operation.kind in FUNCTIONS and len(operation.outputs) >= 1


def computed(operation: Operation, arguments: Sequence[Array]) -> Array:
    """Return the result of an elementwise operation on arrays."""
    names = ATTRIBUTES.get(operation.kind, ())
    told = {name: operation.attributes[name] for name in names if name in operation.attributes}
    with np.errstate(all="ignore"):
        return np.asarray(FUNCTIONS[operation.kind](*arguments, **told))


def evaluated(
    operations: Sequence[Operation], start: Value, end: Value, x: Array, others: Callable[[Value], Any]
) -> Array:
    """Return `end` as a function of `start`, for numbers x.

    Args:
        operations: the elementwise operations between them, in order.
        start: the value that is varied.
        end: the value that is wanted.
        x: the values of `start`, float64 of any shape.
        others: the number to use for any other operand.
    """
    known: dict[Value, Array] = {start: x}
    for operation in operations:
        arguments = [
            known[value] if value in known else np.asarray(others(value)) for value in operation.operands
        ]
        for output in operation.outputs[:1]:
            known[output] = computed(operation, arguments)
    return np.broadcast_to(known[end], x.shape).astype(np.float64)
