"""The base class of input modifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis.parameterizations import RandomAffine
from vis.reprs import TypedRepr


class InputModifier(TypedRepr):
    """Changes the input before and after each step of the optimizer: override `pre`, `post` or both.

    Or set `transformation`, which each step applies to what the model sees and differentiates through, so
    that the optimized values themselves are not interpolated over and over.

    ```python
    class Clip(InputModifier):
        def post(self, inp):
            return np.clip(inp, 0, 255)
    ```

    Both take an array with its batch axis and return one of the same shape; neither changes its argument.
    Store each argument of `__init__` in an attribute of the same name, so that the `repr` shows it.

    Attributes:
        transformation: a `vis.parameterizations.RandomAffine`, or None.
        random: the generator that it draws from, or a seed, for the same numbers in each descent; None for
            the generator of the optimizer's `seed`.
    """

    transformation: RandomAffine | None = None
    random: int | np.random.Generator | None = None

    def pre(self, inp: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the input that the step starts from; `inp` itself by default.

        Args:
            inp: `(samples, image axes..., channels)` or `(samples, channels, image axes...)`.
        """
        return inp

    def post(self, inp: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the input that the step ends with; `inp` itself by default.

        Args:
            inp: `(samples, image axes..., channels)` or `(samples, channels, image axes...)`.
        """
        return inp
