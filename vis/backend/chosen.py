"""The backend that Keras is configured for, with the types of its names."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras

from vis import frameworks
from vis.backend.contract import (
    CompiledCall,
    CompiledDescent,
    CompiledGradient,
    Find,
    Forward,
    Linearize,
    Spec,
    Way,
)
from vis.graph import Graph

_name = keras.config.backend()
if _name not in frameworks.NAMES:
    raise frameworks.unsupported()
_chosen: Any = importlib.import_module(f"vis.backend.{_name}")

compiles_sizes: bool = _chosen.compiles_sizes
compile_call: Callable[[Callable[[Any], Any], Way], CompiledCall] = _chosen.compile_call
compile_descent: Callable[..., CompiledDescent] = _chosen.compile_descent
compile_gradient: Callable[[Forward, Sequence[Spec], Way | None], CompiledGradient]
compile_gradient = _chosen.compile_gradient
is_noting: Callable[..., bool] = _chosen.is_noting
leave: Callable[[Any, Callable[[Any], None]], None] = _chosen.leave
mask_of: Callable[[Any], Any] = _chosen.mask_of
masked: Callable[[Any, Any], Any] = _chosen.masked
note_operations: Callable[[Callable[[], Iterable[Any]]], None] = _chosen.note_operations
noted: Callable[[str, bool], AbstractContextManager[Callable[[Any], None]]] = _chosen.noted
linearized: Linearize = _chosen.linearized
skipping: Callable[[Callable[..., Any], Find], Callable[..., Any]] = _chosen.skipping
traced: Callable[[Callable[[list[Any]], Any], Sequence[Spec]], Graph] = _chosen.traced
where_positive: Callable[[Any, Any], Any] = _chosen.where_positive
widest_float: Callable[[], str] = _chosen.widest_float


def pulled(
    function: Callable[[list[Any]], list[Any]], tensors: Sequence[Any], slopes: Sequence[Any]
) -> list[Any]:
    """Return the gradients by some tensors of what a function makes of them, times some slopes."""
    return linearized(function, tensors)[1](slopes)
