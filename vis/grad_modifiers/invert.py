"""The reciprocal."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis.grad_modifiers.base import register


@register("invert")
def invert(grads: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `1 / (g + s(g) e)`: large where the gradient is small, with its sign.

    `s(g)` is -1 for negative g and 1 otherwise, `e` is `keras.config.epsilon()` (1e-7 by default): as
    the epsilon has the gradient's own sign, the denominator is never zero, and |result| <= 1 / e.

    Args:
        grads: gradients of any shape.
    """
    g = np.asarray(grads)
    g = g.astype(np.result_type(g.dtype, np.float32), copy=False)
    epsilon = g.dtype.type(keras.config.epsilon())
    return np.asarray(1 / (g + np.where(g < 0, -epsilon, epsilon)))
