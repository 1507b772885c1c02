"""CS231n's saliency maps."""

from __future__ import annotations

import keras
import numpy.typing as npt

from vis import checks, models
from vis.attributions.gradient import Saliency
from vis.typing import Map


def compute_saliency_maps(X: npt.ArrayLike, y: npt.ArrayLike, model: keras.Model) -> Map:
    """Return a saliency map of the correct class of each image: `max_c |dS_y / dx_c|`.

    `S` are the class scores before a softmax, the logits.

    Args:
        X: images, `(N, H, W, C)`.
        y: their classes, `(N,)`, counted from 0.
        model: a Keras model that returns `(N, classes)`. It is not changed.

    Returns:
        `(N, H, W)` float32, not normalised.

    Raises:
        InputError, FilterError, ModelError: see `vis.errors`.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3.1.
    """
    maps: Map = Saliency(models.linear_outputs(model)).explain(checks.array(X), y)
    return maps[..., 0] if maps.ndim == 4 else maps
