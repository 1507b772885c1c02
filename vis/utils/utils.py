"""Helpers under the names that keras-vis gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from vis.errors import LayerError
from vis.maps import deprocess_input, normalize
from vis.models import find_layer, linear_outputs, shared_copy
from vis.utils.helpers import add_defaults_to_kwargs, listify, random_array, reverse_enumerate, slicer
from vis.utils.labels import lookup_imagenet_labels
from vis.utils.pictures import bgr2rgb, draw_text, get_img_shape, load_img, stitch_images


def find_layer_idx(model: keras.Model, layer_name: str) -> int:
    """Return the index in `model.layers` of the layer with a given name.

    Raises:
        LayerError: if the model has no such layer (the nearest names are listed), or if it is in a nested
            model, which gives it no index.
    """
    layer = find_layer(model, layer_name)
    for index, candidate in enumerate(model.layers):
        if candidate is layer:
            return index
    raise LayerError(
        f"The layer {layer_name!r} is inside a nested model, so it has no index in {model.name!r}. "
        "Pass its path wherever an argument takes a layer."
    )


def apply_modifications(model: keras.Model, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Return a copy of `model` that uses the current activations of its layers.

    ```python
    model.layers[-1].activation = keras.activations.linear
    model = apply_modifications(model)
    ```

    The copy shares every variable with `model`. An activation that is assigned later changes only one of
    them. Nothing is saved or loaded.

    Args:
        model: a Keras model.
        custom_objects: accepted as in keras-vis, but ignored, since nothing is deserialized.
    """
    return shared_copy(model)


__all__ = [
    "add_defaults_to_kwargs",
    "apply_modifications",
    "bgr2rgb",
    "deprocess_input",
    "draw_text",
    "find_layer_idx",
    "get_img_shape",
    "linear_outputs",
    "listify",
    "load_img",
    "lookup_imagenet_labels",
    "normalize",
    "random_array",
    "reverse_enumerate",
    "slicer",
    "stitch_images",
]
