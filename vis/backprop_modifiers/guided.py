"""Guided backpropagation."""

from vis import backend
from vis.backprop_modifiers.base import register
from vis.typing import Tensor


@register("guided")
def guided(x: Tensor, y: Tensor, grad: Tensor, true_grad: Tensor) -> Tensor:
    """Pass on the true gradient where the gradient by the output is positive, and zero elsewhere.

    `R = f'(x) max(grad, 0)`; for a ReLU: `grad` where both it and x are positive, else 0.

    Args:
        x: the activation's input, any shape.
        y: its output.
        grad: the gradient by y.
        true_grad: the gradient by x that the true derivative gives.

    Reference:
        Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity, 2015, section 3.4.
    """
    return backend.where_positive(grad, true_grad)
