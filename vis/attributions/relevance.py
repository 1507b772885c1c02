"""Layer-wise relevance propagation for batches and data sets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from vis.attributions.asked import pick_of, targets_of
from vis.attributions.batches import watched
from vis.attributions.conservation import Conservation, balanced
from vis.attributions.gradient import GradientExplainer
from vis.attributions.operators import OperatorLike
from vis.backprop_modifiers import BackpropModifier
from vis.relevance import composites
from vis.relevance.composites import Composite, CompositeLike
from vis.typing import Data, Layer, Targets
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
        self.composite = composites.get(composite)
        modifier = BackpropModifier(self.composite.name, self.composite)
        self._ask(model, output_layer, output_layer_index, operator, modifier, wrt, False)
        self._set_up(batch_size, reducer)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), "composite": composites.name_of(self.composite) or self.composite}

    def conservation(self, inputs: Data, targets: Targets = None) -> Conservation:
        """Return what becomes of the relevance of each sample on its way from its score to its inputs.

        Args:
            inputs, targets: as `explain`; samples run one at a time.

        Raises:
            InputError, FilterError, LayerError, GradientError: as `explain`.
        """
        flow = Composite(self.composite.entries, self.composite.name, tells=True).of(self.model)
        score = replace(self.score.batched(), modifier=BackpropModifier(flow.name, flow))
        rows = []
        for arrays, given in watched(score.source, inputs, targets, 1, pick_of(score)):
            weights = targets_of(score, arrays, given)
            found = score.gradients(score.begin(arrays), weights)
            total = sum(float(each.sum(dtype="float64")) for each in found.gradients if each is not None)
            rows.append((float(found.scores[0]), total, found.told))
        return balanced(flow.sites, rows)


class _Composed(LRP):
    """Layer-wise relevance propagation with one composite."""

    _name: str

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "sum",
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
    ) -> None:
        super().__init__(
            model,
            self._name,
            output_layer,
            batch_size,
            operator,
            reducer,
            output_layer_index=output_layer_index,
            wrt=wrt,
        )


class ExcitationBackprop(_Composed):
    """Excitation backpropagation: relevance by what raises each output, `"z_plus"` for all affine layers.

    Args:
        model, output_layer, batch_size, operator, reducer, output_layer_index, wrt: see `LRP`.

    Reference:
        Zhang et al.: Top-Down Neural Attention by Excitation Backprop, 2016, section 3.2.
    """

    _name = "excitation"


class AttnLRP(_Composed):
    """Relevance for transformers: products of attention share equally, a softmax is expanded at its input.

    Args:
        model, output_layer, batch_size, operator, reducer, output_layer_index, wrt: see `LRP`.

    Reference:
        Achtibat et al.: AttnLRP: Attention-Aware Layer-Wise Relevance Propagation for Transformers, 2024.
    """

    _name = "attn_lrp"


class DeepTaylor(LRP):
    """Deep Taylor decomposition: `"z_plus"` everywhere, and for the first layers a rule for their inputs.

    Args:
        model, output_layer, batch_size, operator, reducer, output_layer_index, wrt: see `LRP`.
        low, high: the bounds of the inputs, such as 0 and 255 for pixels: the first layers then take the
            rule `"box"`, without them that of squared weights.

    Reference:
        Montavon et al.: Explaining Nonlinear Classification Decisions with Deep Taylor Decomposition, 2017.
    """

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "sum",
        low: float | None = None,
        high: float | None = None,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
    ) -> None:
        super().__init__(
            model,
            composites.deep_taylor(low, high),
            output_layer,
            batch_size,
            operator,
            reducer,
            output_layer_index=output_layer_index,
            wrt=wrt,
        )
        self.low, self.high = low, high
