"""Counting filters."""

from __future__ import annotations

import keras

from vis.errors import LayerError
from vis.models import filter_axis, output_shape


def get_num_filters(layer: keras.Layer) -> int:
    """Return the number of filters (units, channels) in a layer's output.

    Args:
        layer: a layer of a functional or built sequential model.

    Raises:
        LayerError: if the layer has no symbolic output, or an unknown number of filters.
    """
    shape = output_shape(layer)
    if shape is None:
        raise LayerError(
            f"The filters of {getattr(layer, 'name', layer)!r} cannot be counted: it has no symbolic output. "
            "Pass a layer that is called once in a built model."
        )
    count = shape[filter_axis(layer, len(shape))]
    if count is None:
        raise LayerError(f"The layer {layer.name!r} has an unknown number of filters: its output is {shape}.")
    return int(count)
