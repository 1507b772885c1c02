"""What one would write by hand for one network, one shape and one class: the reference of each row.

    gradient(network, shape, index)         the gradient of the scores of a class by a batch of one shape
    variants(network, shape, index)         other ways to write the same gradient, by their names
    grad_cam(network, layer, shape, index)  the weighted sum of the feature maps of a layer, not enlarged
    forward(network, shape)                 the outputs for a batch of one shape
    device()                                the name of the device that the backend computes on
    peak()                                  the most bytes of a GPU that were in use, 0 without one

Each backend of Keras has its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BACKEND = keras.config.backend()
_chosen: Any = importlib.import_module(f"limits.{BACKEND}")

Run = Callable[[Array], Array]
gradient: Callable[[keras.Model, tuple[int, ...], int], Run] = _chosen.gradient
variants: Callable[[keras.Model, tuple[int, ...], int], dict[str, Run]] = _chosen.variants
grad_cam: Callable[[keras.Model, str, tuple[int, ...], int], Run] = _chosen.grad_cam
forward: Callable[[keras.Model, tuple[int, ...]], Run] = _chosen.forward
device: Callable[[], str] = _chosen.device
peak: Callable[[], int] = _chosen.peak


def largest(found: Array) -> Array:
    """Return the maximum over the channels of the absolute gradient, `(N, H, W, 1)`."""
    maps: Array = np.abs(found).max(axis=-1, keepdims=True)
    return maps
