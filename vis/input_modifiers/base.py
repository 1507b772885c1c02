"""What an input modifier is."""

from __future__ import annotations

from typing import Any


class InputModifier:
    """Changes the input before and after each step of the optimizer: override `pre`, `post` or both.

    ```python
    class Clip(InputModifier):
        def post(self, inp):
            return np.clip(inp, 0, 255)
    ```

    Both take an array with its batch axis and return one of the same shape; neither changes its argument.
    """

    def pre(self, inp: Any) -> Any:
        """Return the input that the step starts from; `inp` itself by default.

        Args:
            inp: `(samples, image axes..., channels)` or `(samples, channels, image axes...)`.
        """
        return inp

    def post(self, inp: Any) -> Any:
        """Return the input that the step ends with; `inp` itself by default.

        Args:
            inp: `(samples, image axes..., channels)` or `(samples, channels, image axes...)`.
        """
        return inp
