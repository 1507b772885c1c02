"""Parts of a recorded run that are run again with other operands."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from vis.backend.torch.recording import CUSTOM, Recording, Slot, Step
from vis.errors import ModifierError
from vis.graph import Graph, Operation, Value

_BEGUN = ("input", "variable", "constant")


class Replay:
    """A recorded run, see `vis.backend.contract.Replay`.

    An operation that a whole step tells is run as PyTorch ran it. One that is a part of a step, which has no
    tensor of its own, is run by what it computes.

    Args:
        recording: the run.
        graph: what it computes; perhaps read from another run that did the same.
    """

    def __init__(self, recording: Recording, graph: Graph) -> None:
        self._recording, self._graph = recording, graph
        self._parts: dict[Value, torch.Tensor] = {}

    def tensor(self, value: Value) -> torch.Tensor:
        slot = self._recording.named(value.name)
        if slot is not None:
            return self._recording.held(slot)
        if value not in self._parts:
            operation = self._graph.maker(value)
            if operation.kind in _BEGUN:
                self._parts[value] = self._constant(value)
            else:
                with torch.no_grad():
                    made = self.run(operation, [self.tensor(operand) for operand in operation.operands])
                self._parts.update(zip(operation.outputs, made, strict=False))
        return self._parts[value]

    def _constant(self, value: Value) -> torch.Tensor:
        like = self._recording.inputs[0].held
        dtype = getattr(torch, value.dtype, None)
        return torch.as_tensor(np.array(value.constant), device=like.device).to(dtype)

    def run(self, operation: Operation, operands: Sequence[Any], values: bool = True) -> list[Any]:
        if "differentiated" in operation.attributes:  # the result of a function with its own derivative
            return [operands[0]]
        step = self._recording.step(operation.name)
        if not values and operation.kind in _ADJOINTS:
            place = 0 if operands[0].requires_grad else 1
            adjoint = _ADJOINTS[operation.kind](step, operation, operands, place)
            if adjoint is not None:
                return [_Linear.apply(operands[place], *adjoint)]
        if step.target != CUSTOM and self._is_whole(operation):
            return self._again(step, operation, operands)
        if operation.kind == "convolution":
            return [_convolved(step, *operands)]
        make = _PARTS.get(operation.kind)
        if make is None:
            raise ModifierError(
                f"Relevance cannot pass the operation {operation.name} ({operation.kind}), which is a part "
                f"of {step.target}. Explain a layer after it."
            )
        made = make(operation, *operands)
        return list(made) if isinstance(made, list | tuple) else [made]

    def _is_whole(self, operation: Operation) -> bool:
        """Tell whether an operation tells a whole step: its operands and outputs are tensors of the run."""
        if "." in operation.name.rpartition("/")[2]:
            return False
        step = self._recording.step(operation.name)
        named = Counter(value.name for value in operation.operands if value.name.isdigit())
        return named == Counter(str(slot.number) for slot in step.operands)

    def _again(self, step: Step, operation: Operation, operands: Sequence[Any]) -> list[Any]:
        waiting: dict[str, list[Any]] = {}
        for value, operand in zip(operation.operands, operands, strict=True):
            waiting.setdefault(value.name, []).append(operand)

        def taken(argument: Any) -> Any:
            if isinstance(argument, Slot):
                found = waiting[str(argument.number)].pop(0)
                return found.clone() if step.writes else found
            if isinstance(argument, list | tuple):
                return type(argument)(taken(item) for item in argument)
            return argument

        made = step.target(*taken(step.args), **{key: taken(value) for key, value in step.kwargs.items()})
        listed = list(made) if isinstance(made, list | tuple) else [made]
        return listed[: len(operation.outputs)]


class _Linear(torch.autograd.Function):  # type: ignore[misc]
    """A linear function of a tensor, of which only the derivative is wanted."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, sizes: Sequence[int], back: Callable[[Any], Any]) -> Any:
        ctx.back = back
        return x.new_empty(()).expand(tuple(sizes))

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> Any:
        return ctx.back(slope), None, None


def linearized(
    function: Callable[[list[Any]], list[Any]], tensors: Sequence[Any]
) -> tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]:
    """Return what a function makes of some tensors, and the gradients by these of it times some slopes."""
    given = [tensor.detach().requires_grad_() for tensor in tensors]
    with torch.enable_grad():
        made = function(given)

    def back(slopes: Sequence[Any]) -> list[Any]:
        # In this thread, which is faster for a few operations.
        with torch.autograd.set_multithreading_enabled(False):
            found = torch.autograd.grad(made, given, list(slopes), allow_unused=True)
        pairs = zip(given, found, strict=True)
        return [torch.zeros_like(tensor) if each is None else each for tensor, each in pairs]

    return [each.detach() for each in made], back


def _convolved(step: Step, x: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Return a convolution without the bias that its step adds."""
    made: torch.Tensor = torch.ops.aten.convolution.default(x, kernel, None, *step.args[3:9])
    return made


def _product(operation: Operation, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return _einsum(operation.attributes["letters"], x, y)


def _einsum(letters_: Sequence[str], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    *given, out = letters_
    # Letters of any kind, in those that PyTorch takes.
    letters = dict(zip(dict.fromkeys("".join(given)), string.ascii_letters, strict=False))
    sides = ["".join(letters[letter] for letter in side) for side in (*given, out)]
    made: torch.Tensor = torch.einsum(f"{sides[0]},{sides[1]}->{sides[2]}", x, y)
    return made


def _axes(operation: Operation) -> dict[str, Any]:
    return {"dim": tuple(operation.attributes["axes"]), "keepdim": operation.attributes["keepdims"]}


def _split(operation: Operation, x: torch.Tensor) -> list[torch.Tensor]:
    axis = operation.attributes["axis"]
    sizes = [(output.shape or ())[axis] for output in operation.outputs]
    return list(torch.split(x, sizes, axis))


# By the kind of operations that are parts of steps.
_PARTS: dict[str, Callable[..., Any]] = {
    "identity": lambda _, x: x,
    "add": lambda _, x, y: x + y,
    "subtract": lambda _, x, y: x - y,
    "multiply": lambda _, x, y: x * y,
    "divide": lambda _, x, y: x / y,
    "power": lambda _, x, y: x**y,
    "squared_difference": lambda _, x, y: (x - y) ** 2,
    "maximum": lambda _, x, y: torch.maximum(x, y),
    "negative": lambda _, x: -x,
    "absolute": lambda _, x: x.abs(),
    "square": lambda _, x: x * x,
    "square_root": lambda _, x: x.sqrt(),
    "reciprocal_square_root": lambda _, x: x.rsqrt(),
    "exponential": lambda _, x: x.exp(),
    "logarithm": lambda _, x: x.log(),
    "logarithm_of_1_plus": lambda _, x: x.log1p(),
    "sigmoid": lambda _, x: x.sigmoid(),
    "select": lambda _, condition, x, y: torch.where(condition, x, y),
    "softmax": lambda operation, x: x.softmax(operation.attributes["axis"]),
    "reduce_sum": lambda operation, x: x.sum(**_axes(operation)),
    "reduce_mean": lambda operation, x: x.mean(**_axes(operation)),
    "product": _product,
    "reshape": lambda operation, x, _: x.reshape(_sizes(operation)),
    "squeeze": lambda operation, x: x.squeeze(tuple(operation.attributes["axes"])),
    "transpose": lambda operation, x: x.permute(operation.attributes["permutation"]),
    "reverse": lambda operation, x: x.flip(operation.attributes["axes"]),
    "split": _split,
}


def _sizes(operation: Operation) -> tuple[int, ...]:
    return tuple(size for size in operation.outputs[0].shape or () if size is not None)


def _convolution_adjoint(step: Step, operation: Operation, operands: Sequence[Any], place: int) -> Any:
    """Return the sizes of a convolution's output, and its gradient by the input; None for another operand."""
    x, kernel = operands[:2]
    if place or kernel.requires_grad or step.target != torch.ops.aten.convolution.default:
        return None

    def back(slope: torch.Tensor) -> Any:
        return torch.ops.aten.convolution_backward.default(
            slope, x, kernel, None, *step.args[3:9], [True, False, False]
        )[0]

    return _sizes(operation), back


def _product_adjoint(step: Step, operation: Operation, operands: Sequence[Any], place: int) -> Any:
    """Return the sizes of a product, and its gradient by one operand; None if both are differentiated by."""
    *given, out = operation.attributes["letters"]
    other = operands[1 - place]
    shared = set(given[place]) <= set(out) | set(given[1 - place])
    if other.requires_grad or not shared or 1 in operands[place].shape:
        return None
    return _sizes(operation), lambda slope: _einsum((out, given[1 - place], given[place]), slope, other)


_ADJOINTS = {"convolution": _convolution_adjoint, "product": _product_adjoint}
