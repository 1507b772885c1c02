"""Symbolic sizes: what they are for some sizes of the inputs, and as operations of a graph.

JAX has no public way to take a symbolic size apart; its text is an expression of names, numbers, operators
and a few functions.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vis.graph import Operation, Value

# By the node of the expression: the kind of the operation.
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Pow: "power",
    ast.USub: "negative",
}
_FUNCTIONS = {"floordiv": "floor_divide", "mod": "remainder", "max": "maximum", "min": "minimum"}
# Sizes of different axes differ, so that none is taken for another, and have many divisors.
_EXAMPLES = (48, 60, 72, 84)
# Begins the names of operations that compute sizes.
_PREFIX = "size: "

_COMPUTED: dict[str, Callable[..., int]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "power": operator.pow,
    "negative": operator.neg,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "maximum": max,
    "minimum": min,
}


def _parsed(dimension: Any) -> ast.expr:
    return ast.parse(str(dimension).replace("^", "**").strip(), mode="eval").body


def named(inputs: Sequence[Any]) -> dict[str, tuple[Any, int]]:
    """Return where each named size is found: an input and an axis."""
    found: dict[str, tuple[Any, int]] = {}
    for variable in inputs:
        for axis, dimension in enumerate(variable.aval.shape):
            if not isinstance(dimension, int) and str(dimension).isidentifier():
                found.setdefault(str(dimension), (variable, axis))
    return found


def examples(names: Sequence[str]) -> dict[str, int]:
    """Return a number for each named size."""
    return {name: _EXAMPLES[place % len(_EXAMPLES)] for place, name in enumerate(names)}


def evaluated(dimension: Any, numbers: Mapping[str, int]) -> int | None:
    """Return a size for some numbers, or None if it is unknown."""
    if isinstance(dimension, int):
        return int(dimension)

    def value(node: ast.expr) -> int:
        match node:
            case ast.Constant(int(number)):
                return number
            case ast.Name(name):
                return numbers[name]
            case ast.BinOp(left, sign, right):
                return _COMPUTED[_OPERATORS[type(sign)]](value(left), value(right))
            case ast.UnaryOp(sign, operand):
                return _COMPUTED[_OPERATORS[type(sign)]](value(operand))
            case ast.Call(ast.Name(name), arguments):
                return _COMPUTED[_FUNCTIONS[name]](*map(value, arguments))
        raise KeyError(node)

    try:
        return value(_parsed(dimension))
    except (KeyError, SyntaxError):
        return None


def computes_size(operation: Operation) -> bool:
    """Tell whether an operation computes a symbolic size, and stands for no equation."""
    return operation.name.startswith(_PREFIX)


class SizeOperations:
    """Operations that compute symbolic sizes from the sizes of the inputs.

    Args:
        positions: where each named size is found.
        values: the values of the inputs.
    """

    def __init__(self, positions: Mapping[str, tuple[Any, int]], values: Mapping[Any, Value]) -> None:
        self._positions = positions
        self._values = values
        self._known: dict[str, Value] = {}
        self._shapes: dict[Any, Value] = {}
        self.made: list[Operation] = []

    def new(self) -> Iterator[Operation]:
        """Yield the operations that have been made since the last time."""
        yield from self.made
        self.made.clear()

    def size(self, dimension: Any) -> Value | None:
        """Return the value of a size, possibly symbolic; None if it is unknown."""
        try:
            return self._value(_parsed(dimension))
        except (KeyError, SyntaxError):
            return None

    def vector(self, dimensions: Sequence[Any]) -> Value | None:
        """Return the value of several sizes; None if one is unknown."""
        parts = [self.size(dimension) for dimension in dimensions]
        found = tuple(part for part in parts if part is not None)
        if len(found) < len(parts):
            return None
        return self._make("stack", found, str(tuple(map(str, dimensions))), (len(parts),), {"axis": 0})

    def _value(self, node: ast.expr) -> Value:
        text = ast.unparse(node)
        match node:
            case ast.Constant(int(number)):
                return self._make("constant", (), text, (), {}, number)
            case ast.Name(name):
                variable, axis = self._positions[name]
                entry = {"begin": [axis], "end": [axis + 1], "strides": [1]}
                return self._make(
                    "slice",
                    (self._shape(variable),),
                    text,
                    (),
                    {**entry, "open": (), "dropped": (0,), "added": ()},
                )
            case ast.BinOp(left, sign, right):
                return self._make(_OPERATORS[type(sign)], (self._value(left), self._value(right)), text)
            case ast.UnaryOp(sign, operand):
                return self._make(_OPERATORS[type(sign)], (self._value(operand),), text)
            case ast.Call(ast.Name(name), arguments):
                return self._make(_FUNCTIONS[name], tuple(map(self._value, arguments)), text)
        raise KeyError(node)

    def _shape(self, variable: Any) -> Value:
        value = self._values[variable]
        return self._make("shape", (value,), f"sizes of {value.name}", (len(variable.aval.shape),))

    def _make(
        self,
        kind: str,
        operands: tuple[Value, ...],
        text: str,
        shape: tuple[int, ...] = (),
        attributes: dict[str, Any] | None = None,
        number: int | None = None,
    ) -> Value:
        if text not in self._known:
            known, name = None if number is None else np.asarray(number), f"{_PREFIX}{text}"
            self._known[text] = Value(name, shape, "int64", known)
            self.made.append(Operation(name, kind, operands, (self._known[text],), attributes or {}))
        return self._known[text]
