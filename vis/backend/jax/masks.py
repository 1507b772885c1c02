"""The masks that Keras passes along with tensors.

Arrays of JAX have no attributes, so Keras keeps their masks elsewhere. A layer is the public way to read and
to set them.
"""

from __future__ import annotations

from typing import Any

import jax
import keras


class _Reading(keras.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="reading", autocast=False)
        self.supports_masking = True
        self.found: Any = None

    def call(self, x: Any, mask: Any = None) -> Any:
        self.found = mask
        return x


class _Setting(keras.Layer):  # type: ignore[misc]
    def __init__(self, mask: Any) -> None:
        super().__init__(name="setting", autocast=False)
        self.mask = mask

    def call(self, x: Any) -> Any:
        return jax.numpy.copy(x)

    def compute_mask(self, x: Any, previous: Any) -> Any:
        return self.mask


def mask_of(tensor: Any) -> Any:
    """Return the mask that Keras passes along with a tensor, or None."""
    if not isinstance(tensor, jax.Array):
        return getattr(tensor, "_keras_mask", None)
    reading = _Reading()
    reading(tensor)
    return reading.found


def masked(tensor: Any, mask: Any) -> Any:
    """Return a tensor with this mask; without it, the tensor itself."""
    return tensor if mask is None or mask_of(tensor) is mask else _Setting(mask)(tensor)
