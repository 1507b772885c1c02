"""Class activation maps: the feature maps of a layer, weighted by their effect on the score."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import class_maps, models
from vis.attributions.base import Attribution, Explainer, path_in
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.models import Weighted
from vis.typing import Layer


class LayerMap(Explainer):
    """A map over the positions of a layer."""

    has_channels = False
    upsample = True

    def _choose(self, conv_layer: Layer | None, grid: tuple[int, int] | None) -> None:
        """Note the layer."""
        self.grid = class_maps.checked_grid(grid)
        self._named = None if conv_layer is None else models.find_layer(self.model, conv_layer)
        self.conv_layer = self._named
        if conv_layer is None and self.score.source.symbols is not None:
            points = [layer.point for layer in self._weighted([])]
            self.conv_layer = points[0] if len(points) == 1 else points

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "conv_layer": path_in(self.model, self._named)}

    def empty(self, arrays: Arrays) -> Arrays:
        laid = class_maps.Laid(arrays, self.upsample)
        for layer in self._weighted(arrays):
            laid.add_empty(layer)
        return laid.result(trailing=True)

    def covered(self, arrays: Arrays) -> list[int]:
        over = {index for layer in self._weighted(self.score.begin(arrays)) for index in layer.over}
        return [*over] if len(over) == 1 else super().covered(arrays)

    def _weighted(self, arrays: Arrays) -> list[Weighted]:
        """Return the layers for inputs of the sizes of `arrays`, or of those that the model tells."""
        source = self.score.source
        specs = source.sized(arrays) if arrays else source.specs([])
        with source.tried(specs):
            return class_maps.weighted_layers(
                source.anchor(), specs, self._named, self.score.layer, self.grid
            )


class ClassActivation(LayerMap):
    """A map over the positions of a layer, laid over the input that it sees; no value is negative.

    Each spatial position of the layer lies at the centre of its receptive field. Between these the map is
    interpolated linearly; outside the outermost ones it is constant as far as their receptive fields reach,
    and zero where the layer sees nothing.

    Args:
        model, output_layer, batch_size, operator, backprop_modifier, output_layer_index, fold_layers: see
            `Explainer`.
        conv_layer: the layer whose feature maps are weighted, named as `output_layer`; None for the last one
            before the output that every path from the input crosses and whose output has more than one
            position, for each input that has positions.
        grid: `(height, width)` of the tokens of a transformer, for a model whose computation does not show
            it. These tokens come last, after class and register tokens.
        upsample: whether the map is laid over the input; if False, it has a value for each of the layer's own
            positions, in the order of the layer's axes.

    Returns from `explain`:
        `(N, H, W, 1)`, `(N, T, 1)` or `(N, D, H, W, 1)`; with `upsample=False`, `(N, h, w, 1)` and likewise,
        for a layer of h x w positions. If the layer sees several inputs, or several inputs with positions
        have a layer each, a map per input in their structure, with zeros for an input without positions.

    Raises:
        LayerError: if no layer has positions, or those of the named layer do not lie over an input.
        InputError: if `grid` is invalid.

    Warns:
        StretchedMapWarning: if an operation between the input and the layer could not be followed.
    """

    empty_because = "the weighted sum of the features is negative everywhere"
    empty_attempts: tuple[str, ...] = ("another conv_layer",)

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        conv_layer: Layer | None = None,
        backprop_modifier: BackpropModifierLike = None,
        output_layer_index: Layer | None = None,
        fold_layers: bool = False,
        *,
        grid: tuple[int, int] | None = None,
        upsample: bool = True,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, backprop_modifier, None, fold_layers)
        self._set_up(batch_size, None)
        self._choose(conv_layer, grid)
        self.upsample = bool(upsample)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        laid = class_maps.Laid(arrays, self.upsample)
        found, evaluated = class_maps.weighted(self.score, self._weighted(arrays), arrays, targets)
        for layer, gradient, features in found:
            laid.add(layer, gradient, features, self.heat)
        return Attribution(laid.result(trailing=True), evaluated.scores, *evaluated.outputs)

    @abstractmethod
    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the map over the positions, `(batch, ...)`, before its negative values become 0.

        Args:
            gradient: of the score with respect to the features, `(batch, ..., channels)`.
            features: the output of the layer, of the same shape.
        """


class GradCAM(ClassActivation):
    """Grad-CAM: `max(sum_k a_k A_k, 0)`, `a_k = mean_p dS / dA_k(p)`.

    Where a `Dense` follows the flattened positions, the mean over them says little, and the map may be zero
    everywhere: take `HiResCAM` there.

    Args: see `ClassActivation`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """

    empty_attempts = ("HiResCAM, which gives each position weights of its own", "another conv_layer")

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return class_maps.grad_cam(gradient, features)


class GradCAMPlusPlus(ClassActivation):
    """Grad-CAM++: `max(sum_k w_k A_k, 0)`, `w_k = sum_p a_k(p) max(g_k(p), 0)`.

    `a = g^2 / (2 g^2 + g^3 sum_p A)`, or 0 where `g = 0`, with `g = dS / dA`: the closed form for the
    exponential of the score.

    Args: see `ClassActivation`.

    Reference:
        Chattopadhay et al.: Grad-CAM++, 2018, equation (19).
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        positions = tuple(range(1, gradient.ndim - 1))
        # Divided by g^2 on both sides, so that small gradients do not vanish in their powers.
        below = 2 + gradient * features.sum(axis=positions, keepdims=True)
        alphas = np.divide(1, below, out=np.zeros_like(below), where=(gradient != 0) & (below != 0))
        weights = (alphas * np.maximum(gradient, 0)).sum(axis=positions, keepdims=True)
        return np.asarray((weights * features).sum(axis=-1))


class LayerCAM(ClassActivation):
    """LayerCAM: `max(sum_k max(dS / dA_k, 0) A_k, 0)`, position by position: detail in early layers.

    Args: see `ClassActivation`.

    Reference:
        Jiang et al.: LayerCAM: Exploring Hierarchical Class Activation Maps for Localization, 2021.
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray((np.maximum(gradient, 0) * features).sum(axis=-1))


class HiResCAM(ClassActivation):
    """HiResCAM: `max(sum_k dS / dA_k A_k, 0)`, position by position: where a layer raises the score.

    Where the score is linear in the layer's output, as if flattening and one dense layer follow, a value is
    what the position adds to it.

    Args: see `ClassActivation`.

    Reference:
        Draelos, Carin: Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural
        networks, 2020.
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray((gradient * features).sum(axis=-1))


class XGradCAM(ClassActivation):
    """XGrad-CAM: `max(sum_k a_k A_k, 0)`, `a_k = sum_p g_k(p) A_k(p) / sum_p A_k(p)`, with `g = dS / dA`.

    A channel whose sum is 0 counts nothing.

    Args: see `ClassActivation`.

    Reference:
        Fu et al.: Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs, 2020.
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        positions = tuple(range(1, gradient.ndim - 1))
        above = (gradient * features).sum(axis=positions, keepdims=True)
        below = features.sum(axis=positions, keepdims=True)
        weights = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
        return np.asarray((weights * features).sum(axis=-1))
