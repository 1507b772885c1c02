"""Guided backpropagation."""

from typing import Any

from vis import backend
from vis.backprop_modifiers.base import register


@register("guided")
def guided(x: Any, y: Any, incoming: Any, true: Any) -> Any:
    """Pass on the true gradient of the positive part of what comes in.

    `R = f'(x) max(R_in, 0)`; for a ReLU: what comes in where it is positive and x is positive, else 0.

    Args:
        x: the activation's input, any shape.
        y: its output.
        incoming: the gradient with respect to y.
        true: the gradient with respect to x by the true derivative.

    Reference:
        Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity, 2015, section 3.4.
    """
    return backend.where_positive(incoming, true)
