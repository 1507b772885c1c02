"""The opposite sign."""

from typing import Any

import numpy as np
import numpy.typing as npt

from vis.grad_modifiers.base import register


@register("negate")
def negate(grads: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return `-g`: positive where a larger input lowers the output.

    Args:
        grads: gradients of any shape.
    """
    result: npt.NDArray[Any] = np.negative(np.asarray(grads))
    return result
