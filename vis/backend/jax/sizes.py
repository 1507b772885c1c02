"""The sizes of arrays that vary: symbols, so that one trace serves all of them.

All leading axes without a size are the batch, which has one symbol; any other such axis has one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import JaxprEqn, Var

from vis.backend.contract import Spec
from vis.backend.jax.program import Program
from vis.backend.jax.tracing import Trace, Widen
from vis.errors import InputError, VisError

_BATCH = "b"
_LARGE = 64
_PRODUCTS = ("dot_general", "conv_general_dilated")


def type_of(spec: Spec) -> Any:
    """Return the data type in which JAX holds an array.

    Raises:
        InputError: for strings.
    """
    if spec.dtype == "string":
        raise InputError(
            "Keras has no strings on the JAX backend. Received: an input of strings. Pass the numbers of the "
            "tokens, which TextVectorization makes of them outside the model."
        )
    return jax.dtypes.canonicalize_dtype(jax.numpy.dtype(spec.dtype))


def types(specs: Sequence[Spec], shapes: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the types of arrays of some shapes."""
    pairs = zip(specs, shapes, strict=True)
    return [jax.ShapeDtypeStruct(tuple(shape), type_of(spec)) for spec, shape in pairs]


def example_of(spec: Spec) -> tuple[int, ...]:
    """Return a shape of an array."""
    return spec.example or tuple(1 if size is None else size for size in spec.shape)


def is_stretched(spec: Spec) -> bool:
    """Tell whether an array, of which nothing but the rank is known, may be broadcast to a size."""
    return bool(spec.shape) and set(spec.shape) == {None} and set(spec.example or ()) == {1}


def with_sizes(
    trace_of: Callable[[list[Any], Widen | None], Trace], specs: Sequence[Spec], only_told: bool = False
) -> Trace:
    """Trace a function with sizes that vary as far as it can be traced so.

    Args:
        trace_of: traces it, given the types of its arguments, see `traced_program`.
        specs: the specs of its arguments.
        only_told: whether the trace tells what is computed, and is not run: the sizes may be large ones.
    """
    for types_ in candidates(specs, only_told):
        try:
            return trace_of(types_, lambda trace: stretched(trace, specs))
        except VisError:
            raise
        except Exception:  # whatever a layer raises that asks for the number behind a symbol
            continue
    return trace_of(types(specs, [example_of(spec) for spec in specs]), None)


def is_symbolic(size: Any) -> bool:
    """Tell whether a size is a symbol, or is computed from some."""
    return not isinstance(size, int)


def serves_all(given: Sequence[Any], specs: Sequence[Spec]) -> bool:
    """Tell whether types have a symbol for each size that varies.

    Args:
        given: the types that a function was traced with.
        specs: what it is to take.
    """

    def fits(size: Any, wanted: int | None, stretched: bool) -> bool:
        if stretched:  # it is broadcast to a known size, or to the batch
            return not is_symbolic(size) or str(size) == _BATCH
        return wanted is not None or is_symbolic(size)

    return all(
        fits(size, wanted, is_stretched(spec))
        for each, spec in zip(given, specs, strict=True)
        for size, wanted in zip(each.shape, spec.shape, strict=True)
    )


def candidates(specs: Sequence[Spec], only_told: bool = False) -> Iterator[list[Any]]:
    """Yield the types of arrays of varying sizes, the more general ones first."""
    yield _symbolic(specs, lambda spec: spec.shape)
    if any(None in spec.shape[1:] and not is_stretched(spec) for spec in specs):
        if only_told:
            # Whether a crop or a window fits can be decided of these.
            yield _symbolic(specs, lambda spec: spec.shape, _LARGE)
        yield _symbolic(specs, lambda spec: (*spec.shape[:1], *example_of(spec)[1:]))


def _symbolic(specs: Sequence[Spec], shape_of: Any, at_least: int = 1) -> list[Any]:
    shapes_ = [example_of(spec) if is_stretched(spec) else shape_of(spec) for spec in specs]
    rows = [[_name(place, axis) for axis in range(len(shape))] for place, shape in enumerate(shapes_)]
    varying = [
        name
        for shape, names in zip(shapes_, rows, strict=True)
        for size, name in zip(shape, names, strict=True)
        if size is None and name != _BATCH
    ]
    scope = jax.export.SymbolicScope([f"{name} >= {at_least}" for name in varying if at_least > 1])
    shapes = []
    for shape, names in zip(shapes_, rows, strict=True):
        texts = [name if size is None else str(size) for name, size in zip(names, shape, strict=True)]
        shapes.append(jax.export.symbolic_shape(", ".join(texts), scope=scope) if None in shape else shape)
    return types(specs, shapes)


def _name(place: int, axis: int) -> str:
    return _BATCH if axis == 0 else f"size_{place}_{axis}"


def stretched(trace: Trace, specs: Sequence[Spec]) -> list[Any]:
    """Return the types of arrays with the sizes that some of them are broadcast to.

    Args:
        trace: a trace of a function of the arrays.
        specs: the specs of the arrays.
    """
    found = list(trace.types)
    for place, (var, spec) in enumerate(zip(trace.arguments, specs, strict=True)):
        if is_stretched(spec):
            found[place] = jax.ShapeDtypeStruct(_broadcast(trace.program, var), found[place].dtype)
    return found


def _broadcast(program: Program, var: Var) -> tuple[Any, ...]:
    """Return the shape that an array is broadcast to, perhaps after a cast."""
    same = {var}
    shape = list(var.aval.shape)
    for equation in program.equations:
        if same.isdisjoint(atom for atom in equation.invars if isinstance(atom, Var)):
            continue
        if equation.primitive.name in ("convert_element_type", "copy"):
            same.update(equation.outvars)
            continue
        onto = equation.outvars[0].aval.shape
        if equation.primitive.name == "broadcast_in_dim":
            axes = equation.params["broadcast_dimensions"]
        elif equation.primitive.name not in _PRODUCTS and _fits(equation):
            axes = range(len(shape))
        else:
            continue
        shape = [onto[axis] if size == 1 else size for axis, size in zip(axes, shape, strict=True)]
    return tuple(shape)


def _fits(equation: JaxprEqn) -> bool:
    """Tell whether the result of an equation has the shape that its operands are broadcast to."""
    shapes = [atom.aval.shape for atom in equation.invars]
    onto = equation.outvars[0].aval.shape
    return {len(shape) for shape in shapes} == {len(onto)} and all(
        size in (1, wide) for shape in shapes for size, wide in zip(shape, onto, strict=True)
    )
