"""What tests need, by means of PyTorch."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

from tests.native.rows import Rows

torch.set_num_threads(1)  # what tests compute is small, and they run side by side
if torch.accelerator.is_available():  # where Keras puts its tensors
    torch.set_default_device(keras.ops.zeros(()).device)

relu, matmul, double = torch.nn.functional.relu, torch.matmul, contextlib.nullcontext
seed = keras.utils.set_random_seed


@functools.wraps(torch.Tensor.__array__)
def _array(tensor: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """Return a tensor as an array.

    PyTorch refuses this for one that asks for a gradient, as the output of a model does, or is on a GPU.
    Tests read outputs all the time; the library itself is refused it as ever.
    """
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"].split(".")[0] == "numpy":
        frame = frame.f_back
    if frame.f_globals["__name__"].split(".")[0] != "vis":
        tensor = tensor.detach().cpu()
    return _own_array(tensor) if dtype is None else _own_array(tensor, dtype)


_own_array = torch.Tensor.__array__
torch.Tensor.__array__ = _array  # type: ignore[method-assign]


def softmax(x: Any) -> Any:
    """Return the framework's own softmax over the last axis."""
    return torch.nn.functional.softmax(x, dim=-1)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function: nothing is compiled here unless one asks for a compiler of C++."""
    return function


def gradients(function: Callable[..., Any], arrays: Sequence[Any]) -> list[Any]:
    """Return the gradient of the sum of what a function returns by each of its tensors, as arrays."""
    tensors = [keras.ops.convert_to_tensor(array).detach().clone().requires_grad_() for array in arrays]
    total = function(*tensors).sum()
    found = torch.autograd.grad(total, tensors, allow_unused=True, materialize_grads=True)
    return [keras.ops.convert_to_numpy(each) for each in found]


def by_variables(function: Callable[[], Any], variables: Sequence[Any]) -> list[Any]:
    """Return the gradient of the sum of what a function returns by Keras variables, as arrays."""
    found = torch.autograd.grad(function().sum(), [each.value for each in variables])
    return [keras.ops.convert_to_numpy(each) for each in found]


def pullback(function: Callable[[Any], Any], x: Any, incoming: Any) -> Any:
    """Return the derivative of a function at a tensor, times what comes in from above."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (found,) = torch.autograd.grad(function(x), x, incoming)
    return found


def with_gradient(forward: Callable[[Any], Any], backward: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """Return a function of a tensor whose gradient is `backward(x, incoming)`."""

    class Ruled(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(context: Any, incoming: Any) -> Any:
            return backward(*context.saved_tensors, incoming)

    return Ruled.apply


def observe(function: Callable[[Any], Any], x: Any) -> Any:
    """Return a tensor, and call a function with its values whenever it is computed."""
    function(keras.ops.convert_to_numpy(x))
    return x


class _Positive(torch.autograd.Function):
    """The positive part of a product by the identity; the rule would have to act between the two."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        context.save_for_backward(x)
        return relu(x @ torch.eye(x.shape[-1]))

    @staticmethod
    def backward(context: Any, incoming: Any) -> Any:
        return incoming * (context.saved_tensors[0] > 0)


hidden_relu = _Positive.apply


def traced(function: Callable[[Any], Any]) -> None:
    """Call a function with a tensor, rows of three, that a gradient is asked by."""
    function(torch.ones((2, 3), requires_grad=True))


def dataset(parts: Any, batch_size: int | None = None) -> Any:
    """Return a data set of arrays or a tuple of them, in batches if a size is given."""
    return torch.utils.data.DataLoader(Rows(parts), batch_size)


def draw() -> float:
    """Return a random number by the framework, seeded by `keras.utils.set_random_seed`."""
    return float(torch.rand(()))


def forget() -> None:
    """Do nothing: PyTorch compiles nothing."""
