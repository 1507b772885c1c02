"""DeepLIFT: how differences from a reference flow back through a computation.

The computation runs twice, on an input and on its reference. A *multiplier* says how much of the difference
of the explained score each value accounts for, per unit of its own difference. At each site, the multipliers
m_i of the inputs come from those of the outputs, m_j, such that their sums agree,
`sum_i m_i (x_i - x0_i) = sum_j m_j (y_j - y0_j)`:

| site | multiplier of an input |
|---|---|
| an affine map, a sum, an average, numbers that move | that of the gradient |
| elementwise, of one value | `m (y - y0) / (x - x0)`; the derivative where that is the same |
| a product of two values | `m_a = m (b + b0) / 2`, for matrices, too |
| elementwise, of several | as if they changed one after the other, averaged over the order and its reverse |
| a maximum | a rise goes to the largest value at the input, a fall to the largest at the reference |
| a softmax | `m_i = l_i (m_i - sum_j l_j m_j / sum_j l_j)`, l the logarithmic mean of y and y0 |
| anything else | that of the gradient halfway between the two, which need not add up |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from vis import backend
from vis.errors import ModifierError, PartialOverrideWarning, warn
from vis.graph import Graph, Operation, Value
from vis.graph.activations import flowing
from vis.graph.elementwise import is_elementwise
from vis.relevance.rules.base import quotient
from vis.relevance.rules.pass_ import fitted
from vis.relevance.site import Run, Site
from vis.relevance.steps import Step, find_steps

# Sites whose gradient is the same everywhere, unless what varies is a denominator.
_LINEAR = frozenset(["conv", "dense", "scale", "sum", "pooling", "route"])
# Those of degree two.
_OF_DEGREE_TWO = frozenset(["multiply", "product", "convolution", "square", "squared_difference"])
# What a softmax may consist of to be one of its input.
_OF_SOFTMAX = frozenset(
    "softmax log_softmax reduce_max maximum subtract exponential reduce_sum divide logarithm identity "
    "expand_dims squeeze reshape broadcast".split()
)
# The difference of two logarithms from which their mean is computed by its definition.
_APART = 0.1


class Rescale(backend.Flow):
    """The multipliers of DeepLIFT by the rescale rule, given a reference for each source."""

    name = "deep_lift"

    def __repr__(self) -> str:
        return "Rescale()"

    def plan(
        self,
        graph: Graph,
        sources: Sequence[Value],
        ends: Sequence[Value],
        loss: Value | None = None,
        references: Sequence[Value] = (),
    ) -> Plan:
        if loss is None or len(references) != len(sources):
            raise ModifierError(
                "The multipliers of DeepLIFT need a reference for each input. Received: a model alone. "
                "Explain it with vis.attributions.DeepLift(model, baseline=...)."
            )
        return Plan(graph, sources, loss, references)

    def report(self, coverage: backend.Coverage, name: str, model: str) -> None:
        """Warn of operations whose multipliers need not add up.

        Raises:
            ModifierError: if no operation leads from the input to the score.
        """
        if not coverage.reached and not coverage.missed:
            raise ModifierError(
                f"No multiplier of DeepLIFT reaches the input of the model {model!r}: no operation leads "
                "from it to the explained output. Choose a layer after it."
            )
        if coverage.missed:
            warn(
                f"The attributions of DeepLIFT need not add up for the model {model!r}: they pass operations "
                "that are known by their gradients alone, or that depend on the input in ways that have no "
                f"gradient: {', '.join(coverage.missed[:10])}{', ...' if len(coverage.missed) > 10 else ''}. "
                "Look at explainer.residuals.",
                PartialOverrideWarning,
            )


RESCALE = Rescale()


class Plan(backend.FlowPlan):
    """The sites of a graph on which multipliers flow back.

    Args:
        graph: the graph.
        sources: what multipliers are wanted of.
        loss: the explained score, summed over the samples.
        references: the references of the sources.
    """

    def __init__(
        self, graph: Graph, sources: Sequence[Value], loss: Value, references: Sequence[Value]
    ) -> None:
        self.sources, self.loss, self.references = list(sources), loss, list(references)
        # What stops a gradient stops no difference.
        self._stops = {each.name for each in graph.operations if each.kind == "stop_gradient"}
        freed = [
            replace(each, kind="identity") if each.name in self._stops else each for each in graph.operations
        ]
        self.graph = Graph(freed, graph.inputs, graph.outputs, graph.calls)
        self.steps = _joined([*_reached(find_steps(self.graph, sources, [loss]), loss)])
        active = flowing(self.graph, sources)
        hidden = self.graph.after(sources) - active
        named = [(f"{step.path} ({step.operation.kind})", _adds_up(step, hidden)) for step in self.steps]
        self.coverage = backend.Coverage(
            tuple(name for name, exact in named if exact), tuple(name for name, exact in named if not exact)
        )

    def __call__(
        self, replay: backend.Replay, slopes: Sequence[Any] | None = None
    ) -> tuple[list[Any | None], list[Any]]:
        given = _Freed(replay, self._stops)
        here, there = (Run(each, self.graph, self.sources) for each in (given, self._at_references(given)))
        arrived = {self.loss: ops.ones_like(here.tensor(self.loss))}
        for step in self.steps:
            at, at0 = Site(step, here), Site(step, there)
            outputs = [here.tensor(value) for value in step.outputs]
            came = [arrived.pop(value, None) for value in step.outputs]
            last = max(place for place, each in enumerate(came) if each is not None)
            multipliers = [
                ops.zeros_like(output) if each is None else _cast(each, output)
                for each, output in zip(came[: last + 1], outputs, strict=False)
            ]
            for value, x, more in zip(
                step.inputs, at.inputs, passed(step, at, at0, multipliers), strict=True
            ):
                more = _cast(more, x)
                arrived[value] = arrived[value] + more if value in arrived else more
        return [arrived.get(source) for source in self.sources], []

    def _at_references(self, replay: backend.Replay) -> backend.Replay:
        """Return the same run with the references in place of the sources."""
        made = {
            source: replay.tensor(reference)
            for source, reference in zip(self.sources, self.references, strict=True)
        }
        for operation in self.graph.between(self.sources, [self.loss]):
            operands = [made[v] if v in made else replay.tensor(v) for v in operation.operands]
            made.update(zip(operation.outputs, replay.run(operation, operands), strict=False))
        return _Changed(replay, made)


class _Freed(backend.Replay):
    """A run in which gradients pass what stops them, given the names of these operations."""

    def __init__(self, replay: backend.Replay, stops: set[str]) -> None:
        self._replay, self._stops = replay, stops

    def tensor(self, value: Value) -> Any:
        return self._replay.tensor(value)

    def run(self, operation: Operation, operands: Sequence[Any], values: bool = True) -> list[Any]:
        if operation.name in self._stops:
            return list(operands[:1])
        return self._replay.run(operation, operands, values)


class _Changed(backend.Replay):
    """A run in which some values have other tensors."""

    def __init__(self, replay: backend.Replay, made: dict[Value, Any]) -> None:
        self._replay, self._made = replay, made

    def tensor(self, value: Value) -> Any:
        return self._made[value] if value in self._made else self._replay.tensor(value)

    def run(self, operation: Operation, operands: Sequence[Any], values: bool = True) -> list[Any]:
        return self._replay.run(operation, operands, values)


def _reached(steps: Iterable[Step], loss: Value) -> Iterable[Step]:
    """Yield the sites at which multipliers arrive, from the last to the first."""
    reached = {loss}
    for step in steps:
        if not reached.isdisjoint(step.outputs):
            reached.update(step.inputs)
            yield step


def _joined(steps: Sequence[Step]) -> list[Step]:
    """Return the sites with activations that follow each other as one: what is between may be infinite."""
    uses = Counter(value for step in steps for value in step.inputs)
    makers = {step.outputs[0]: step for step in steps if _is_activation(step)}
    taken: set[Step] = set()
    found = []
    for step in steps:
        if step in taken:
            continue
        while _is_activation(step) and uses[step.inputs[0]] == 1 and step.inputs[0] in makers:
            before = makers[step.inputs[0]]
            taken.add(before)
            step = replace(step, operations=(*before.operations, *step.operations), inputs=before.inputs)
        found.append(step)
    return found


def _is_activation(step: Step) -> bool:
    elementwise = step.kind == "activation" and len(step.inputs) == 1 and _is_elementwise(step)
    return elementwise and not _is_linear(step)


def _adds_up(step: Step, hidden: set[Value]) -> bool:
    """Tell whether the multipliers of a site account for the whole difference of its output.

    Args:
        step: the site.
        hidden: the values that depend on the sources in ways without gradients.
    """
    made = {value for operation in step.operations for value in operation.outputs}
    if any(v in hidden and v not in made for operation in step.operations for v in operation.operands):
        return False
    if step.kind == "softmax":
        return _softmax_axes(step) is not None
    return step.kind == "maximum" or _is_linear(step) or _is_of_degree_two(step) or _is_elementwise(step)


def _is_linear(step: Step) -> bool:
    """Tell whether the gradient of a site is the same everywhere."""
    kind = step.operation.kind
    if len(step.operations) > 1:
        return step.kernel is not None
    if kind in ("divide", "divide_no_nan"):
        return step.slots == (0,)
    return step.kind in _LINEAR or kind in ("identity", "cast")


def _is_of_degree_two(step: Step) -> bool:
    """Tell whether the gradient halfway between two points gives the exact difference."""
    return len(step.operations) == 1 and step.operation.kind in _OF_DEGREE_TWO


def _is_elementwise(step: Step) -> bool:
    return all(map(is_elementwise, step.operations))


def passed(step: Step, at: Site, at0: Site, multipliers: list[Any]) -> list[Any]:
    """Return the multipliers of the inputs of a site, given those of its outputs.

    Args:
        step: the site.
        at, at0: the site at the input, and at the reference.
        multipliers: of the first outputs.
    """
    if step.kernel is not None:
        return at.backward(at.arranged(multipliers[0]))
    if step.kind == "maximum":
        return _of_maximum(step, at, at0, multipliers[0])
    axes = _softmax_axes(step) if step.kind == "softmax" else None
    if axes is not None:
        return [_of_softmax(step, at.x, at0.x, multipliers[0], axes)]
    if _is_linear(step):
        return at.backward(multipliers)
    if not _is_of_degree_two(step) and _is_elementwise(step):
        return _of_elementwise(at, at0, multipliers[0])
    return at.backward(multipliers, x=_halfway(at.inputs, at0.inputs))


def _halfway(inputs: Sequence[Any], references: Sequence[Any]) -> list[Any]:
    both = zip(inputs, references, strict=True)
    return [(x + x0) / 2 if "float" in str(x.dtype) else x for x, x0 in both]


def _cast(x: Any, like: Any) -> Any:
    return x if x.dtype == like.dtype else ops.cast(x, like.dtype)


def _difference(x: Any, x0: Any) -> Any:
    """Return a difference, which is zero for equal infinities."""
    return ops.where(ops.equal(x, x0), 0.0, x - x0)


def _of_elementwise(at: Site, at0: Site, multiplier: Any) -> list[Any]:
    y, y0 = at.output, at0.output
    inputs, references = ([_spread(x, y) for x in site.inputs] for site in (at, at0))
    ways = [_difference(x, x0) for x, x0 in zip(inputs, references, strict=True)]
    rise = _difference(y, y0)
    slopes = at.backward(ops.ones_like(y), x=_halfway(inputs, references))
    explained = sum(slope * way for slope, way in zip(slopes, ways, strict=True))
    # Small differences have large rounding errors, which their quotient would show.
    precision = 8 * float(np.finfo(keras.backend.standardize_dtype(y.dtype)).eps)
    is_rounding = ops.abs(rise - explained) <= precision * (ops.abs(y) + ops.abs(y0))
    rises = [rise] if len(inputs) == 1 else _one_after_the_other(at, inputs, references)
    found = []
    for x, slope, way, part in zip(at.inputs, slopes, ways, rises, strict=True):
        found.append(fitted(multiplier * ops.where(is_rounding, slope, quotient(part, way)), x))
    return found


def _spread(x: Any, y: Any) -> Any:
    return x if tuple(x.shape) == tuple(y.shape) else ops.broadcast_to(x, ops.shape(y))


def _one_after_the_other(at: Site, inputs: Sequence[Any], references: Sequence[Any]) -> list[Any]:
    """Return how much the output rises with each input, averaged over an order and its reverse."""
    places = range(len(inputs))
    rises: list[Any] = [0.0 for _ in places]
    for order in (places, places[::-1]):
        now = list(references)
        before = at.forward(now)
        for place in order:
            now[place] = inputs[place]
            after = at.forward(now)
            rises[place], before = rises[place] + _difference(after, before) / 2, after
    return rises


def _of_maximum(step: Step, at: Site, at0: Site, multiplier: Any) -> list[Any]:
    # A rise is at most that of the largest value now, a fall at most that of the largest one before.
    rise = multiplier * _difference(at.output, at0.output)
    rises = _difference(at.output, at0.output) > 0
    if step.operation.kind in ("reduce_min", "minimum"):
        rises = ops.logical_not(rises)
    nothing = ops.zeros_like(rise)
    parts = at.backward(ops.where(rises, rise, nothing)), at0.backward(ops.where(rises, nothing, rise))
    found = []
    for x, x0, slope, *both in zip(at.inputs, at0.inputs, at.backward(multiplier), *parts, strict=True):
        way = _difference(x, x0)
        found.append(ops.where(ops.equal(way, 0), slope, quotient(both[0] + both[1], way)))
    return found


def _softmax_axes(step: Step) -> tuple[int, ...] | None:
    """Return the axes of a softmax, or None for one that is not just that of its input."""
    if any(operation.kind not in _OF_SOFTMAX for operation in step.operations):
        return None
    for operation in step.operations:
        if operation.kind in ("softmax", "log_softmax"):
            return (operation.attributes["axis"],)
        if operation.kind == "reduce_sum":
            axes = operation.attributes["axes"]
            return None if axes is None else tuple(axes)
    return None


def _of_softmax(step: Step, x: Any, x0: Any, multiplier: Any, axes: tuple[int, ...]) -> Any:
    logs, logs0 = (each - ops.logsumexp(each, axis=axes, keepdims=True) for each in (x, x0))
    means = logarithmic_mean(logs, logs0)
    shares = means / ops.sum(means, axis=axes, keepdims=True)
    if step.operation.kind in ("log_softmax", "subtract"):
        return multiplier - shares * ops.sum(multiplier, axis=axes, keepdims=True)
    return means * (multiplier - ops.sum(shares * multiplier, axis=axes, keepdims=True))


def logarithmic_mean(logs: Any, logs0: Any) -> Any:
    """Return `(y - y0) / (log y - log y0)`, given the logarithms."""
    way = _difference(logs, logs0)
    square = way * way
    series = 1 + square / 24 * (1 + square / 80 * (1 + square / 168))
    near = ops.exp((logs + logs0) / 2) * series
    is_apart = ops.abs(way) > _APART
    return ops.where(is_apart, (ops.exp(logs) - ops.exp(logs0)) / ops.where(is_apart, way, 1), near)
