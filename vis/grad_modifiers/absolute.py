"""Magnitude."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vis.grad_modifiers.base import register


@register("absolute")
def absolute(grads: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return the magnitudes, `|g|`: large where a change of the input raises or lowers the output most.

    Args:
        grads: gradients of any shape.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3.1.
    """
    result: npt.NDArray[Any] = np.abs(np.asarray(grads))
    return result
