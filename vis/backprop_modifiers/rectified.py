"""Rectified backpropagation, the deconvolutional network's."""

from typing import Any

from keras import ops

from vis.backprop_modifiers.base import register


@register("rectified", "relu", "deconv")
def rectified(x: Any, y: Any, incoming: Any, true: Any) -> Any:
    """Pass on the positive part of what comes in, whatever the activation's input was.

    `R = max(R_in, 0)`.

    Args:
        x: the activation's input, any shape.
        y: its output.
        incoming: the gradient with respect to y.
        true: the gradient with respect to x by the true derivative.

    Reference:
        Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014, section 2.1.
    """
    return ops.relu(incoming)
