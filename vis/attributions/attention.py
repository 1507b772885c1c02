"""Explanations by attention: which tokens the score takes from, through all layers of a transformer."""

from __future__ import annotations

import threading
from abc import abstractmethod
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import class_maps, models
from vis.attributions.base import Attribution, Explainer
from vis.attributions.batches import Arrays
from vis.attributions.operators import OperatorLike
from vis.backprop_modifiers import BackpropModifier
from vis.engine import Differentiation, Score
from vis.errors import LayerError
from vis.graph import Geometry, Positions, tokens_of
from vis.relevance import attention
from vis.relevance.attention import AttentionFlow, Attentions
from vis.typing import Layer
from vis.weak import WeakTable

# By the graph that was read: the path of the first attention, and where its keys lie in the inputs.
_found: WeakTable[tuple[str, dict[int, Positions]]] = WeakTable()
_lock = threading.Lock()


class AttentionMap(Explainer):
    """A map over the tokens of a transformer, laid over the input that they come from.

    Attention is found in the computation: products with the weights of a softmax over what they sum over,
    in any number of heads, in order, as far as the score depends on them. Each is a layer; those side by
    side count as heads of one. The layers are joined by a matrix each, `M_l`, `(tokens, tokens)`, and the map
    is `w M_L ... M_1`. The weights `w` of the rows of the last layer are proportional to the size of the
    gradient of the score by what its attention makes for each token, `w_q = |dS/do_q| / sum_p |dS/do_p|`:
    the class token's row alone if the score depends on that alone, all rows behind an average, that of the
    last position for a decoder's next token. No value is negative.

    Args:
        model, output_layer, batch_size, operator, output_layer_index: see `Explainer`.
        wrt: the layer that makes the tokens, such as an embedding, named as `output_layer`; None for the
            inputs, and for the first layer that makes numbers of them if these are all integers.
        grid: `(height, width)` of the tokens of a picture, for a model whose computation does not show it.
            These tokens come last, after class and register tokens.

    Returns from `explain`:
        `(N, H, W, 1)` for pictures: each token of a patch lies at its centre, with linear interpolation
        between them; class and register tokens are left out. `(N, T)` for tokens given as integers,
        `(N, T, 1)` for series and with `wrt`.

    Raises:
        LayerError: if there is no attention, or its tokens cannot be followed.

    Warns:
        PartialOverrideWarning: if attention may be hidden in operations whose inside is not seen.
        StretchedMapWarning: if an operation between the input and the first attention could not be followed.
    """

    has_channels = False

    @property
    @abstractmethod
    def _flow(self) -> AttentionFlow:
        """What joins the layers."""

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        *,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        grid: tuple[int, int] | None = None,
    ) -> None:
        modifier = BackpropModifier(self._flow.name, self._flow)
        self._ask(model, output_layer, output_layer_index, operator, modifier, wrt, False)
        self._set_up(batch_size, None)
        self.grid = class_maps.checked_grid(grid)

    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        score, begun = self._begun(arrays)
        laid = class_maps.Laid(score.explained(begun))
        name, over = self._tokens(score, begun)
        found = score.gradients(begun, targets)
        for index, positions in over.items():
            rows = found.gradients[index]
            assert rows is not None  # noqa: S101 - each source has the same
            laid.place(name, index, positions.moved(rows.astype(np.float64))[..., 0], positions)
        return Attribution(laid.result(trailing=score is self.score), found.scores, *found.outputs)

    def empty(self, arrays: Arrays) -> Arrays:
        score, begun = self._begun(arrays)
        laid = class_maps.Laid(score.explained(begun))
        for index, positions in self._tokens(score, begun)[1].items():
            laid.add_nothing(index, positions)
        return laid.result(trailing=score is self.score)

    def covered(self, arrays: Arrays) -> list[int]:
        score, begun = self._begun(arrays)
        over = self._tokens(score, begun)[1]
        if score.wrt is not None:  # the layer's own axes, not an input's
            return super().covered(arrays)
        return [*over] if len(over) == 1 else super().covered(arrays)

    def _begun(self, arrays: Arrays) -> tuple[Differentiation[Score], Arrays]:
        """Return the score and what it depends on: by a layer, if all inputs are integers."""
        score = self.score
        if score.wrt is not None or any(array.dtype.kind not in "iu" for array in score.explained(arrays)):
            return score, arrays
        path = models.first_float_layer(models.unmodified(self.model)[0])
        if path is None:
            return score, arrays
        score = replace(score, wrt=models.find_layer(self.model, path))
        return score, score.begin(arrays[: score.inputs])

    def _tokens(self, score: Differentiation[Score], begun: Arrays) -> tuple[str, dict[int, Positions]]:
        """Return the path of the first attention, and where its keys lie in each array that is explained.

        Raises:
            LayerError: if there is none, or they lie in none.
        """
        source = score.source
        begun = [array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype) for array in begun]
        specs = source.sized(begun[: score.inputs])
        points = (models.lasting(point) for point in (score.wrt, score.layer))
        key = (*((id(thing), which) for thing, which in points), self.grid)
        with _lock, source.tried(specs):
            graph = models.read(source.anchor(), specs)
            found = _found.get([graph], key)
            if found is None:
                reading = models.Reading(models.unmodified(source.anchor())[0], graph)
                sources = reading.sources(score.wrt)
                (first, *_), *_ = Attentions(graph, sources, reading.ends(score.layer)).layers
                over = {}
                for index, value in enumerate(sources):
                    channels = reading.channels(index, score.wrt)
                    positions = tokens_of(
                        Geometry(graph, value), first.signal, first.axis, channels, self.grid
                    )
                    if positions is not None:
                        over[index] = positions
                found = _found.put([graph], (first.path, over), key)
        if not found[1]:
            shapes = [array.shape[1:] for array in score.explained(begun)]
            raise LayerError(
                f"The tokens of the attention {found[0]!r} cannot be followed to the input. Received: "
                f"grid={self.grid} and an input of shape {', '.join(map(str, shapes))}. For a picture, pass "
                "the rows and columns of its tokens, grid=(height, width); for others, name the layer that "
                "makes them as wrt."
            )
        return found


class AttentionRollout(AttentionMap):
    """Attention rollout: how much of each token reaches the score by attention alone, `w M_L ... M_1`.

    `M_l = (mean_h A_h + I) / 2`, with rows that add up to 1: the mean of the heads' attention weights, and
    the identity for the residual path. Where queries are not the keys' tokens, as in a last layer that pools
    them, `M_l = mean_h A_h`. The score decides only which rows count. The tokens of a sample, with those that
    are left out, add up to 1.

    Args, returns, raises and warns: see `AttentionMap`.

    Reference:
        Abnar, Zuidema: Quantifying Attention Flow in Transformers, 2020, equation (1) and section 3.
    """

    _flow = attention.ROLLOUT


class AttentionRelevance(AttentionMap):
    """Relevance by attention and its gradient: which tokens raise the score, `w M_L ... M_1`.

    `M_l = I + mean_h max(A_h dS/dA_h, 0)`: attention weights times the gradient of the score by them, as far
    as they raise it, and the identity for the residual path, which is left out where queries are not the
    keys' tokens. This is the rule of self-attention, `R <- M_l R`, for the rows that the score depends on.

    Args, returns, raises and warns: see `AttentionMap`.

    Reference:
        Chefer, Gur, Wolf: Generic Attention-model Explainability for Interpreting Bi-Modal and
        Encoder-Decoder Transformers, 2021, equations (5) and (6).
    """

    _flow = attention.GRADIENT_ROLLOUT
