"""The positive part."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vis.grad_modifiers.base import register


@register("relu")
def relu(grads: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `max(g, 0)`: positive where a larger input raises the output, and zero elsewhere.

    Args:
        grads: gradients of any shape.
    """
    result: npt.NDArray[Any] = np.maximum(np.asarray(grads), 0)
    return result
