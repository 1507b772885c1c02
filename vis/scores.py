"""The score of each sample that an explainer explains, and its compiled gradient.

A score is made once and called often. One trace serves every batch size and every target, which are inputs at
run time, and two explainers with the same operator on the same model share it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import backend, checks, models
from vis.backprop_modifiers import BackpropModifier
from vis.errors import GradientError, LayerError
from vis.foreign import called, described, foreign_arrays
from vis.source import Source
from vis.traces import Trace, cached, check_numbers, evaluated

# operator(model, inputs, targets) -> (batch,), in keras.ops
Operator = Callable[[Callable[[Any], Any], Any, Any], Any]


@dataclass(frozen=True)
class Scored:
    """The score of each sample, `(batch,)`; the gradient by each watched value; and those values.

    A gradient is None where the score does not depend on the value.
    """

    scores: npt.NDArray[Any]
    gradients: list[npt.NDArray[Any] | None]
    values: list[npt.NDArray[Any]]


@dataclass(frozen=True)
class Score:
    """The score of each sample: an operator on the output of a model.

    Args:
        source: the model, with its backprop modifier if it has one.
        operator: `operator(model, inputs, targets)` returns the score of each sample, `(batch,)`; the
            inputs have the structure of the model's.
        layer: the layer, or the call of one, whose output the operator is given; None for the model's own.
        modifier: the derivative of activations.
        wrt: the layer to differentiate by instead of the inputs; its value follows them in the
            arrays, see `begin`.
        fold: whether batch normalizations and zero paddings are folded into the layers beside them.
        kernels: the folded kernels, see `fixed`.
    """

    source: Source
    operator: Operator
    layer: Any = None
    modifier: BackpropModifier | None = None
    wrt: Any = None
    fold: bool = False
    kernels: tuple[Any, ...] = field(default=(), compare=False, repr=False)

    def fixed(self) -> Score:
        """Return this score for a run in which no weight changes: layers are folded once, now."""
        if not self.fold:
            return self
        graph, _ = models.unmodified(self.source.model)
        return replace(self, kernels=tuple(models.scaled_kernels(graph)))

    @cached_property
    def _start(self) -> Score:
        """The score that gives `begin` the output of the layer `wrt`, and masks."""
        return replace(self, layer=self.wrt, wrt=None)

    @cached_property
    def _unrolled(self) -> bool:
        return self._mask_makers.in_loops

    @cached_property
    def _is_masked(self) -> bool:
        return models.makes_masks(models.unmodified(self.source.model)[0])

    @cached_property
    def _mask_makers(self) -> models.MaskMakers:
        return models.mask_makers(models.unmodified(self.source.model)[0])

    def begin(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return everything that the score of a batch depends on.

        These are the inputs; then the output of the layer `wrt`, if there is one; then, if the model makes
        masks, the masks, and what `steps` returns. Masks stay the same when inputs are changed.
        """
        begun = list(arrays)
        if self.wrt is None:
            check_numbers(arrays, self.source.model, "O")
        else:
            begun.append(self._start.outputs(arrays))
        if not len(arrays[0]) or not self._is_masked:
            return begun
        received, masks = self._start._masks(arrays)
        steps = [_unmasked(array, [*zip(received, masks, strict=True)]) for array in self.explained(begun)]
        own = len(masks) if self.wrt is None else len(masks) - 1
        return [*begun, *masks[:own], *steps] if own else begun

    def explained(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the arrays of `begin` that gradients are taken by."""
        return list(arrays[self.which])

    @property
    def which(self) -> slice:
        """The arrays of `begin` that gradients are taken by."""
        inputs = self._inputs()
        return slice(0, inputs) if self.wrt is None else slice(inputs, inputs + 1)

    def steps(self, arrays: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Return which steps of the explained arrays are not masked, as arrays of booleans that broadcast."""
        given, explained = self._given(arrays), self.explained(arrays)
        return list(arrays[len(given) :]) or [np.ones((1,) * array.ndim, bool) for array in explained]

    def _given(self, arrays: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """Return the arrays of `begin` that the model runs on: all but the steps."""
        masked = len(arrays) > self._inputs() + (self.wrt is not None)
        return arrays[: len(arrays) - len(self.explained(arrays))] if masked else arrays

    def _inputs(self) -> int:
        symbols = self.source.symbols
        return 1 if symbols is None else len(keras.tree.flatten(symbols))

    def outputs(self, arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Return the output of the model or layer for a batch, `(batch, ...)`.

        Raises:
            GradientError: if it is not finite.
        """

        trace = self._trace(self._given(arrays), None, None, ())

        def run(arrays: Sequence[npt.NDArray[Any]], _: Any) -> Scored:
            evaluation: backend.Evaluation = trace.compiled([*arrays, np.float64(1), *self.kernels])
            end = self.source.model if self.layer is None else self.layer
            return Scored(checks.finite(evaluation.values[0], f"The output of {end.name!r}"), [], [])

        return self._fitted(trace, run, arrays, None).scores

    def _masks(self, arrays: Sequence[npt.NDArray[Any]]) -> tuple[list[Any], list[Any]]:
        """Return what layers make masks from, and the masks; then the output of `layer` and its mask."""
        trace = self._trace(self._given(arrays), None, None, (), "masks")

        def run(arrays: Sequence[npt.NDArray[Any]], _: Any) -> Scored:
            evaluation: backend.Evaluation = trace.compiled([*arrays, np.float64(1), *self.kernels])
            return Scored(np.zeros(len(arrays[0])), [], evaluation.values)

        values = self._fitted(trace, run, arrays, None).values
        return values[::2], values[1::2]

    def values(self, arrays: Sequence[npt.NDArray[Any]], targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the score of each sample, `(batch,)`.

        Raises:
            GradientError: if it is not finite.
        """

        trace = self._trace(self._given(arrays), targets, None, ())

        def run(arrays: Sequence[npt.NDArray[Any]], targets: Any) -> Scored:
            evaluation: backend.Evaluation = trace.compiled([*arrays, targets, np.float64(1), *self.kernels])
            return Scored(self._of_each(evaluation.values[0], arrays), [], [])

        return self._fitted(trace, run, arrays, targets).scores

    def gradients(
        self, arrays: Sequence[npt.NDArray[Any]], targets: npt.NDArray[Any], watch: Any = None
    ) -> Scored:
        """Return the scores of a batch with their gradients.

        Args:
            arrays: what `begin` returns, or changed arrays of the same kind, each `(batch, ...)`.
            targets: what the operator is given, `(batch, ...)`.
            watch: a layer whose output is differentiated by, and returned; None for what `explained` returns.

        Raises:
            GradientError: if the scores depend on nothing that is watched, or a value is not finite.
            LayerError, ModifierError: see the model and the modifier.
        """

        if self.wrt is None and watch is None:
            check_numbers(self.explained(arrays), self.source.model)
        trace = self._trace(self._given(arrays), targets, watch, None)

        def run(arrays: Sequence[npt.NDArray[Any]], targets: Any) -> Scored:
            name = getattr(self.operator, "__name__", "operator")
            wrt = self.wrt if watch is None else watch
            found = evaluated(
                trace,
                lambda scale: [*arrays, targets, np.float64(scale), *self.kernels],
                wrt,
                name,
            )
            return Scored(self._of_each(found.values[0], arrays), found.gradients, found.values[1:])

        return self._fitted(trace, run, arrays, targets)

    def _of_each(self, scores: npt.NDArray[Any], arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
        if len(scores) != len(arrays[0]):
            raise self._no_score(f"{len(scores)} scores for {len(arrays[0])} samples")
        return checks.finite(scores, "The score of the samples")

    def _no_score(self, received: str) -> GradientError:
        return GradientError(
            "An operator must return the score of each sample, (batch,), as a tensor of keras.ops. Received "
            "from "
            f"{called(self.operator)}: {received}. Sum over the other axes."
        )

    def _fitted(
        self, trace: Trace, run: Callable[..., Scored], arrays: Sequence[npt.NDArray[Any]], targets: Any
    ) -> Scored:
        """Run on a batch.

        For a model with a fixed batch size, run on parts of that size, the last one filled up. For a model
        that draws random numbers, run on each sample alone, so that all get the same numbers.
        """
        arrays = self._given(arrays)
        fixed, count = self._specs(arrays)[0].shape[0], len(arrays[0])
        size = fixed or 1
        step = 1 if trace.compiled.draws else fixed or count
        if not count or (fixed in (None, count) and step == count):
            return run(arrays, targets)
        found = []
        for start in range(0, count, step):
            # Missing samples are filled up with the last one.
            rows = np.minimum(np.arange(start, start + size), min(start + step, count) - 1)
            part = run([array[rows] for array in arrays], None if targets is None else targets[rows])
            found.append((part, min(step, count - start)))

        def joined(pick: Callable[[Scored], list[Any]]) -> list[Any]:
            cut = [[each if each is None else each[:n] for each in pick(part)] for part, n in found]
            columns = zip(*cut, strict=True)
            return [None if column[0] is None else np.concatenate(column) for column in columns]

        (scores,) = joined(lambda part: [part.scores])
        return Scored(scores, joined(lambda part: part.gradients), joined(lambda part: part.values))

    def _specs(self, arrays: Sequence[npt.NDArray[Any]]) -> list[backend.Spec]:
        specs = self.source.specs(arrays)
        if self._unrolled:
            specs = self.source.sized(arrays)
        # A dimension that varies with the input is not part of the trace.
        varies = any(None in spec.shape[1:] for spec in specs)
        for array in arrays[len(specs) :]:
            shape: Any = (None,) * array.ndim if varies else array.shape
            if self.wrt is not None and len(specs) == self._inputs():
                shape = models.output_shape(self.wrt) or array.shape
            specs.append(backend.Spec((None, *shape[1:]), str(array.dtype), array.shape))
        return specs

    def _trace(
        self,
        arrays: Sequence[npt.NDArray[Any]],
        targets: npt.NDArray[Any] | None,
        watch: Any,
        watched: tuple[()] | None,
        kind: str | None = None,
    ) -> Trace:
        modifier = self.modifier or self.source.modifier
        specs = self._specs(arrays)
        target = () if targets is None else (_spec_of(targets),)
        about = [self.source.anchor(), self.operator]
        points = [models.lasting(part) for part in (self.layer, watch, self.wrt) if part is not None]
        about += [part for part, _ in points]
        about += [] if modifier is None else [modifier.rule]
        kind = kind or ("score" if watched is None else "scores" if target else "outputs")
        absent = tuple(part is None for part in (self.layer, watch, self.wrt, modifier))
        which = tuple(number for _, number in points)
        key = (kind, absent, which, self.fold, len(self.kernels), tuple(specs), target)
        with self.source.tried(specs):
            return cached(
                about,
                key,
                modifier,
                lambda: self._compile([*specs, *target], len(specs), watch, kind, modifier),
            )

    def _compile(
        self,
        specs: list[backend.Spec],
        count: int,
        watch: Any,
        kind: str,
        modifier: BackpropModifier | None,
    ) -> Trace:
        graph, _ = models.unmodified(self.source.model)
        symbols, layer, operator = self.source.symbols, self.layer, self.operator
        points = [point for point in (layer, watch) if point is not None]
        probe = models.Probe(graph, points, self.wrt, self.fold, modifier is not None)
        of_inputs = self._inputs()

        def forward(tensors: list[Any]) -> backend.Traced:
            given, targets, scale = tensors[:count], tensors[count:behind], tensors[behind]
            kernels = tensors[behind + 1 :] or None
            inputs = given[0] if symbols is None else keras.tree.pack_sequence_as(symbols, given[:of_inputs])
            others = given[of_inputs:]
            start = others.pop(0) if others and self.wrt is not None else None
            masks = models.Masks(others or None) if others or kind == "masks" else None
            outputs, values = probe.run(inputs, start, kernels, masks)
            if masks is not None and kind == "masks":
                pairs = masks.made if layer is None else [*masks.made, (values[0], masks.of(values[0]))]
                flat = [tensor for received, mask in pairs for tensor in (received, ops.cast(mask, "bool"))]
                return backend.Traced(ops.zeros((), backend.widest_float()), [], flat)
            answer = outputs if layer is None else values[0]
            if kind == "outputs":
                single = single_output(answer)
                return backend.Traced(ops.sum(ops.cast(single, backend.widest_float())), [], [single])

            def model(asked: Any) -> Any:
                """Return the output that is known already, or run the model on another input."""
                if asked is inputs:
                    return answer
                outputs, values = probe.run(asked, kernels=kernels)
                return outputs if layer is None else values[0]

            with foreign_arrays("The operator", operator, GradientError):
                score = operator(model, inputs, *targets)
            numbers = ops.is_tensor(score) and keras.backend.standardize_dtype(score.dtype) != "string"
            if not numbers or len(score.shape) != 1:
                raise self._no_score(described(score))
            watched = self.explained(given) if watch is None else values[-1:]
            if kind == "scores":
                watched = []
            loss = scale * ops.sum(ops.cast(score, backend.widest_float()))
            return backend.Traced(loss, watched, [score, *([] if watch is None else watched)])

        behind = len(specs)
        specs = [*specs, backend.Spec((), backend.widest_float()), *map(_spec, self.kernels)]
        rule = modifier.rule if modifier and kind == "score" else None
        return Trace(lambda: backend.compile_gradient(forward, specs, rule), probe)


def _unmasked(array: npt.NDArray[Any], made: list[tuple[Any, Any]]) -> npt.NDArray[np.bool_]:
    """Return which steps of an array are not masked by every layer that takes the array unchanged.

    Args:
        array: `(batch, ...)`.
        made: the inputs of layers, each with the mask that the layer made from it.
    """
    counts = taken = np.zeros((len(array), *[1] * (array.ndim - 1)), bool)
    for received, mask in made:
        if received.shape != array.shape or mask.shape != array.shape[: mask.ndim]:
            continue
        # It may have been rounded to half precision.
        near = 0 if array.dtype.kind in "iub" else 1e-2
        axes = tuple(range(1, array.ndim))
        same = np.isclose(received, array, rtol=near).all(axis=axes, keepdims=True)
        counts = counts | (same & mask.reshape(mask.shape + (1,) * (array.ndim - mask.ndim)))
        taken = taken | same
    return np.asarray(counts | ~taken)


def _spec_of(targets: npt.NDArray[Any]) -> backend.Spec:
    return backend.Spec((None, *targets.shape[1:]), str(targets.dtype), targets.shape)


def _spec(tensor: Any) -> backend.Spec:
    return backend.Spec(tuple(tensor.shape), keras.backend.standardize_dtype(tensor.dtype))


def single_output(output: Any) -> Any:
    """Return the only tensor of a model's output.

    Raises:
        LayerError: if there are several.
    """
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1:
        raise LayerError(
            f"The model has {len(tensors)} outputs; one is explained at a time. Choose it with output_layer, "
            "or pass an operator that makes one score from all of them."
        )
    return tensors[0]
