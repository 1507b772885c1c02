"""Class activation maps: the places of a convolution, weighed by what they do for the score."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import maps, models
from vis.attributions.base import Attribution, Explainer
from vis.attributions.batches import Arrays
from vis.errors import GradientError, LayerError


class ClassActivation(Explainer):
    """A map over the places of a layer, laid over the input by linear interpolation; no value is negative.

    Args:
        model, output_layer, batch_size, operator, backprop_modifier, fold_layers: see
            `Explainer`.
        conv_layer: the layer whose places are weighed, named as `output_layer`; None for the
            nearest convolution or pooling layer before the output.

    Returns from `explain`:
        `(N, H, W, 1)`, `(N, T, 1)` or `(N, D, H, W, 1)`, whatever the number of inputs.

    Raises:
        LayerError: if the layer has no places, or no input has as many axes of them.
    """

    has_channels = False

    def __init__(
        self,
        model: Any,
        output_layer: Any = None,
        batch_size: int | None = 64,
        operator: Any = None,
        conv_layer: Any = None,
        backprop_modifier: Any = None,
        output_layer_index: Any = None,
        fold_layers: bool = False,
    ) -> None:
        super().__init__(
            model,
            output_layer,
            batch_size,
            operator,
            None,
            backprop_modifier,
            output_layer_index,
            fold_layers=fold_layers,
        )
        if conv_layer is not None:
            self.conv_layer = models.find_layer(model, conv_layer)
        else:
            original, _ = models.unmodified(model)
            end = models.operation_of(self.score.layer or original.layers[-1])
            self.conv_layer = models.spatial_layer_before(original, end, "conv_layer")

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        found = self.score.gradients(arrays, targets, self.conv_layer)
        (gradient,), (features,) = found.gradients, found.values
        if gradient is None:
            raise GradientError(f"No path leads from the score to the layer {self.conv_layer.name!r}.")
        if gradient.ndim < 3:
            raise LayerError(
                f"The layer {self.conv_layer.name!r} has no places: its output has the shape "
                f"{features.shape[1:]}. Choose a convolution or pooling layer."
            )
        channels = models.filter_axis(self.conv_layer, gradient.ndim)
        heat = self.heat(
            np.moveaxis(gradient.astype(np.float64), channels, -1),
            np.moveaxis(features.astype(np.float64), channels, -1),
        )
        heat = np.maximum(heat, 0)
        large = maps.upsample(heat, (len(heat), *self._places(arrays, gradient.ndim)))
        return Attribution([large[..., None]], found.scores)

    def empty(self, arrays: Arrays) -> Arrays:
        shape = models.output_shape(self.conv_layer)
        rank = max(array.ndim for array in arrays) if shape is None else len(shape)
        return [np.zeros((0, *self._places(arrays, rank), 1))]

    @abstractmethod
    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the map over the places, `(batch, ...)`, before what is negative is cut off.

        Args:
            gradient: of the score by the features, `(batch, ..., channels)`.
            features: the output of the layer, of the same shape.
        """

    def _places(self, arrays: Arrays, rank: int) -> tuple[int, ...]:
        places = self.score.source.places(arrays, rank)
        if places is not None:
            return places
        raise LayerError(
            f"The layer {self.conv_layer.name!r} has {rank - 2} axes of places, and no input has as many. "
            f"Received: inputs {[array.shape[1:] for array in arrays]}. Choose a layer with those of one."
        )


class GradCAM(ClassActivation):
    """Grad-CAM: `max(sum_k a_k A_k, 0)`, `a_k = mean_p dS / dA_k(p)`.

    Args: see `ClassActivation`.

    Reference:
        Selvaraju et al.: Grad-CAM, 2017, equations (1) and (2).
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        weights = gradient.mean(axis=tuple(range(1, gradient.ndim - 1)), keepdims=True)
        return np.asarray((weights * features).sum(axis=-1))


class GradCAMPlusPlus(ClassActivation):
    """Grad-CAM++: `max(sum_k w_k A_k, 0)`, `w_k = sum_p a_k(p) max(g_k(p), 0)`.

    `a = g^2 / (2 g^2 + g^3 sum_p A)`, 0 where `g` is, with `g = dS / dA`: the closed form for the
    exponential of the score.

    Args: see `ClassActivation`.

    Reference:
        Chattopadhay et al.: Grad-CAM++, 2018, equation (19).
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        places = tuple(range(1, gradient.ndim - 1))
        # Divided by g^2 on both sides, so that small gradients do not vanish in their powers.
        below = 2 + gradient * features.sum(axis=places, keepdims=True)
        alphas = np.divide(1, below, out=np.zeros_like(below), where=(gradient != 0) & (below != 0))
        weights = (alphas * np.maximum(gradient, 0)).sum(axis=places, keepdims=True)
        return np.asarray((weights * features).sum(axis=-1))


class LayerCAM(ClassActivation):
    """LayerCAM: `max(sum_k max(dS / dA_k, 0) A_k, 0)`, place by place, which keeps detail in early layers.

    Args: see `ClassActivation`.

    Reference:
        Jiang et al.: LayerCAM: Exploring Hierarchical Class Activation Maps for Localization, 2021.
    """

    def heat(self, gradient: npt.NDArray[Any], features: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray((np.maximum(gradient, 0) * features).sum(axis=-1))
