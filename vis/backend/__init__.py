"""What the rest of the library needs from a tensor framework; no type of the framework leaves this package.

A backend is a package with these names:

    compile_gradient(forward, specs, rule)   the compiled gradient of a scalar, and what the rule reached
    compile_descent(forward, specs, ...)     compiled steps of gradient descent on the first input
    compile_call(forward, rule)              a compiled forward pass whose derivative follows the rule
    traced(forward, specs)                   what a forward pass computes, in the terms of `vis.graph`
    skipping(forward, find)                  a forward pass without some of its steps
    noted(path, is_layer)                    a context in which a layer runs, so that `traced` records it
    is_noting(asked)                         whether layer calls are recorded now, if they are asked for
    where_positive(condition, value)         value where the condition is positive, otherwise 0; for rules
    widest_float()                           the data type in which sums are taken, such as "float64"
    compiles_sizes                           whether each batch size that is met is compiled for
    Spec, Traced, Evaluation, Rule, ...      see `vis/backend/contract.py`

`forward` is written in `keras` and `keras.ops` only. The backend follows `keras.config.backend()`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import keras

from vis import frameworks
from vis.backend.contract import (
    CompiledCall,
    CompiledDescent,
    CompiledGradient,
    Coverage,
    DescentState,
    Evaluation,
    Find,
    Forward,
    Rule,
    Spec,
    Steps,
    Traced,
)
from vis.graph import Graph

_NAME = keras.config.backend()
if _NAME not in ("tensorflow", "jax", "torch"):
    raise frameworks.unsupported()
_chosen: Any = importlib.import_module(f"vis.backend.{_NAME}")

compiles_sizes: bool = _chosen.compiles_sizes
compile_call: Callable[[Callable[[Any], Any], Rule], CompiledCall] = _chosen.compile_call
compile_descent: Callable[..., CompiledDescent] = _chosen.compile_descent
compile_gradient: Callable[[Forward, Sequence[Spec], Rule | None], CompiledGradient]
compile_gradient = _chosen.compile_gradient
is_noting: Callable[..., bool] = _chosen.is_noting
noted: Callable[[str, bool], AbstractContextManager[Callable[[Any], None]]] = _chosen.noted
skipping: Callable[[Callable[..., Any], Find], Callable[..., Any]] = _chosen.skipping
traced: Callable[[Callable[[list[Any]], Any], Sequence[Spec]], Graph] = _chosen.traced
where_positive: Callable[[Any, Any], Any] = _chosen.where_positive
widest_float: Callable[[], str] = _chosen.widest_float

__all__ = [
    "CompiledCall",
    "CompiledDescent",
    "CompiledGradient",
    "Coverage",
    "DescentState",
    "Evaluation",
    "Find",
    "Forward",
    "Rule",
    "Spec",
    "Steps",
    "Traced",
    "compile_call",
    "compile_descent",
    "compile_gradient",
    "compiles_sizes",
    "is_noting",
    "noted",
    "skipping",
    "traced",
    "where_positive",
    "widest_float",
]
