"""Rectified backpropagation, the rule of deconvolutional networks."""

from keras import ops

from vis.backprop_modifiers.base import register
from vis.typing import Tensor


@register("rectified", "relu", "deconv")
def rectified(x: Tensor, y: Tensor, grad: Tensor, true_grad: Tensor) -> Tensor:
    """Pass on the positive part of the gradient by the output, regardless of the activation's input.

    `R = max(grad, 0)`.

    Args:
        x: the activation's input, any shape.
        y: its output.
        grad: the gradient by y.
        true_grad: the gradient by x that the true derivative gives.

    Reference:
        Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014, section 2.1.
    """
    return ops.relu(grad)
