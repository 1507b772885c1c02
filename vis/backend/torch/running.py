"""Running a forward pass: on an example, with derivatives, and without moving anything in the model."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import torch

from vis.backend.contract import Spec
from vis.backend.torch.recording import Recording, recordings
from vis.errors import InputError, VisError

# The sizes that are tried for an axis whose size varies, when no example is known.
_SIZES = (32, 64, 128, 256)
# What PyTorch and Keras raise for an input that does not fit.
_REFUSALS = (IndexError, RuntimeError, ValueError)


class Constants(keras.StatelessScope):  # type: ignore[misc]
    """A scope in which variables are constants: no gradient is taken by them, and nothing is assigned.

    Args:
        differentiable: whether gradients of what depends on nothing but variables are taken, because
            something that is differentiated by does.
        seed: returns the number that a variable stands for if it is a seed.
    """

    def __init__(
        self, differentiable: bool = False, seed: Callable[[Any], int | None] = lambda _: None
    ) -> None:
        super().__init__()
        self._differentiable, self._seed = differentiable, seed
        self._is_reading = False

    def fresh(self) -> Constants:
        """Return the same scope, in which nothing has been assigned yet."""
        return Constants(self._differentiable, self._seed)

    def get_current_value(self, variable: Any) -> Any:
        assigned = super().get_current_value(variable)
        if assigned is not None or self._is_reading:
            return assigned
        current = recordings()
        if not current:  # as in every run but the first, for each of hundreds of variables
            return self._constant(variable)
        with contextlib.ExitStack() as stack:
            for recording in current:
                stack.enter_context(recording.paused())
            value = self._constant(variable)
        for recording in current:
            recording.name(value, variable)
        return value

    def _constant(self, variable: Any) -> torch.Tensor:
        self._is_reading = True
        try:
            value: torch.Tensor = variable.value.detach()
        finally:
            self._is_reading = False
        seed = self._seed(variable)
        if seed is not None:
            value = torch.full_like(value, seed)
        if self._differentiable and value.is_floating_point():
            value.requires_grad_()
        return value

    def add_update(self, update: Any) -> None:
        super().add_update(update)
        for current in recordings():
            current.assigned.add(id(update[0]))


@contextlib.contextmanager
def differentiating() -> Iterator[None]:
    """Take derivatives, whatever is set around."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def examples(specs: Sequence[Spec]) -> Iterator[list[torch.Tensor]]:
    """Yield tensors on which a forward pass may run, so that what it does can be read.

    Args:
        specs: what it takes; one sample where the number of samples is unknown.
    """
    varies = any(spec.example is None and None in spec.shape[1:] for spec in specs)
    for size in _SIZES if varies else _SIZES[:1]:
        yield [_example(spec, size) for spec in specs]


def _example(spec: Spec, size: int) -> torch.Tensor:
    sizes = [1, *[size] * len(spec.shape)]
    shape = spec.example or tuple(
        default if given is None else given for given, default in zip(spec.shape, sizes, strict=False)
    )
    tensor: torch.Tensor = keras.ops.zeros(shape, spec.dtype)
    return tensor


def leaves(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return tensors by which gradients can be taken, and copies of them for a forward pass to write into."""
    # What an inference mode has made takes no part in derivatives.
    found = [tensor.clone() if tensor.is_inference() else tensor.detach() for tensor in tensors]
    for tensor in found:
        if tensor.is_floating_point():
            tensor.requires_grad_()
    return found, [tensor.clone() if tensor.is_floating_point() else tensor for tensor in found]


def derivatives(loss: torch.Tensor, by: Sequence[torch.Tensor]) -> tuple[torch.Tensor | None, ...]:
    """Return the gradients of a loss by tensors; nothing if there is no way to any of them."""
    if not by or not loss.requires_grad:
        return ()
    # In this thread, which knows what is set in Keras.
    with torch.autograd.set_multithreading_enabled(False):
        found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(loss, by, allow_unused=True)
    return found


def record(forward: Any, tensors: Sequence[torch.Tensor], **how: bool) -> tuple[Recording, Any]:
    """Run a forward pass while it is recorded, see `Recording`."""
    seen = Recording(tensors, **how)
    with seen:
        made = forward(list(tensors))
    return seen, made


@contextlib.contextmanager
def refused(tensors: Sequence[torch.Tensor]) -> Iterator[None]:
    """Turn errors about an input into the library's own."""
    try:
        yield
    except (VisError, torch.OutOfMemoryError):
        raise
    except _REFUSALS as error:
        lines = str(error).strip().splitlines()
        reason = lines[0].strip().removesuffix(".") if lines else "PyTorch gives no reason"
        if isinstance(error, IndexError):
            whole = [tensor for tensor in tensors if not tensor.is_floating_point() and tensor.numel()]
            ranges = [f"{int(tensor.min())} to {int(tensor.max())}" for tensor in whole]
            reason += f"; the tokens or categories are in the range {', '.join(ranges)}" if ranges else ""
        raise InputError(
            f"The model cannot run on an input of shape {tuple(tensors[0].shape)}: {reason}."
        ) from error
