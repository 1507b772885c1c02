"""What a jaxpr computes from constants alone: sizes, indices, the weights of a resize.

The numbers are worked out in NumPy, so that nothing is compiled. A uniform array of unknown size, such as a
broadcast zero, is known as one number.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from jax.extend.core import Literal

from vis.backend.jax.kinds import ELEMENTWISE, LOGICAL, REDUCTIONS
from vis.backend.jax.symbols import evaluated
from vis.graph.elementwise import FUNCTIONS

Array = npt.NDArray[Any]
# The largest array that is worked out.
_LARGEST = 2**20


class Known:
    """The values of a jaxpr that do not depend on its inputs.

    Args:
        equations: the equations, in order.
        constants: the values of the variables that are given.
        numbers: numbers for named sizes, if what is computed for them is wanted.
    """

    def __init__(
        self,
        equations: Iterable[Any],
        constants: Mapping[Any, Any],
        numbers: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._numbers = numbers
        self._arrays = {variable: _plain(value) for variable, value in constants.items()}
        # Integers that are sizes, or products of them, as JAX's symbols.
        self._sizes: dict[Any, Any] = {}
        for equation in equations:
            self._follow(equation)

    def array(self, atom: Any) -> Array | None:
        """Return the numbers of a variable or a literal, or None; one number if all are the same."""
        return _plain(atom.val) if isinstance(atom, Literal) else self._arrays.get(atom)

    def full(self, atom: Any) -> Array | None:
        """Return the numbers of a variable or a literal in its shape, or None."""
        array = self.array(atom)
        if array is None or array.shape == atom.aval.shape:
            return array
        shape = self._shape(atom)
        return None if shape is None else np.broadcast_to(array, shape)

    def _shape(self, atom: Any) -> tuple[int, ...] | None:
        """Return a shape, or None if it is symbolic."""
        sizes = [evaluated(size, self._numbers) for size in atom.aval.shape]
        known = tuple(size for size in sizes if size is not None)
        return known if len(known) == len(sizes) else None

    def number(self, atom: Any) -> float | None:
        """Return the number that a variable or a literal equals everywhere, or None."""
        array = self.array(atom)
        if array is None or not array.size or array.dtype.kind not in "fiub":
            return None
        first = array.flat[0]
        return float(first) if array.size == 1 or bool(np.all(array == first)) else None

    def size(self, atom: Any) -> Any:
        """Return the size, possibly symbolic, that a variable or a literal holds, or None."""
        if _is_variable(atom) and atom in self._sizes:
            return self._sizes[atom]
        number = self.number(atom)
        return int(number) if number is not None and number.is_integer() else None

    def _follow(self, equation: Any) -> None:
        name, (output, *others) = equation.primitive.name, equation.outvars
        if name == "dim_as_value":
            self._sizes[output] = equation.params["dim"]
            number = evaluated(equation.params["dim"], self._numbers)
            if number is not None:
                self._arrays[output] = np.asarray(number, output.aval.dtype)
        elif name in _OF_SIZES and any(atom in self._sizes for atom in equation.invars if _is_variable(atom)):
            sizes = [self.size(atom) for atom in equation.invars]
            if None not in sizes:
                self._sizes[output] = _OF_SIZES[name](*sizes)
        rule = _RULES.get(name)
        arrays = [self.array(atom) for atom in equation.invars]
        known = [array for array in arrays if array is not None]
        if rule is None or others or len(known) < len(arrays):
            return
        shape, dtype = self._shape(output), _plain_type(output.aval.dtype)
        small = shape is not None and math.prod(shape) <= _LARGEST
        if dtype is None or not (small or (known and name in _UNIFORM and all(a.size == 1 for a in known))):
            return
        with np.errstate(all="ignore"):
            if small and shape is not None:
                full = [self.full(atom) for atom in equation.invars]
                made = rule(equation, [array for array in full if array is not None], shape)
            else:
                numbers = [array.reshape(()) for array in known]
                made = numbers[0] if name in _SPREAD else rule(equation, numbers, ())
        if made is not None:
            made = np.asarray(made).astype(dtype, copy=False)
            self._arrays[output] = np.broadcast_to(made, shape) if small and shape is not None else made


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, Literal)


def _plain(value: Any) -> Array | None:
    """Return an array with a data type of NumPy's own, or None."""
    dtype = _plain_type(getattr(value, "dtype", np.asarray(value).dtype))
    return None if dtype is None else np.asarray(value).astype(dtype, copy=False)


def _plain_type(dtype: Any) -> Any:
    """Return NumPy's own data type for another, such as float32 for bfloat16, or None."""
    if not isinstance(dtype, np.dtype):
        return None  # the key of a generator
    if dtype.kind == "V" or dtype.name.startswith(("bfloat", "float8", "float4")):
        return np.dtype(np.float32)
    return dtype


# ---- how each primitive is worked out: of the equation, the arrays and the shape of the result ------------

_Rule = Callable[[Any, list[Array], tuple[int, ...]], Any]
# Primitives that only spread or move numbers: of one number, they make the same number.
_SPREAD = frozenset("broadcast_in_dim reshape squeeze expand_dims transpose rev copy tile".split())
# Primitives that make one number of one each.
_UNIFORM = _SPREAD.union(ELEMENTWISE, LOGICAL, "convert_element_type select_n clamp integer_pow".split())
# What may be done with sizes.
_OF_SIZES: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(["convert_element_type", "copy", "stop_gradient"], lambda size: size),
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
}


def _elementwise(kind: str) -> _Rule:
    function = FUNCTIONS[kind]
    return lambda equation, arrays, shape: function(*arrays)


def _logical(kind: str) -> _Rule:
    function = FUNCTIONS[kind]
    return lambda equation, arrays, shape: function(*arrays) if arrays[0].dtype == bool else None


def _broadcast(equation: Any, arrays: list[Array], shape: tuple[int, ...]) -> Any:
    along = tuple(map(int, equation.params["broadcast_dimensions"])) if shape else ()
    if not shape or arrays[0].ndim != len(along):
        return arrays[0]
    sizes = [1] * len(shape)
    for axis, size in zip(along, arrays[0].shape, strict=True):
        sizes[axis] = size
    return arrays[0].reshape(sizes)


def _iota(equation: Any, arrays: list[Array], shape: tuple[int, ...]) -> Any:
    axis = int(equation.params["dimension"])
    sizes = [size if index == axis else 1 for index, size in enumerate(shape)]
    return np.arange(shape[axis]).reshape(sizes)


def _divided(equation: Any, arrays: list[Array], shape: tuple[int, ...]) -> Any:
    x, y = arrays
    if x.dtype.kind in "iu":
        return np.trunc(x / np.where(y == 0, 1, y))
    return np.divide(x, y)


def _selected(equation: Any, arrays: list[Array], shape: tuple[int, ...]) -> Any:
    which, *cases = arrays
    return np.choose(which.astype(int), cases) if len(cases) < 32 else None


def _reduced(function: Any) -> _Rule:
    return lambda equation, arrays, shape: function(arrays[0], axis=tuple(map(int, equation.params["axes"])))


def _sliced(equation: Any, arrays: list[Array], shape: tuple[int, ...]) -> Any:
    params = equation.params
    if not all(isinstance(each, int) for each in (*params["start_indices"], *params["limit_indices"])):
        return None
    steps = params["strides"] or [1] * arrays[0].ndim
    rows = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
    return arrays[0][tuple(slice(*row) for row in rows)]


_RULES: dict[str, _Rule] = {
    **{name: _elementwise(kind) for name, kind in ELEMENTWISE.items()},
    **{name: _logical(kind) for name, kind in LOGICAL.items()},
    "div": _divided,
    "select_n": _selected,
    "clamp": lambda equation, arrays, shape: np.minimum(np.maximum(arrays[1], arrays[0]), arrays[2]),
    "integer_pow": lambda equation, arrays, shape: arrays[0].astype(float) ** equation.params["y"],
    "exp2": lambda equation, arrays, shape: np.exp2(arrays[0]),
    "convert_element_type": lambda equation, arrays, shape: arrays[0],
    "copy": lambda equation, arrays, shape: arrays[0],
    "broadcast_in_dim": _broadcast,
    "iota": _iota,
    **dict.fromkeys(["reshape", "squeeze", "expand_dims"], lambda e, arrays, shape: arrays[0].reshape(shape)),
    "transpose": lambda equation, arrays, shape: arrays[0].transpose(equation.params["permutation"]),
    "rev": lambda equation, arrays, shape: np.flip(arrays[0], tuple(equation.params["dimensions"])),
    "tile": lambda equation, arrays, shape: np.tile(arrays[0], equation.params["reps"]),
    "concatenate": lambda e, arrays, shape: np.concatenate(arrays, axis=int(e.params["dimension"])),
    "stack": lambda e, arrays, shape: np.stack(arrays, axis=int(e.params["axis"])),
    "slice": _sliced,
    **{name: _reduced(getattr(np, kind)) for name, kind in REDUCTIONS.items()},
}
