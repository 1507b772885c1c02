"""What a rule returns for one activation, checked in the same way on every backend."""

from __future__ import annotations

from typing import Any

import keras

from vis.backend.contract import Rule
from vis.errors import ModifierError
from vis.foreign import defined, described, foreign_arrays, sizes


def ruled(rule: Rule, name: str, x: Any, y: Any, grad: Any, true_grad: Any) -> Any:
    """Return what a rule returns for an activation.

    Args:
        rule: the rule.
        name: the activation's name, for messages.
        x, y, grad, true_grad: what the rule takes.

    Raises:
        ModifierError: unless it is a tensor of floats of the shape of `x`.
    """
    with foreign_arrays("The rule", rule):
        gradient = rule(x, y, grad, true_grad)
    return checked(gradient, rule, name, x)


def checked(gradient: Any, rule: Rule, name: str, like: Any) -> Any:
    """Return what a rule has returned for an activation.

    Args:
        gradient: what it has returned.
        rule: the rule.
        name: the activation's name, for messages.
        like: a tensor of the shape of its input.

    Raises:
        ModifierError: unless it is a tensor of floats of the shape of `like`.
    """
    wrong = _wrong(gradient, like)
    if wrong is not None:
        raise ModifierError(
            "A rule(x, y, grad, true_grad) returns the gradient by x: a tensor of floats of the shape of "
            f"x, in keras.ops. Received from {defined(rule)} at the activation {name!r}: {wrong}. "
            "Write, for example, return keras.ops.where(grad > 0, true_grad, 0.0)."
        )
    return gradient


def _wrong(gradient: Any, like: Any) -> str | None:
    """Return what is wrong with what a rule returns for an activation's input, or None."""
    if not keras.ops.is_tensor(gradient):
        return described(gradient)
    dtype = keras.backend.standardize_dtype(gradient.dtype)
    if not keras.backend.is_float_dtype(dtype):
        return f"a tensor of type {dtype}"
    shapes = [tensor.shape for tensor in (gradient, like)]
    if any(getattr(shape, "rank", 0) is None for shape in shapes):  # unknown, in TensorFlow
        return None
    found, wanted = map(sizes, shapes)
    pairs = zip(found, wanted, strict=False)
    fits = len(found) == len(wanted) and all(a is None or b is None or a == b for a, b in pairs)
    return None if fits else f"a tensor of shape {found} for the shape {wanted}"
