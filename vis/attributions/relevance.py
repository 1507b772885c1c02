"""Layer-wise relevance propagation for batches and data sets."""

from __future__ import annotations

from typing import Any

import keras

from vis.attributions.gradient import GradientExplainer
from vis.attributions.operators import OperatorLike
from vis.backprop_modifiers import BackpropModifier
from vis.relevance import composites
from vis.relevance.composites import Composite, CompositeLike
from vis.typing import Layer
from vis.words import Reducer


class LRP(GradientExplainer):
    """How much of the score each value of an input accounts for, by rules for each operation of the model.

    Relevance starts at the explained output, as `y dS/dy`, and each operation shares what arrives among its
    inputs. For most rules the relevance of a sample adds up to its score, less what biases take; see
    `conservation`.

    Args:
        model, output_layer, batch_size, operator, output_layer_index, wrt: see `Explainer`.
        composite: which operation follows which rule: the name of a composite (`"epsilon_plus"`,
            `"epsilon_plus_flat"`, `"epsilon_gamma_box"`, `"epsilon_alpha2_beta1_flat"`, `"deep_taylor"`,
            `"excitation"`, `"attn_lrp"`, `"cp_lrp"`), the name of a rule for all affine layers, a
            `vis.relevance.Composite`, or a list of pairs `(where, rule)`.
        reducer: how the channels of an image become one; the sum keeps the total.

    Raises:
        ModifierError: if the composite is unknown.

    Warns:
        PartialOverrideWarning: if relevance passes operations that no rule is made for.

    Reference:
        Bach et al.: On Pixel-Wise Explanations by Layer-Wise Relevance Propagation, 2015.
    """

    def __init__(
        self,
        model: keras.Model,
        composite: CompositeLike = "epsilon_plus",
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "sum",
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
    ) -> None:
        self._flow(
            model,
            composites.get(composite),
            output_layer,
            output_layer_index,
            operator,
            wrt,
            batch_size,
            reducer,
        )

    def _flow(
        self,
        model: keras.Model,
        composite: Composite,
        output_layer: Layer | None,
        output_layer_index: Layer | None,
        operator: OperatorLike,
        wrt: Layer | None,
        batch_size: int | None,
        reducer: Reducer | None,
    ) -> None:
        modifier = BackpropModifier(composite.name, composite)
        self._ask(model, output_layer, output_layer_index, operator, modifier, wrt, False)
        self._set_up(batch_size, reducer)
        self.composite = composite

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "composite": composites.name_of(self.composite) or self.composite}
