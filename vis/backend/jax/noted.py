"""Which layer runs which equations: marks that a trace leaves in them.

While a layer runs, a named scope is open, which JAX stores in each equation, also in those of inner
functions. The outputs are marked by equations that name them. Both are known by a number that is used once.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import jax
import keras
from jax.ad_checkpoint import checkpoint_name

_MARK = "vis:"
_numbers = itertools.count()
_notes: ContextVar[list[Note] | None] = ContextVar("notes", default=None)


@dataclass(frozen=True)
class Note:
    """A call of a layer, by the number of its marks."""

    number: int
    path: str
    is_layer: bool


@contextlib.contextmanager
def taking_notes(notes: list[Note]) -> Iterator[None]:
    """Add a note of each call of a layer to a list, in the order in which they end."""
    token = _notes.set(notes)
    try:
        yield
    finally:
        _notes.reset(token)


def is_noting(asked: bool = True) -> bool:
    """Tell whether layer calls are recorded, given whether the caller needs that."""
    return asked and _notes.get() is not None


@contextlib.contextmanager
def noted(path: str, is_layer: bool) -> Iterator[Callable[[Any], None]]:
    """Record which operations a layer call adds to what is being traced.

    Args:
        path: the path of the layer.
        is_layer: whether it is a layer, not just a Keras operation.

    Yields:
        a function to call with the output of the layer.
    """
    notes = _notes.get()
    if notes is None:
        yield lambda _: None
        return
    note = Note(next(_numbers), path, is_layer)

    def returned(outputs: Any) -> None:
        for place, tensor in enumerate(keras.tree.flatten(outputs)):
            mark_output(tensor, note.number, place)

    with jax.named_scope(f"{_MARK}{note.number}"):
        yield returned
    notes.append(note)


def mark_output(tensor: Any, number: int, place: int) -> None:
    """Mark an output of a call in what is being traced."""
    if isinstance(tensor, jax.core.Tracer):
        checkpoint_name(tensor, f"{_MARK}{number}:{place}")


def marked_output(equation: Any) -> tuple[int, int] | None:
    """Return the number of the call whose output an equation marks, and the index of that output, or None."""
    if equation.primitive.name != "name" or not equation.params["name"].startswith(_MARK):
        return None
    number, place = equation.params["name"].removeprefix(_MARK).split(":")
    return int(number), int(place)


def numbers_in(name_stack: Any) -> list[int]:
    """Return the numbers of the calls in which an equation ran, the outer ones first."""
    parts = str(name_stack).split("/")
    return [int(part.removeprefix(_MARK)) for part in parts if part.startswith(_MARK)]


def scope_of(name_stack: Any) -> str:
    """Return the named scopes in which an equation ran, without marks."""
    return "/".join(part for part in str(name_stack).split("/") if not part.startswith(_MARK))
