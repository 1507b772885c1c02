"""The `repr` of objects: the call that makes them, as it can be typed."""

from __future__ import annotations

import dataclasses
import inspect
import keyword
import re
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

_SHORT = 8  # values of an array that are written out
_BREAK = r"\s*\n\s*"


class TypedRepr:
    """Its `repr` is the call that makes it: `Saliency(mobilenet, output_layer='conv5', reducer='sum')`.

    An argument is read from the attribute of its name, and left out where it has its default. A model, a
    layer or a symbolic tensor appears as a variable of its name, a long array as its type, shape and range.
    """

    def __repr__(self) -> str:
        return call_of(self)

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments that are not the attributes of their names."""
        return {}


class Shown(str):
    """A text that is shown without quotes."""

    __slots__ = ()


def call_of(made: TypedRepr) -> str:
    """Return the call that makes an object."""
    written: list[str] = []
    for parameter, value in arguments_of(made):
        required = parameter.default is parameter.empty
        if required and not written:
            written.append(typed(value))
        elif required or not _is(value, _default(made, parameter)):
            written.append(f"{parameter.name}={typed(value)}")
    return f"{type(made).__name__}({', '.join(written)})"


def arguments_of(made: TypedRepr) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield each argument that an object was made with, and its value."""
    given = made._arguments()
    for parameter in inspect.signature(type(made)).parameters.values():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield parameter, given.get(parameter.name, getattr(made, parameter.name, Shown("...")))


def typed(value: Any) -> str:
    """Return what can be typed for a value, or a short description of an array."""
    if isinstance(value, Shown):
        return str(value)
    if isinstance(value, keras.Operation | keras.KerasTensor):
        return variable(value.name)
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ufunc):
        return f"np.{value.__name__}"
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        inside = ", ".join(map(typed, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {typed(item)}' for key, item in value.items())}}}"
    return value.__name__ if inspect.isroutine(value) or isinstance(value, type) else repr(value)


def variable(name: str) -> str:
    """Return a name as that of a variable: `mobilenetv2_1.00_224` as `mobilenetv2_1_00_224`."""
    name = re.sub(r"\W", "_", name)
    return f"_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name


def _array(value: npt.NDArray[Any]) -> str:
    if 0 < value.size <= _SHORT and value.dtype.kind in "fiub":
        kind = "" if value.dtype in (bool, np.int64, np.float64) else f", dtype='{value.dtype}'"
        written = np.array2string(value, separator=", ", threshold=_SHORT)
        return f"np.array({re.sub(_BREAK, ' ', written)}{kind})"
    finite = value[np.isfinite(value)] if value.dtype.kind in "fiu" else np.empty(0)
    ends = dict.fromkeys(f"{end:.3g}" for end in (finite.min(), finite.max())) if finite.size else ()
    return f"<{', '.join([f'{value.dtype} {value.shape}', *filter(None, [' to '.join(ends)])])}>"


def _default(made: Any, parameter: inspect.Parameter) -> Any:
    fields = dataclasses.fields(made) if dataclasses.is_dataclass(made) else ()
    factories = {field.name: field.default_factory for field in fields}
    factory = factories.get(parameter.name, dataclasses.MISSING)
    return parameter.default if factory is dataclasses.MISSING else factory()


def _is(value: Any, default: Any) -> bool:
    same = type(value) is type(default) and not isinstance(value, np.ndarray)
    try:
        return value is default or (same and bool(value == default))
    except (TypeError, ValueError):
        return False
