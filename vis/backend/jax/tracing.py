"""Tracing of a forward pass, with the variables that it reads as arguments.

Keras runs in a stateless scope, so a forward pass assigns no variable. The scope notes which variables are
read: a first pass finds them, a second one is traced with them as arguments. So new weights need no new
trace, and the result holds the variables and not their model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import keras

from vis.backend.jax.noted import Note, numbers_in, taking_notes
from vis.backend.jax.program import Program
from vis.errors import InputError

# A layer that creates a variable whenever it is called would read a new one in each pass.
_ATTEMPTS = 3


class _Scope(keras.StatelessScope):  # type: ignore[misc]
    """A stateless scope that notes which variables are read that it has no value for."""

    def __init__(self, pairs: Sequence[tuple[Any, Any]] = ()) -> None:
        super().__init__(state_mapping=pairs)
        self.others: dict[int, Any] = {}

    def get_current_value(self, variable: Any) -> Any:
        value = super().get_current_value(variable)
        if value is None:
            self.others[id(variable)] = variable
            # Keras takes the values away from the variables of a model while it trains or predicts.
            if self.original_scope is not None:
                value = self.original_scope.get_current_value(variable)
        return value


Function = Callable[[list[Any]], tuple[list[Any], Any]]
Widen = Callable[["Trace"], list[Any]]


@dataclass(frozen=True)
class Called:
    """A call of a layer.

    Args:
        path: the path of the layer.
        is_layer: whether it is a layer, not just a Keras operation.
        first, stop: the range of the equations that it ran.
        outputs: its outputs: variables or literals.
    """

    path: str
    is_layer: bool
    first: int
    stop: int
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class Trace:
    """A traced function.

    Args:
        program: its inputs are the variables, then the arguments.
        types: the shapes and data types of the arguments.
        variables: the Keras variables that it reads.
        notes: the calls of layers.
        returned: what the function returned besides its arrays.
        values: the values of variables that are constants of the program.
    """

    program: Program
    types: list[Any]
    variables: list[Any]
    notes: list[Note]
    returned: Any
    values: tuple[Any, ...] = ()

    @property
    def arguments(self) -> list[Any]:
        """The inputs of the program that are not variables."""
        return self.program.inputs[len(self.variables) :]

    def calls(self) -> list[Called]:
        """Return the calls of layers, in the order in which they ended."""
        ran: dict[int, list[int]] = {}
        for index, equation in enumerate(self.program.equations):
            for number in numbers_in(equation.source_info.name_stack):
                ran.setdefault(number, []).append(index)
        outputs: dict[int, list[Any]] = {}
        ends: dict[int, int] = {}
        for (number, _), (atom, place) in sorted(self.program.marks.items(), key=lambda item: item[0]):
            outputs.setdefault(number, []).append(atom)
            ends[number] = place
        found = []
        for note in self.notes:
            if note.number not in ran and note.number not in ends:
                continue  # of another pass
            here = ran.get(note.number, [])
            first = here[0] if here else ends.get(note.number, 0)
            stop = here[-1] + 1 if here else first
            found.append(Called(note.path, note.is_layer, first, stop, tuple(outputs.get(note.number, ()))))
        return found


def traced_program(function: Function, types: Sequence[Any], widen: Widen | None = None) -> Trace:
    """Trace a function.

    Args:
        function: takes a list of tensors, and returns a list of tensors and anything else.
        types: the shapes, which may be symbolic, and data types of the tensors.
        widen: returns the types that are traced in the end, given the first trace.
    """
    variables: dict[int, Any] = {}
    for attempt in range(_ATTEMPTS):
        notes: list[Note] = []
        with taking_notes(notes):
            trace, others = _traced(function, types, list(variables.values()), notes)
        fresh = {key: each for key, each in others.items() if key not in variables}
        if widen is not None and not attempt:
            types = widen(trace)
        if not fresh and list(types) == trace.types:
            break
        variables |= fresh
    return trace


def traced_inside(function: Function, types: Sequence[Any]) -> Trace:
    """Trace a function as a part of what is traced or run around, whose values are constants here.

    It runs once, and the notes of layer calls belong to what is around. The arguments are those of
    `traced_program`.
    """
    trace, variables = _traced(function, types, [], [])
    return replace(trace, values=tuple(values_of(variables.values())))


def _traced(
    function: Function, types: Sequence[Any], variables: list[Any], notes: list[Note]
) -> tuple[Trace, dict[int, Any]]:
    """Trace a function that reads some variables; return the others that it has read, too."""
    seen: list[tuple[Any, dict[int, Any]]] = []

    # A new function each time: JAX would return what it has traced before.
    def run(values: list[Any], tensors: list[Any]) -> list[Any]:
        with _Scope(list(zip(variables, values, strict=True))) as scope:
            arrays, rest = function(tensors)
        seen.append((rest, scope.others))
        return [jax.numpy.asarray(array) for array in arrays]

    closed = jax.make_jaxpr(run)(types_of_values(variables), list(types))
    ((returned, others),) = seen
    return Trace(Program(closed), list(types), variables, notes, returned), others


def values_of(variables: Iterable[Any]) -> list[Any]:
    """Return the present values of Keras variables.

    Raises:
        InputError: if Keras has taken them away, as it does in `fit`, `evaluate` and `predict`.
    """
    held = list(variables)
    try:
        values = [variable.value for variable in held]
    except TypeError:  # no initializer for a placeholder
        raise _taken_away() from None
    for variable, value in zip(held, values, strict=True):
        # There is no public way to tell; each placeholder is another one.
        if getattr(variable, "_value", variable) is None and variable.value is not value:
            raise _taken_away()
    return values


def _taken_away() -> InputError:
    return InputError(
        "The weights of the model are elsewhere: on JAX, Keras takes them out of it while fit, evaluate or "
        "predict runs. Received: a call in another thread meanwhile. Wait for it, or explain a copy of the "
        "model."
    )


def types_of_values(variables: Sequence[Any]) -> list[Any]:
    """Return the types of the values of Keras variables."""
    return [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values_of(variables)]
