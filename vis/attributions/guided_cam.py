"""Guided Grad-CAM: guided backpropagation where Grad-CAM is large."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import class_maps
from vis.attributions.base import Attribution, Explainer
from vis.attributions.batches import Arrays
from vis.attributions.cam import LayerMap
from vis.attributions.operators import OperatorLike
from vis.typing import Layer
from vis.words import Reducer


class GuidedGradCAM(LayerMap):
    """Guided Grad-CAM: `GuidedBackprop` times `GradCAM`, laid over the input: fine detail of one class.

    Args:
        model, output_layer, batch_size, operator, reducer, output_layer_index, fold_layers: see `Explainer`.
        conv_layer, grid: see `ClassActivation`.

    Returns from `explain`:
        As `GuidedBackprop`; zeros for an input that the layer does not see.

    Raises and warns: see `ClassActivation` and `GuidedBackprop`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, section 3.2.
    """

    has_channels = True

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "mean",
        conv_layer: Layer | None = None,
        *,
        output_layer_index: Layer | None = None,
        fold_layers: bool = False,
        grid: tuple[int, int] | None = None,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, "guided", None, fold_layers)
        self._set_up(batch_size, reducer)
        self._choose(conv_layer, grid)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        laid, layers = class_maps.Laid(arrays), self._weighted(arrays)
        plain = replace(self.score, modifier=None, tells=False)
        for layer, gradient, features in class_maps.weighted(plain, layers, arrays, targets)[0]:
            laid.add(layer, gradient, features, class_maps.grad_cam)
        guided = self.score.gradients(arrays, targets)
        maps = [np.zeros(array.shape, np.float32) for array in arrays[: self.score.inputs]]
        for layer in layers:
            for index, found in layer.over.items():
                own = guided.gradients[index]
                if own is not None:
                    maps[index] = own * class_maps.spread(laid.maps[index], found, own.ndim)
        return Attribution(maps, guided.scores, *guided.outputs)

    def covered(self, arrays: Arrays) -> list[int]:
        return Explainer.covered(self, arrays)

    def empty(self, arrays: Arrays) -> Arrays:
        return [np.zeros(array.shape) for array in arrays[: self.score.inputs]]
