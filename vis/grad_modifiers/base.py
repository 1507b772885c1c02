"""The registry of gradient modifiers: pure functions of an array, applied to the gradient after backprop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from vis.errors import ModifierError
from vis.foreign import called, foreign_arrays
from vis.registry import Registry
from vis.words import GradModifierName

GradModifier: TypeAlias = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
# What an option `grad_modifier` takes.
GradModifierLike: TypeAlias = GradModifierName | str | GradModifier | None
F = TypeVar("F", bound=GradModifier)


def _wrap(thing: Any, name: str) -> GradModifier:
    if not callable(thing):
        raise TypeError("a gradient modifier is a function from an array to an array of the same shape")
    modifier: GradModifier = thing
    return modifier


_registry: Registry[GradModifier] = Registry("gradient modifier", _wrap)
names = _registry.names


def name_of(modifier: GradModifier) -> str | GradModifier | None:
    """Return what `get` takes for a gradient modifier: None, its name, or itself."""
    return None if modifier is identity else _registry.name_of(modifier) or modifier


def register(*names: str) -> Callable[[F], F]:
    """Return a decorator that registers a gradient modifier under each of `names` and returns it.

    Raises:
        ModifierError: if a name is taken by another one, or it is not a function.
    """
    return cast("Callable[[F], F]", _registry.register(*names))


def get(identifier: GradModifierLike) -> GradModifier:
    """Return the gradient modifier for a name, a function, or None (which changes nothing).

    Raises:
        ModifierError: if the name is unknown; the valid ones and the nearest are listed.
    """
    return identity if identifier is None else _registry.get(identifier)


def identity(grads: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the gradient unchanged."""
    return np.asarray(grads)


def applied(modify: GradModifier, gradient: npt.NDArray[Any], spare: bool = False) -> npt.NDArray[Any]:
    """Return a gradient changed by a gradient modifier.

    Args:
        modify: the gradient modifier.
        gradient: the gradient.
        spare: whether the gradient may be written to, so that it need not be copied.

    Raises:
        ModifierError: if the result has another shape or is not finite, or the modifier is not written in
            NumPy.
    """
    with foreign_arrays("The gradient modifier", modify, ModifierError, "numpy"):
        modified = np.asarray(modify(gradient if spare else gradient.copy()))
    if modified.dtype.kind not in "fiub":
        wrong = f"an array of type {modified.dtype}"
    elif modified.shape != gradient.shape:
        wrong = f"shape {modified.shape} instead of {gradient.shape}"
    elif not np.isfinite(modified).all():
        wrong = f"{np.count_nonzero(~np.isfinite(modified))} of {modified.size} values are NaN or infinite"
    else:
        return modified
    raise ModifierError(
        "A gradient modifier must return finite numbers in the shape of its input. Received from "
        f"{called(modify)}: {wrong}."
    )
