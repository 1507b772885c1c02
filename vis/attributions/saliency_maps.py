"""CS231n's saliency maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from vis import models
from vis.attributions.gradient import Saliency


def compute_saliency_maps(X: Any, y: Any, model: Any) -> npt.NDArray[np.float32]:
    """Return a saliency map of the correct class of each image: `max_c |dS_y / dx_c|`.

    `S` are the unnormalised scores: of a model that ends in a softmax, what comes before it.

    Args:
        X: images, `(N, H, W, C)`.
        y: their classes, `(N,)`, from 0.
        model: a Keras model that gives `(N, classes)`. It is not changed.

    Returns:
        `(N, H, W)` float32, not normalised.

    Raises:
        InputError, FilterError, ModelError: see `vis.errors`.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3.1.
    """
    maps: npt.NDArray[np.float32] = Saliency(models.linear_outputs(model)).explain(X, y)
    return maps[..., 0] if maps.ndim == 4 else maps
