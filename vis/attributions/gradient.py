"""Explanations by the gradient of the score with respect to the inputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import grad_modifiers
from vis.attributions.asked import warn_of_lost_signs
from vis.attributions.base import Attribution, Explainer
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.backprop_modifiers.base import BackpropModifierLike
from vis.grad_modifiers.base import GradModifierLike, name_of
from vis.typing import Layer
from vis.words import BackpropModifierName, Reducer


class GradientExplainer(Explainer):
    """Explains the score of each sample by its gradient with respect to the inputs, `g = dS / dx`."""

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        found = self.score.gradients(arrays, targets)
        arrays = self.score.explained(arrays)
        pairs = zip(found.gradients, arrays, strict=True)
        gradients = [np.zeros_like(array, np.float32) if g is None else g for g, array in pairs]
        return Attribution(self.made_of(gradients, arrays), found.scores, *found.outputs)

    def made_of(self, gradients: Arrays, arrays: Arrays) -> Arrays:
        """Return the attributions for the gradients of a batch; the gradients themselves by default.

        Args:
            gradients: of each input, `(batch, ...)`.
            arrays: the inputs, of the same shapes.
        """
        return gradients


class Saliency(GradientExplainer):
    """How strongly each value of an input changes the score: `max_c |dS / dx_c|`.

    Args:
        model, output_layer, batch_size, operator, backprop_modifier, output_layer_index, wrt, fold_layers:
            see `Explainer`.
        reducer: how the channels of an image become one.
        grad_modifier: changes the gradient of each sample, see `vis.visualize_saliency`.

    Reference:
        Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2014, section 3.1.
    """

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "max",
        backprop_modifier: BackpropModifierLike = None,
        grad_modifier: GradModifierLike = "absolute",
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, backprop_modifier, wrt, fold_layers)
        self._set_up(batch_size, reducer)
        self.grad_modifier = grad_modifiers.get(grad_modifier)
        warn_of_lost_signs(self.score, self.grad_modifier)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "grad_modifier": name_of(self.grad_modifier)}

    def made_of(self, gradients: Arrays, arrays: Arrays) -> Arrays:
        # Sample by sample: a user's modifier may look at all that it is given. In place: a fresh array
        # of all samples costs more than what most modifiers do.
        for gradient in gradients:
            for number in range(len(gradient)):
                sample = gradient[number, ...]  # an array, if it has no axes too
                sample[...] = grad_modifiers.applied(self.grad_modifier, sample, spare=True)
        return gradients


class GradientInput(GradientExplainer):
    """What each value of an input contributes to the score, to first order: `x dS / dx`.

    Args: see `Explainer`.

    Reference:
        Shrikumar et al.: Not Just a Black Box, 2016.
    """

    multiplies = True

    def made_of(self, gradients: Arrays, arrays: Arrays) -> Arrays:
        return [gradient * array for gradient, array in zip(gradients, arrays, strict=True)]


class ModifiedGradient(GradientExplainer):
    """Explains by the gradient with one backprop modifier. Subclass it and name the modifier.

    Args:
        model, output_layer, batch_size, operator, reducer, output_layer_index, wrt, fold_layers: see
            `Explainer`.
    """

    modifier: BackpropModifierName | str

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "mean",
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, self.modifier, wrt, fold_layers)
        self._set_up(batch_size, reducer)


class DeconvNet(ModifiedGradient):
    """DeconvNet: the gradient `dS / dx` with the modifier `rectified` at each activation.

    Args: see `Explainer`.

    Reference:
        Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2014, section 2.
    """

    modifier = "rectified"


class GuidedBackprop(ModifiedGradient):
    """Guided backpropagation: the gradient `dS / dx` with the modifier `guided` at each activation.

    Args: see `Explainer`.

    Reference:
        Springenberg et al.: Striving for Simplicity, 2015.
    """

    modifier = "guided"
