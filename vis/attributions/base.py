"""The base class of explainers, made once for a model and called often, with batches or data sets."""

from __future__ import annotations

import copy
import functools
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, overload

import keras
import numpy as np
import numpy.typing as npt

from vis import advice, backend, backprop_modifiers, checks, fingerprints, inputs, maps, models
from vis.attributions import operators
from vis.attributions.asked import (
    asked,
    class_axis,
    is_relevance,
    pick_of,
    predictions_of,
    targets_of,
    weighs,
)
from vis.attributions.batches import Arrays, watched
from vis.attributions.operators import OperatorLike
from vis.backprop_modifiers.base import BackpropModifier, BackpropModifierLike
from vis.engine import Differentiation, FunctionScore, Score, Wrapped, without_gradient
from vis.errors import EmptyMapWarning, InputError, ModifierError, warn
from vis.reprs import TypedRepr
from vis.typing import Data, Layer, Map, Maps, Targets
from vis.words import Reducer


@dataclass(frozen=True, repr=False)
class Attribution(TypedRepr):
    """What an explainer computes for a batch.

    Args:
        maps: an array for each input, `(batch, ...)`, or a single one.
        scores: the scores of the samples, `(batch,)`, if they were computed on the way.
        outputs: the explained outputs, `(batch, ...)`, likewise.
    """

    maps: Arrays
    scores: npt.NDArray[Any] | None = None
    outputs: npt.NDArray[Any] | None = None


@dataclass(frozen=True, repr=False)
class Explained(TypedRepr):
    """The maps of a batch, with the targets and scores that they explain.

    Args:
        maps: an array for each input in flat order, `(batch, ...)`, or a single one.
        targets: the weights of the outputs, or the targets given to the operator, `(batch, ...)`.
        scores: the scores of the samples, `(batch,)`; None if not requested.
        predictions: the predicted classes, `(batch,)`; None if not requested.
    """

    maps: Arrays
    targets: npt.NDArray[Any]
    scores: npt.NDArray[Any] | None
    predictions: npt.NDArray[np.int64] | None = None


class Explainer(TypedRepr, ABC):
    """Explains the outputs of a model for batches and data sets.

    Subclass it and implement `attribute`.

    Args:
        model: a Keras model: functional, sequential, subclassed or modified. It is not changed.
        output_layer: the layer whose output is explained: an index, a name, a path, a call such as
            `"encoder:1"`, a symbolic tensor, or the layer; None for the model's output.
        batch_size: the largest number of samples that the model is given at once; None for all.
        operator: how a sample's output becomes one score: the name of a task or a function
            `operator(model, inputs, targets)`, see `vis.attributions.operators`; None for the sum of the
            outputs weighted by the targets.
        reducer: how the channels of an image become one: `"max"`, `"mean"`, `"min"`, `"sum"`, or None to
            keep them.
        backprop_modifier: changes the derivative of activations, see `vis.visualize_saliency`.
        output_layer_index: an earlier name of `output_layer`.
        wrt: the layer whose output is attributed instead of the inputs, such as the embedding of tokens,
            named in the same ways; None for the inputs.
        fold_layers: whether to fold batch normalizations into the convolutions and dense layers before them,
            and zero paddings into the convolutions after them, at each call, with the current weights. This
            is faster but rounds differently: a ReLU whose input is close to zero may switch.

    Raises:
        ModelError, LayerError, ModifierError, InputError: see `vis.errors`.

    Warns:
        SoftmaxWarning: if the output ends in a softmax.
        EmptyMapWarning: if the map of a sample is zero everywhere.
        PartialOverrideWarning: if the backprop modifier misses some activations.
    """

    # Whether the attributions have channels to reduce, and whether they are multiplied by the inputs.
    has_channels = True
    multiplies = False
    # Whether it needs no more than scores, so that a function takes the place of a model.
    takes_functions = False
    # Whether the maps lie over the inputs, and not over the output of a layer.
    over_inputs = True
    # Why a map may be zero although its score depends on the input, and what to try then.
    empty_because = "nothing raises it"
    empty_attempts: tuple[str, ...] = ("an output_layer before it",)

    def __init__(
        self,
        model: keras.Model,
        output_layer: Layer | None = None,
        batch_size: int | None = 64,
        operator: OperatorLike = None,
        reducer: Reducer | None = "mean",
        backprop_modifier: BackpropModifierLike = None,
        output_layer_index: Layer | None = None,
        wrt: Layer | None = None,
        fold_layers: bool = False,
    ) -> None:
        self._ask(model, output_layer, output_layer_index, operator, backprop_modifier, wrt, fold_layers)
        self._set_up(batch_size, reducer)

    def _ask(
        self,
        model: keras.Model,
        output_layer: Layer | None,
        output_layer_index: Layer | None,
        operator: OperatorLike,
        backprop_modifier: BackpropModifierLike,
        wrt: Layer | None,
        fold_layers: bool,
    ) -> None:
        """Note what is explained; warn if it ends in a softmax."""
        named = checks.either(output_layer, output_layer_index, "output_layer", "output_layer_index")
        self.score = asked(model, named, operator, backprop_modifier, wrt, fold_layers)
        self.model = self.score.source.model
        if isinstance(self.score, FunctionScore) and not self.takes_functions:
            raise without_gradient(self.model)
        if self.multiplies and is_relevance(self.score):
            raise ModifierError(
                f"Relevance is a contribution already, and {type(self).__name__} would multiply it by the "
                "input once more. Received: a composite of rules as the backprop modifier. Take LRP."
            )
        end = self.model if self.score.layer is None else self.score.layer
        models.warn_of_softmax(end.name, models.squashings(self.model, self.score.layer))

    def _set_up(self, batch_size: int | None, reducer: Reducer | None) -> None:
        """Note how it is explained."""
        if batch_size is not None:
            batch_size = checks.whole("batch_size", batch_size)
        if reducer is not None and reducer not in [*maps.REDUCERS]:
            raise InputError(
                f"reducer must be one of {', '.join(maps.REDUCERS)}, or None. Received: {reducer!r}."
            )
        self.batch_size = batch_size
        self.reducer = reducer

    @property
    def output_layer(self) -> str | None:
        """The path of the layer whose output is explained, or None for the model's output."""
        return path_in(self.model, self.score.layer)

    @property
    def wrt(self) -> str | None:
        """The path of the layer whose output is attributed, or None for the inputs."""
        return path_in(self.model, self.score.wrt)

    def _arguments(self) -> dict[str, Any]:
        modifier = self.score.modifier
        operator = operators.name_of(self.score.objective.operator)
        known = modifier is not None and modifier.name in backprop_modifiers.names()
        return {
            "operator": None if operator == "classification" else operator or self.score.objective.operator,
            "backprop_modifier": modifier.name
            if modifier is not None and known and backprop_modifiers.get(modifier.name) == modifier
            else modifier,
            "output_layer_index": None,
            "fold_layers": self.score.fold,
        }

    @abstractmethod
    def attribute(self, arrays: Arrays, targets: npt.NDArray[Any]) -> Attribution:
        """Return the attribution of each value of each input, for one batch.

        Args:
            arrays: the inputs in flat order, each `(batch, ...)`, followed by what else the scores depend on,
                see `Score.begin`. What is attributed is `self.score.explained(arrays)`.
            targets: the weights of the outputs, `(batch, ...)`, or what the operator takes.
        """

    @overload
    def explain(self, inputs: npt.NDArray[Any], targets: Targets = None) -> Map: ...
    @overload
    def explain(self, inputs: Data, targets: Targets = None) -> Maps: ...
    def explain(self, inputs: Data, targets: Targets = None) -> Maps:
        """Return the attributions of inputs.

        Args:
            inputs: what `Model.predict` takes: an array, a tensor, or the structure of several that the model
                takes, with a batch axis: `(N, W)`, `(N, T, W)`, `(N, H, W, C)`, `(N, D, H, W, C)`; or a
                data set, such as a `tf.data.Dataset`, a `keras.utils.PyDataset`, a `DataLoader` or `Dataset`
                of PyTorch or grain, or another iterator, of inputs, of pairs `(inputs, targets)` or of
                triples with sample weights, which are ignored. Its items are single samples or batches.
            targets: which output of each sample to explain, see `vis.attributions.targets.as_weights`:
                weights in the shape of the outputs, such as one-hot rows `(N, outputs)`; a label per sample,
                `(N,)` or `(N, 1)`; an int for all samples; for outputs with positions, a label per position,
                `(N, H, W)` for `(H, W, C)`, or a position per sample, `(N, 2)` for `(T, C)`, `(N, 3)` for
                `(H, W, C)`; None for the predicted class. For a model of several outputs, the targets of
                `output_layer`, or a dict of targets by output name.

        Returns:
            float32, not normalised: `(N, H, W, 1)` for images, with `reducer=None` `(N, H, W, C)`, and
            likewise for volumes; the shape of the input for features and sequences. For several inputs, a map
            for each in their structure. With `wrt` set to an embedding, `(N, T, 1)`, with `reducer=None`
            `(N, T, C)`.

        Raises:
            InputError, FilterError, LayerError, GradientError: see `vis.errors`.
        """
        found, idle = [], []
        for batch in self.explained(inputs, targets):
            found.append(batch.maps)
            idle += [not weights.any() for weights in batch.targets]
        if not found:
            raise InputError("There is nothing to explain. Received: an empty data set.")
        parts = [np.concatenate(part) for part in zip(*found, strict=True)]
        self._warn_of_empty(parts, np.array(idle, bool))
        return self._packed(parts, inputs)

    @overload
    def __call__(self, inputs: npt.NDArray[Any], targets: Targets = None) -> Map: ...
    @overload
    def __call__(self, inputs: Data, targets: Targets = None) -> Maps: ...
    def __call__(self, inputs: Data, targets: Targets = None) -> Maps:
        """Return the attributions of inputs; the same as `explain`."""
        return self.explain(inputs, targets)

    def explained(self, inputs: Data, targets: Targets = None, scores: bool = False) -> Iterator[Explained]:
        """Yield the maps of each batch as soon as they are computed.

        Args:
            inputs: as `explain`.
            targets: as `explain`.
            scores: whether the scores and the predicted classes of the samples are wanted, too.

        Raises:
            InputError, FilterError, LayerError, GradientError: as `explain`.
        """
        run, pick = self._with(self.score.batched()), pick_of(self.score)
        for arrays, given in watched(self.score.source, inputs, targets, self.at_once(), pick):
            yield run.explain_arrays(arrays, given, scores)

    def explain_arrays(self, arrays: Arrays, given: Targets, scores: bool = False) -> Explained:
        """Return the maps of one batch.

        Args:
            arrays: the inputs in flat order, each `(batch, ...)`.
            given: its targets, as `explain` takes them.
            scores: whether the scores and the predicted classes of the samples are wanted, too.
        """
        if not len(arrays[0]):
            arrays = self.score.begin(arrays)
            empty = [self._reduced(part, i) for i, part in enumerate(self.empty(arrays))]
            return Explained(empty, np.empty(0), np.empty(0), np.empty(0, np.int64))
        inputs, weights = arrays, targets_of(self.score, arrays, given)
        arrays = self.score.begin(arrays)
        tells = scores and given is not None
        found = (self._with(replace(self.score, tells=True)) if tells else self).attribute(arrays, weights)
        steps = self.score.steps(arrays)
        if self.over_inputs and len(found.maps) == len(steps):
            found = replace(found, maps=[*map(maps.unmasked, found.maps, steps)])
        reduced = [self._reduced(part, i) for i, part in enumerate(found.maps)]
        if not scores:
            return Explained(reduced, weights, found.scores)
        values = self.score.values(arrays, weights) if found.scores is None else found.scores
        outputs = weights if given is None else found.outputs
        return Explained(reduced, weights, values, predictions_of(self.score, inputs, outputs))

    def empty(self, arrays: Arrays) -> Arrays:
        """Return the attributions of an empty batch."""
        return [np.zeros(array.shape) for array in self.score.explained(arrays)]

    def covered(self, arrays: Arrays) -> list[int]:
        """Return which inputs have a map, by their index, in the order of the maps of `explained`.

        Args:
            arrays: the inputs in flat order, each `(batch, ...)`.
        """
        return [*range(self.score.inputs)]

    def fixed(self) -> Explainer:
        """Return this explainer for a run over batches in which no weight changes, see `Run.fixed`."""
        return self._with(self.score.fixed())

    def _with(self, score: Differentiation[Score]) -> Explainer:
        """Return this explainer with the same score, run in another way."""
        other = copy.copy(self)
        other.score = score
        return other

    def settings(self) -> dict[str, Any]:
        """Return all settings that the attributions depend on, besides the model's weights, as plain values.

        `method` is the name of the explainer; an argument that the explainer itself calls `method` is
        `own_method`.
        """
        score = self.score
        said = {
            "method": type(self).__name__,
            "model": self.model.name,
            **({"function": _plain(self.model.function)} if isinstance(self.model, Wrapped) else {}),
            "output_layer": None if score.layer is None else score.layer.name,
            "operator": _plain(score.objective.operator),
            "backprop_modifier": None if score.modifier is None else _rule(score.modifier),
            "wrt": None if score.wrt is None else score.wrt.name,
            "fold_layers": score.fold,
        }
        shape = models.output_shape(self.model if score.layer is None else score.layer)
        if weighs(score) and shape is not None and (axis := class_axis(score, len(shape))) != len(shape) - 1:
            said["class_axis"] = axis
        for name, value in vars(self).items():
            if name not in ("model", "score", "batch_size") and name[0] != "_":
                said[f"own_{name}" if name in said else name] = _plain(value)
        return said

    def write(
        self,
        inputs: Data,
        path: str | os.PathLike[str],
        targets: Targets = None,
        resume: bool = True,
        progress: bool = True,
        *,
        source: dict[str, Any] | None = None,
    ) -> None:
        """Explain any number of inputs, with constant memory, and write the maps to a chunked Zarr group.

        Args and raises: see `vis.attributions.store.write`.
        """
        from vis.attributions import store

        store.write(self, inputs, path, targets, resume, progress, source=source)

    def at_once(self) -> int | None:
        """Return the largest number of samples in a batch, or None for all."""
        symbols = self.score.source.symbols
        fixed = None if symbols is None else keras.tree.flatten(symbols)[0].shape[0]
        return self.batch_size if fixed is None else int(fixed)

    def channel_axis(self, index: int, rank: int) -> int:
        """Return the axis of the channels of the maps of an input, by its index in flat order."""
        wrt = self.score.wrt
        axis = models.filter_axis(wrt, rank) if wrt else self.score.source.channel_axis(index, rank)
        return axis % rank

    def _reduced(self, part: npt.NDArray[Any], index: int) -> npt.NDArray[np.float32]:
        rank = part.ndim
        if self.has_channels and self.reducer is not None and rank >= (4 if self.score.wrt is None else 3):
            channels = self.channel_axis(index, rank)
            part = np.expand_dims(maps.reduce_channels(part, channels, self.reducer), channels)
        return part.astype(np.float32, copy=False)

    def _warn_of_empty(self, parts: Arrays, idle: npt.NDArray[np.bool_]) -> None:
        """Warn of samples whose maps are all zero everywhere.

        Args:
            parts: the maps.
            idle: the samples whose targets are zero.
        """
        if not len(parts[0]):
            return
        empty = ~np.any([part.reshape(len(part), -1).any(axis=1) for part in parts], axis=0)
        if not empty.any():
            return
        asked = empty & ~idle if weighs(self.score) else empty
        end = self.model if self.score.layer is None else self.score.layer
        why, attempts = advice.attempts(self.model, end, self.empty_attempts, "another target")
        unasked = "Their targets are zero, so there is nothing to explain. Pass a class or other weights."
        unmoved = f"Perhaps their score does not depend on the input here ({why}), or {self.empty_because}."
        for which, reason in ((empty & ~asked, unasked), (asked, f"{unmoved} {attempts}")):
            if which.any():
                rows = np.flatnonzero(which)
                named = f"{', '.join(map(str, rows[:5]))}{', ...' if len(rows) > 5 else '.'}"
                warn(
                    f"The maps of {len(rows)} of {len(which)} samples are zero everywhere: {named} {reason}",
                    EmptyMapWarning,
                )

    def _packed(self, parts: Arrays, given: Data) -> Maps:
        symbols = self.score.source.symbols
        if self.score.wrt is not None:
            return parts[0]
        if len(parts) == 1 and (symbols is None or len(keras.tree.flatten(symbols)) > 1):
            return parts[0]  # one map, whatever the number of inputs
        maps_of: Maps = inputs.packed(symbols, parts, given if isinstance(given, dict) else None)
        return maps_of


def path_in(model: keras.Model, point: Any) -> str | None:
    """Return the path of a layer, or of a call of one, in a model."""
    if point is None:
        return None
    operation = models.operation_of(point)
    path = models.paths_of(models.unmodified(model)[0]).get(id(operation), operation.name)
    return f"{path}{point.name.removeprefix(operation.name)}"


def _rule(modifier: BackpropModifier) -> str:
    """Return the name of a backprop modifier, with a digest of its rule unless the library has it."""
    rule = modifier.rule
    # Those of the explainers follow from their own settings.
    known = fingerprints.is_known(rule) or (
        isinstance(rule, backend.Flow) and not isinstance(rule, TypedRepr)
    )
    return modifier.name if known else f"{modifier.name} {fingerprints.fingerprint(rule)}"


def _plain(value: Any) -> Any:
    """Return a setting as a value that JSON can hold."""
    if isinstance(value, Explainer):
        return value.settings()
    if isinstance(value, models.POINTS):
        return value.name
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray) and value.ndim:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return f"{value.dtype} {value.shape} {digest}"
    if isinstance(value, np.generic | np.ndarray):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, functools.partial):
        return {
            "function": _plain(value.func),
            "args": _plain(value.args),
            "keywords": _plain(value.keywords),
        }
    return fingerprints.named(value)


def checked(explainer: Any) -> Explainer:
    """Return an explainer.

    Raises:
        InputError: if it is not an explainer.
    """
    if not isinstance(explainer, Explainer):
        raise InputError(
            f"Pass an explainer of vis.attributions, such as Saliency(model). Received: {explainer!r}."
        )
    return explainer
