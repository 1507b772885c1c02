"""Elementwise operations in NumPy, compared with the framework that they were read from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from vis import backend
from vis.graph import Graph
from vis.graph.elementwise import computed

X = np.array([-2.5, -1.0, -0.3, 0.0, 0.2, 0.9, 1.0, 3.7, 7.0])
Y = np.array([1.5, -1.0, 2.0, 0.5, -0.4, 3.0, 1.0, -2.0, 0.0])


def read(function: Callable[..., Any], count: int, dtype: str) -> Graph:
    """Return what a function of some vectors computes."""
    specs = [backend.Spec((None,), dtype)] * count
    return backend.traced(lambda tensors: function(*tensors), specs)


def check(
    function: Callable[..., Any],
    arrays: Sequence[Any],
    wanted: Any,
    dtype: str = "float64",
    rtol: float = 1e-6,
) -> set[str]:
    """Compare what is read with what the framework returns, and return the kinds that were run."""
    graph = read(function, len(arrays), dtype)
    known = dict(zip(graph.inputs, arrays, strict=True))
    for operation in graph.operations:
        for output in operation.outputs:
            if output.constant is not None:
                known[output] = output.constant
            elif output not in known:
                known[output] = computed(operation, [known[value] for value in operation.operands])
    (found,) = [known[value] for value in graph.outputs]
    np.testing.assert_allclose(found.astype(float), np.asarray(wanted, float), rtol=rtol, atol=1e-3 * rtol)
    return {operation.kind for operation in graph.operations}
