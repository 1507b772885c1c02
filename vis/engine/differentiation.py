"""The values and the gradient of an objective, compiled once and called often.

One trace serves every batch size, every filter, every weight and every target: they are inputs at run time. A
trace belongs to what it was made of: the model, what the objective reads, what it is differentiated by, and
the backprop modifier.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import backend, models
from vis.backprop_modifiers import BackpropModifier
from vis.engine.objectives import MadeMasks, Objective, Output, Seen
from vis.engine.runs import Array, Arrays, Run, in_parts
from vis.engine.traces import Trace, cached, check_numbers, evaluated

Asked = TypeVar("Asked", bound=Objective)
Compile = Callable[[backend.Forward, list[backend.Spec], backend.Way | None], Any]


@dataclass(frozen=True)
class Evaluated:
    """What an objective evaluates to.

    Args:
        terms: each `(batch,)` or `()`.
        gradients: None where the objective does not depend on the value.
        values: those that were watched.
        outputs: the explained output, `(batch, ...)`, if it is asked for; zeros, `(batch,)`, for several.
        told: what a flow notes, each `(batch, ...)`.
    """

    terms: list[Array]
    gradients: list[Array | None]
    values: list[Array]
    outputs: list[Array]
    told: list[Array]

    @property
    def scores(self) -> Array:
        """The score of each sample, `(batch,)`, which is the only term."""
        (scores,) = self.terms
        return scores


@dataclass(frozen=True)
class Descent:
    """A compiled descent, with what it is given in each step.

    Args:
        compiled: takes the steps.
        forward: the forward pass.
        fixed: the inputs that do not change.
        parameters: of the losses.
        weights: of the losses, `(losses,)`.
    """

    compiled: backend.CompiledDescent
    forward: backend.Forward
    fixed: list[Array]
    parameters: list[Array]
    weights: Array

    def advance(
        self,
        state: backend.DescentState,
        steps: int,
        drawn: Sequence[Array],
        modify: Callable[[Array], Array] | None,
    ) -> backend.DescentState:
        """Return the state some steps later, see `vis.backend.CompiledDescent`."""
        arrays = [*self.fixed, np.asarray(1.0), *self.parameters, self.weights]
        return self.compiled.advance(state, steps, arrays, drawn, modify, forward=self.forward)


@dataclass(frozen=True)
class Differentiation(Run, Generic[Asked]):
    """An objective of a model: its values, and its gradients by the inputs or by a layer.

    Args:
        source, wrt, fold, kernels: see `Run`.
        objective: what is asked.
        modifier: the derivative of activations; None for that of the source.
        tells: whether `gradients` tells the explained output, too.
    """

    objective: Asked
    modifier: BackpropModifier | None = None
    tells: bool = field(default=False, kw_only=True)

    @property
    def layer(self) -> Any:
        """The layer whose output is explained; None for the model's own."""
        return self.objective.layer

    def begin(self, arrays: Arrays) -> list[Array]:
        """Return everything that the objective of a batch depends on.

        These are the inputs; then the output of the layer `wrt`, if there is one; then, if the model makes
        masks, the masks, and what `steps` returns. Masks stay the same when inputs are changed.
        """
        begun, wrt = list(arrays), self.wrt
        if wrt is None:
            check_numbers(arrays, self.source.model, "O")
        else:
            begun += self._read(Output(wrt, wrt.name), arrays)
        if not len(arrays[0]) or not self.is_masked:
            return begun
        found = self._read(MadeMasks(wrt), arrays)
        received, masks = found[::2], found[1::2]
        steps = [_unmasked(array, [*zip(received, masks, strict=True)]) for array in self.explained(begun)]
        own = len(masks) if wrt is None else len(masks) - 1
        return [*begun, *masks[:own], *steps] if own else begun

    def outputs(self, arrays: Arrays) -> Array:
        """Return the explained output for a batch, `(batch, ...)`.

        Raises:
            GradientError: if it is not finite.
        """
        end = self.source.model if self.layer is None else self.layer
        (output,) = self._read(Output(self.layer, end.name), arrays, self.wrt)
        return output

    def _read(self, objective: Objective, arrays: Arrays, wrt: Any = None) -> list[Array]:
        """Return the values that another objective reads of the same run, or of one from another layer."""
        asked: Any = objective
        how: dict[str, Any] = {"fold": self.fold, "kernels": self.kernels, "sizes": self.sizes}
        return type(self)(self.source, asked, wrt=wrt, **how)._evaluated("values", arrays).terms

    def values(self, arrays: Arrays, targets: Array | None = None) -> Array:
        """Return the score of each sample, `(batch,)`, or the only value to read.

        Raises:
            GradientError: if it is not finite.
        """
        return self._evaluated("values", arrays, targets).scores

    def gradients(
        self, arrays: Arrays, targets: Array | None = None, watch: Any = None, references: Arrays = ()
    ) -> Evaluated:
        """Return the terms of the objective for a batch, with the gradients of their sum.

        Args:
            arrays: what `begin` returns, or changed arrays of the same kind, each `(batch, ...)`.
            targets: what an operator is given, `(batch, ...)`.
            watch: a layer, call or symbolic tensor whose value is differentiated by, and returned; None for
                what `explained` returns.
            references: an array like each that `explained` returns, for a modifier that compares them.

        Raises:
            GradientError: if the objective depends on nothing that is watched, or a value is not finite.
            FilterError, LayerError, ModifierError: see the losses, the model and the modifier.
        """
        if self.wrt is None and watch is None:
            check_numbers(self.explained(arrays), self.source.model)
        return self._evaluated("gradient", arrays, targets, watch, references)

    def descent(self, arrays: Arrays, changed: Sequence[int], kind: Hashable, compile_: Compile) -> Descent:
        """Return a compiled gradient descent on some of the inputs.

        Args:
            arrays: the inputs in flat order, with their batch axis.
            changed: which of them it changes; the others stay as they are.
            kind: what distinguishes this descent from others on the same objective.
            compile_: compiles it, given a forward pass that takes the changed inputs first.

        Raises:
            GradientError, FilterError, LayerError, ModifierError: as `gradients`.
        """
        specs = [backend.Spec(array.shape, str(array.dtype), array.shape) for array in arrays]
        fixed = [i for i in range(len(arrays)) if i not in changed]
        order = [*changed, *fixed]

        def first(forward: backend.Forward) -> backend.Forward:
            def run(tensors: list[Any]) -> backend.Traced:
                given = [tensors[order.index(i)] for i in range(len(order))]
                traced = forward([*given, *tensors[len(order) :]])
                return replace(traced, watched=[traced.watched[i] for i in changed])

            return run

        def compile_first(
            forward: backend.Forward, taken: list[backend.Spec], rule: backend.Way | None
        ) -> backend.CompiledDescent:
            taken = [*(taken[i] for i in order), *taken[len(order) :]]
            return cast("backend.CompiledDescent", compile_(first(forward), taken, rule))

        trace = self._trace(("descent", kind, tuple(changed)), specs, None, None, compile_first)
        *parameters, weights = self.objective.parameters(trace, None, len(arrays[0]))
        forward = first(self._lazily(trace, "descent", len(arrays), None))
        return Descent(trace.compiled, forward, [arrays[i] for i in fixed], parameters, weights)

    def _evaluated(
        self,
        kind: str,
        arrays: Arrays,
        targets: Array | None = None,
        watch: Any = None,
        references: Arrays = (),
    ) -> Evaluated:
        arrays = self.given(arrays)
        specs, compared = self.specs(arrays, self.objective.reads_masks), len(references)
        told = self.tells and kind == "gradient"
        trace = self._trace((kind, told), specs, targets, watch, compared=compared)
        objective, wrt = self.objective, self.wrt if watch is None else watch

        def run(both: list[Array], targets: Array | None) -> list[list[Any]]:
            arrays, references = both[: len(specs)], both[len(specs) :]
            parameters = [*objective.parameters(trace, targets, len(arrays[0])), *references]

            def given(scale: float) -> list[Any]:
                return [*arrays, np.float64(scale), *parameters, *self.kernels]

            forward = self._lazily(trace, kind, len(specs), watch, compared)
            if kind == "gradient":
                found = evaluated(trace, given, forward, wrt, objective.name)
            else:
                found = trace.compiled(given(1), forward)
            objective.check(found, len(arrays[0]))
            end = len(found.values) - told
            terms = end - (watch is not None)
            values = found.values
            return [values[:terms], [*found.gradients], values[terms:end], values[end:], found.told]

        if not objective.is_of_samples:
            return Evaluated(*run([*arrays, *references], targets))
        fixed, alone = specs[0].shape[0], bool(trace.compiled.draws)
        if fixed is None and not alone:
            shapes = tuple(array.shape[1:] for array in arrays)
            fixed = self.size((trace, shapes), len(arrays[0]))
        return Evaluated(*in_parts(run, [*arrays, *references], targets, fixed, alone))

    def _trace(
        self,
        kind: tuple[Hashable, ...],
        specs: list[backend.Spec],
        targets: Array | None,
        watch: Any,
        compile_: Compile | None = None,
        compared: int = 0,
    ) -> Trace:
        objects, settings = self.objective.about()
        lasting = [models.lasting(part) for part in [*objects, watch, self.wrt] if part is not None]
        modifier = None if kind[0] == "values" else self.modifier or self.source.modifier
        about = [self.source.anchor(), *(thing for thing, _ in lasting)]
        about += [] if modifier is None else [modifier.rule]
        parameters = self.objective.specs(targets)
        which = tuple(number for _, number in lasting)
        absent = tuple(part is None for part in (watch, self.wrt, modifier))
        key = (kind, settings, which, absent, self.fold, len(self.kernels), compared, *specs, *parameters)
        scale = backend.Spec((), backend.widest_float())
        references = self.explained(specs)[:compared]
        taken = [*specs, scale, *parameters, *references, *map(models.spec_of, self.kernels)]

        def make() -> Trace:
            probe, forward, counts = self._prepared(str(kind[0]), len(specs), watch, compared)
            rule = None if modifier is None else modifier.rule
            if isinstance(rule, backend.Flow):
                rule = rule.of(self.source.model)
            compiled = compile_ or backend.compile_gradient
            passing = not self.source.is_model
            widens = isinstance(rule, backend.Flow)
            return Trace(lambda: compiled(forward, taken, rule), probe, counts, passing, widens)

        with self.source.tried(specs):
            return cached(about, key, modifier, make)

    def _lazily(self, trace: Trace, *args: Any) -> backend.Forward:
        """Return the forward pass, prepared when it first runs, which it does not where it is compiled."""
        made: list[backend.Forward] = []

        def forward(tensors: list[Any]) -> backend.Traced:
            if not made:
                probe, run, _ = self._prepared(*args)
                if self.source.is_model:  # else a model is made of its symbols each time
                    probe.known = trace.known
                made.append(run)
            return made[0](tensors)

        return forward

    def _prepared(
        self, kind: str, count: int, watch: Any, compared: int = 0
    ) -> tuple[models.Probe, backend.Forward, list[int]]:
        """Return a forward pass, what it reads of the model, and how many points each term reads.

        Args:
            kind: `"values"`, `"gradient"` or `"descent"`.
            count: the number of tensors that the model runs on.
            watch: see `gradients`.
            compared: the number of references.
        """
        objective = self.objective
        graph = self.source.graph(objective.symbols)
        groups, evaluate = objective.prepared(graph)
        read = [point for group in groups for point in group]
        ends = [] if self.layer is None else [self.layer]
        noted = bool(self.modifier or self.source.modifier)
        points = [*read, *ends, *([] if watch is None else [watch])]
        probe = models.Probe(graph, points, self.wrt, self.fold, noted)

        def forward(tensors: list[Any]) -> backend.Traced:
            given, (scale, *rest) = tensors[:count], tensors[count:]
            behind = len(rest) - len(self.kernels)
            parameters, kernels = rest[: behind - compared], rest[behind:] or None
            inputs, start, kept = self.entered(given)
            masks = models.Masks(kept or None) if kept or objective.reads_masks else None
            outputs, values = probe.run(inputs, start, kernels, masks)
            answer = values[len(read)] if ends else outputs

            def model(asked: Any) -> Any:
                """Return the output that is known already, or run the model on another input."""
                if asked is inputs:
                    return answer
                outputs, values = probe.run(asked, kernels=kernels)
                return values[len(read)] if ends else outputs

            found = evaluate(Seen(inputs, values[: len(read)], parameters, masks, model))
            terms = [term for term, _ in found]
            wide = backend.widest_float()
            if kind == "values":
                return backend.Traced(ops.zeros((), wide), [], terms)
            # In one type, whatever the types of the layers.
            weighted = [ops.cast(t, wide) if w is None else w * ops.cast(t, wide) for t, w in found]
            watched = self.explained(given) if watch is None else values[-1:]
            told: list[Any] = []
            if self.tells:
                outputs = keras.tree.flatten(answer)
                told = outputs if len(outputs) == 1 else [ops.zeros_like(terms[0])]
            return backend.Traced(
                # One value for all samples counts once.
                scale * sum(ops.sum(term) for term in weighted),
                watched,
                [*terms, *([] if watch is None else watched), *told],
                sum(weighted[1:], weighted[0]),
                terms,
                values[: len(read)],
                values[: len(read)] or keras.tree.flatten(answer),
                rest[behind - compared : behind],
            )

        return probe, forward, [len(group) for group in groups]


def _unmasked(array: Array, made: list[tuple[Any, Any]]) -> npt.NDArray[np.bool_]:
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
