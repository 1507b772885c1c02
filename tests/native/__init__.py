"""What tests need of the framework that Keras runs on, by its own means: independent of the library.

Each backend has a module with these names:

    gradients(function, arrays)       the gradient of the sum of what `function(*tensors)` returns, by each
    by_variables(function, variables) the same by Keras variables that `function()` reads
    pullback(function, x, incoming)   the derivative of a function at a tensor, times what comes in from above
    with_gradient(forward, backward)  a function of a tensor whose gradient is `backward(x, incoming)`
    relu, softmax, matmul             the framework's own functions
    hidden_relu(x)                    a ReLU that no rule reaches: in a loop, or inside a custom derivative
    compiled(function)                a function as the framework compiles it; PyTorch runs it as it is
    traced(function)                  calls a function with rows of three, as the framework traces it
    observe(function, x)              the tensor; calls a function with its values whenever it is computed
    double()                          a context in which it computes in 64 bits where it is asked to
    draw()                            a random number, seeded by `keras.utils.set_random_seed`
    seed(number)                      seeds Python, NumPy and Keras, at no cost to what is compiled
    forget()                          drops what the framework compiled, where it keeps all of it
    dataset(parts, batch_size)        a data set as the framework's users have them: arrays, or tuples of them
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import ops

NAME = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}[keras.config.backend()]
# Whether a forward pass is traced once, and not run step by step each time.
COMPILES = keras.config.backend() != "torch"
# Whether a layer may be called "block.1": PyTorch refuses it.
NAMES_WITH_DOTS = keras.config.backend() != "torch"
# For tests of what is the same on each backend, such as the layout of a figure.
once = pytest.mark.skipif(NAME != "TensorFlow", reason="the same on each backend")
_own = importlib.import_module(f"tests.native.{keras.config.backend()}")
by_variables = _own.by_variables
compiled = _own.compiled
dataset = _own.dataset
draw = _own.draw
double = _own.double
forget = _own.forget
gradients = _own.gradients
hidden_relu = _own.hidden_relu
matmul = _own.matmul
observe = _own.observe
pullback = _own.pullback
relu = _own.relu
seed = _own.seed
softmax = _own.softmax
traced = _own.traced
with_gradient = _own.with_gradient


def runs(*calls: int) -> range:
    """Return how often the Python code of a forward pass runs, if nothing is traced or read twice.

    For a trace it runs twice on JAX: once to see which variables it reads. On PyTorch it is read, and runs
    until it has been written down, which takes two runs.

    Args:
        calls: of each trace, on inputs of the same sizes.
    """
    if COMPILES:
        count = len(calls) * (2 if NAME == "JAX" else 1)
        return range(count, count + 1)
    return range(sum(1 + min(count, 4) for count in calls), sum(4 + min(count, 80) for count in calls))


def array(x: Any) -> Any:
    """Return a tensor as an array: on PyTorch, one that does not ask for a gradient."""
    return ops.convert_to_numpy(x)


def gradient(function: Callable[[Any], Any], x: Any) -> Any:
    """Return the gradient of the sum of what a function of one tensor returns, as an array."""
    return gradients(function, [x])[0]


# The positive part, with its true derivative and with those of the backprop modifiers, by name.
RELUS: dict[str | None, Callable[[Any], Any]] = {
    None: relu,
    "guided": with_gradient(relu, lambda x, g: ops.where((g > 0) & (x > 0), g, ops.zeros_like(g))),
    "rectified": with_gradient(relu, lambda x, g: ops.maximum(g, 0.0)),
}

__all__ = [
    "COMPILES",
    "NAME",
    "NAMES_WITH_DOTS",
    "RELUS",
    "array",
    "by_variables",
    "compiled",
    "dataset",
    "double",
    "draw",
    "gradient",
    "gradients",
    "hidden_relu",
    "matmul",
    "observe",
    "pullback",
    "relu",
    "runs",
    "softmax",
    "traced",
    "with_gradient",
]
