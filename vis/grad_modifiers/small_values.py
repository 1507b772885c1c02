"""Small gradients made large."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vis.grad_modifiers.base import register
from vis.grad_modifiers.invert import invert


@register("small_values")
def small_values(grads: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `1 / (|g| + e)`, the magnitude of `invert`: large where the output hardly depends on the input.

    Args:
        grads: gradients of any shape.
    """
    result: npt.NDArray[Any] = np.abs(invert(grads))
    return result
