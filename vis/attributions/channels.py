"""Class activation maps without a gradient: channels weighted by the scores of changed inputs or features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, class_maps
from vis.attributions.base import Attribution
from vis.attributions.batches import Arrays
from vis.attributions.cam import LayerMap
from vis.attributions.operators import OperatorLike
from vis.attributions.sampled import turns
from vis.engine import Differentiation, Score
from vis.errors import InputError
from vis.graph import Positions
from vis.typing import Layer

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Seen:
    """What a layer sees of one input.

    Args:
        arrays: what the explainer's score depends on, see `Differentiation.begin`.
        score: the score as a function of the layer's output.
        begun: what that depends on: the inputs, the layer's output, and so on.
        targets: of the batch.
        index: of the input.
        found: the positions over it.
        features: the layer's output at these positions, `(batch, *sizes, channels)`.
    """

    arrays: Arrays
    score: Differentiation[Score]
    begun: Arrays
    targets: Array
    index: int
    found: Positions
    features: Array


class ChannelActivation(LayerMap):
    """A class activation map that needs no gradient: `max(sum_k w_k A_k, 0)`, with a weight per channel.

    Args:
        model, output_layer, batch_size, operator, output_layer_index, fold_layers: see `Explainer`.
        conv_layer, grid, upsample: see `ClassActivation`.

    Returns, raises and warns: see `ClassActivation`.
    """

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        conv_layer: Layer | None = None,
        *,
        output_layer_index: Layer | None = None,
        fold_layers: bool = False,
        grid: tuple[int, int] | None = None,
        upsample: bool = True,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, None, None, fold_layers)
        self._set_up(batch_size, None)
        self._choose(conv_layer, grid)
        self.upsample = bool(upsample)

    def attribute(self, arrays: Arrays, targets: Array) -> Attribution:
        laid = class_maps.Laid(arrays, self.upsample)
        for layer in self._weighted(arrays):
            score = replace(self.score, wrt=layer.point)
            begun = score.begin(arrays[: score.inputs])
            (values,) = score.explained(begun)
            for index, found in layer.over.items():
                features = found.moved(values.astype(np.float64))
                weights = self.weights(Seen(arrays, score, begun, targets, index, found, features))
                heat = np.einsum("n...k,nk->n...", features, weights)
                laid.place(layer.point.name, index, np.maximum(heat, 0), found)
        return Attribution(laid.result(trailing=True))

    @abstractmethod
    def weights(self, seen: Seen) -> Array:
        """Return the weights of the channels, `(batch, channels)`."""

    def _changed(
        self,
        score: Differentiation[Score],
        arrays: Arrays,
        targets: Array,
        which: int,
        total: int,
        change: Callable[[range], Array],
    ) -> Array:
        """Return the scores after each of several changes of an array, `(batch, total)`.

        Args:
            score: what is asked.
            arrays: what it depends on.
            targets: of the batch.
            which: the index of the array that is changed.
            total: the number of changes.
            change: returns copies of the array with some changes, `(changes, batch, ...)`.
        """
        count, scores = len(targets), []
        for numbers in turns(total, count, self.batch_size):
            copies = [np.concatenate([array] * len(numbers)) for array in arrays]
            copies[which] = change(numbers).astype(arrays[which].dtype).reshape(copies[which].shape)
            found = score.values(copies, np.concatenate([targets] * len(numbers)))
            scores.append(found.reshape(len(numbers), count))
        return np.asarray(np.concatenate(scores).T, np.float64)


class ScoreCAM(ChannelActivation):
    """Score-CAM: channels weighted by the score of what they show of the input, `w = softmax_k(S(x H_k))`.

    `H_k` is the channel `A_k`, laid over the input as maps are, and scaled to 0..1 over the positions of each
    sample; 0 for a constant channel. The softmax runs over the channels. It is the same for the rise of the
    score over that of a baseline, `S(x H_k) - S(x_b)`, so no baseline is needed. Other inputs, and time
    steps that the model masks, stay as they are.

    Args:
        model, output_layer, operator, conv_layer, output_layer_index, fold_layers, grid, upsample: see
            `ChannelActivation`.
        batch_size: the largest number of masked inputs that the model is given at once; None for all.
        max_channels: how many channels of each sample are used, those of the largest variance over the
            positions (Faster Score-CAM); None for all.

    Raises:
        InputError: if `max_channels` is not a positive integer, or the input holds integers, such as tokens.

    Reference:
        Wang et al.: Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks, 2020,
        algorithm 1.
    """

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        conv_layer: Layer | None = None,
        max_channels: int | None = None,
        *,
        output_layer_index: Layer | None = None,
        fold_layers: bool = False,
        grid: tuple[int, int] | None = None,
        upsample: bool = True,
    ) -> None:
        super().__init__(
            model,
            output_layer,
            batch_size,
            operator,
            conv_layer,
            output_layer_index=output_layer_index,
            fold_layers=fold_layers,
            grid=grid,
            upsample=upsample,
        )
        self.max_channels = None if max_channels is None else checks.whole("max_channels", max_channels)

    def weights(self, seen: Seen) -> Array:
        array, found, features = seen.arrays[seen.index], seen.found, seen.features
        if array.dtype.kind != "f":
            raise InputError(
                "ScoreCAM multiplies its input by numbers from 0 to 1. Received: an input of type "
                f"{array.dtype}. Take AblationCAM, which changes the output of the layer instead."
            )
        steps = self.score.steps(seen.arrays)[seen.index]
        variances = features.reshape(len(features), -1, features.shape[-1]).var(axis=1)
        chosen = np.argsort(-variances, axis=1, kind="stable")[:, : self.max_channels]
        places = chosen.reshape(len(chosen), *[1] * (features.ndim - 2), -1)
        sizes = tuple(array.shape[axis] for axis in found.sources)

        def masked(numbers: range) -> Array:
            some = places[..., numbers.start : numbers.stop]
            channels = np.moveaxis(np.take_along_axis(features, some, axis=-1), -1, 0)
            large = class_maps.placed(channels.reshape(-1, *channels.shape[2:]), found, sizes)
            axes = tuple(range(1, large.ndim))
            low, high = large.min(axis=axes, keepdims=True), large.max(axis=axes, keepdims=True)
            large = (large - low) / np.where(high > low, high - low, 1)
            masks = class_maps.spread(large, found, array.ndim)
            copies = array * masks.reshape(len(numbers), len(array), *masks.shape[1:])
            return np.where(steps, copies, array)

        scores = self._changed(self.score, seen.arrays, seen.targets, seen.index, chosen.shape[1], masked)
        weights = np.zeros(variances.shape)
        np.put_along_axis(weights, chosen, self.shares(scores), axis=1)
        return weights

    def shares(self, scores: Array) -> Array:
        """Return the weights of channels by their scores, `(batch, channels)`."""
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))


class AblationCAM(ChannelActivation):
    """Ablation-CAM: channels weighted by what the score loses without them: `w_k = (S - S_k) / |S|`.

    `S_k` is the score with the channel set to zero at all its positions. The paper divides by `S`, which
    would turn the map around where the score is negative; a score of 0 is left out of the division.

    Args:
        model, output_layer, operator, conv_layer, output_layer_index, fold_layers, grid, upsample: see
            `ChannelActivation`.
        batch_size: the largest number of outputs of the layer that are changed at once; None for all.

    Reference:
        Desai, Ramaswamy: Ablation-CAM: Visual Explanations for Deep Convolutional Network via Gradient-free
        Localization, 2020.
    """

    def weights(self, seen: Seen) -> Array:
        which = self.score.inputs
        values, channels = seen.begun[which], seen.features.shape[-1]
        # Where each channel lies in the flat output of a sample.
        numbered = np.arange(values[0].size).reshape(1, *values.shape[1:])
        cells = seen.found.moved(numbered).reshape(-1, channels)

        def without(numbers: range) -> Array:
            copies = np.stack([values.reshape(len(values), -1)] * len(numbers))
            for number, copy in zip(numbers, copies, strict=True):
                copy[:, cells[:, number]] = 0
            return copies

        scores = seen.score.values(seen.begun, seen.targets).astype(np.float64)[:, None]
        left = self._changed(seen.score, seen.begun, seen.targets, which, channels, without)
        return np.asarray((scores - left) / np.where(scores == 0, 1, np.abs(scores)))


class EigenCAM(ChannelActivation):
    """Eigen-CAM: the features along their first principal direction; the same for every class.

    `max(A v, 0)`, with `A` the features, a row per position and a column per channel, which are not centred,
    and `v` their first right singular vector; its sign is such that the map adds up to a positive number
    before its negative values become 0. The score decides only which layer is the default.

    Args: see `ChannelActivation`.

    Reference:
        Muhammad, Yeasin: Eigen-CAM: Class Activation Map using Principal Components, 2020.
    """

    def weights(self, seen: Seen) -> Array:
        rows = seen.features.reshape(len(seen.features), -1, seen.features.shape[-1])
        first = np.linalg.svd(rows, full_matrices=False)[2][:, 0]
        total = np.einsum("npk,nk->n", rows, first)
        return np.asarray(np.where(total < 0, -1, 1)[:, None] * first)
