"""Attention: how much each token takes from each other token, layer by layer, from the last to the first.

Attention is found by what is computed: a product of a signal with the weights of a softmax that is taken over
what the product sums over. Which axis holds queries, keys and heads follows from the letters of the product.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras import ops

from vis import backend
from vis.errors import LayerError, ModifierError, PartialOverrideWarning, warn
from vis.graph import Geometry, Graph, Operation, Squashings, Value
from vis.graph.activations import flowing
from vis.graph.elementwise import is_elementwise
from vis.graph.views import Axis, alike
from vis.relevance.rules.base import quotient
from vis.relevance.site import Run, widened
from vis.relevance.steps import Step, find_steps

_MOVES = frozenset(["reshape", "expand_dims", "squeeze", "transpose", "slice", "broadcast"])
_HANDS_ON = _MOVES | {"select", "multiply", "divide", "add", "subtract", "identity", "cast", "tile"}
_SHOWN = (
    "Attention is a product with the weights of a softmax. If it runs in an operation that hides its "
    "weights, such as flash attention, turn that off: keras.config.disable_flash_attention(), before the "
    "model is built; if it is in a loop or a function of its own, write it with einsum or matmul and softmax"
)


@dataclass(frozen=True, eq=False)
class Attention:
    """A product of a signal with the weights of a softmax.

    Args:
        weights, signal, output: the values; the weights as the product takes them.
        letters: of the axes of each of them.
        batch, query, key: the letters of these axes; the query is empty for a single one.
        path: the path of its layer.
        is_self: whether the queries are the tokens that the keys are.
        is_mixed: whether the queries have positions in another way than the keys.
    """

    weights: Value
    signal: Value
    output: Value
    letters: tuple[str, str, str]
    batch: str
    query: str
    key: str
    path: str
    is_self: bool
    is_mixed: bool

    @property
    def axis(self) -> int:
        """The axis of the signal along which the tokens run."""
        return self.letters[1].index(self.key)

    def arranged(self, tensor: Any, samples: Any, keys: Any, of_output: bool = False) -> Any:
        """Return a tensor in the layout of the weights as `(batch, heads, queries, keys)`.

        Args:
            tensor: the tensor.
            samples: the number of samples.
            keys: the number of keys.
            of_output: whether it has the layout of the output; its features take the place of the keys.
        """
        letters = self.letters[2 if of_output else 0]
        features = (
            [letter for letter in letters if letter not in self.letters[0]] if of_output else [self.key]
        )
        heads = [each for each in letters if each not in (self.batch, self.query, *features)]
        order = (self.batch, *heads, *self.query, *features)
        tensor = ops.transpose(tensor, [letters.index(each) for each in order])
        sizes = ops.shape(tensor)
        # Heads may share the axis of the queries, which come after them there.
        queries = keys if self.is_self else sizes[1 + len(heads)] if self.query else 1
        last = 1
        for size in sizes[len(order) - len(features) :]:
            last = last * size
        return ops.reshape(tensor, (samples, -1, queries, last))


class Attentions:
    """The attention between some values and others.

    Args:
        graph: the graph.
        sources: what the tokens come from.
        ends: what they lead to.
        loss: what is computed of the ends; None if all of them count.

    Attributes:
        layers: in the order of computation, each with one attention, or several that run side by side, like
            heads.
        hidden: operations of several signals whose inside is not seen.

    Raises:
        LayerError: if there is none, or they are not layers of attention among the same tokens. The last one
            may have other queries, such as a learned one.
    """

    def __init__(
        self, graph: Graph, sources: Sequence[Value], ends: Sequence[Value], loss: Value | None = None
    ) -> None:
        self._graph, self._sources = graph, list(sources)
        used = graph.before([*ends] if loss is None else [loss])
        self._steps = [
            step for step in reversed(find_steps(graph, sources, ends)) if not used.isdisjoint(step.outputs)
        ]
        self._active = flowing(graph, sources)
        self._squashings = Squashings(graph)
        opaque = [step for step in self._steps if step.kind == "unknown" and len(set(step.inputs)) > 2]
        self.hidden = [f"{step.path} ({step.operation.kind})" for step in opaque]
        found = [self._site(*each) for each in self._products]
        self.layers = self._layered([site for site in found if site is not None])
        self._check()

    @cached_property
    def _products(self) -> list[tuple[Step, int]]:
        """The products of two values of which one is a softmax, with the index of that one."""
        found = []
        for step in self._steps:
            if step.kind == "attention" and step.operation.kind == "product" and len(step.inputs) == 2:
                found.append((step, step.signals.index(False)))
        return found

    @cached_property
    def geometry(self) -> Geometry:
        """How values depend on the source whose positions the keys of the first layer are."""
        made = [Geometry(self._graph, source) for source in self._sources]

        def follows(geometry: Geometry) -> bool:
            step, at = self._products[0]
            view = geometry.views.get(step.inputs[1 - at])
            apart = {0, *geometry.channel_axes()}
            return view is not None and any(axis.sources - apart for axis in view.axes)

        return next(filter(follows, made), made[0])

    def _site(self, step: Step, at: int) -> Attention | None:
        operation = step.operation
        weights, signal = step.inputs[at], step.inputs[1 - at]
        *sides, out = operation.attributes["letters"]
        slot = operation.operands.index(weights)
        own, others = sides[slot], sides[1 - slot]
        keys = [letter for letter in own if letter in others and letter not in out]
        if len(keys) != 1 or not self._sums_to_one(weights, own.index(keys[0]), operation):
            return None
        letters = [letter for letter in own if letter in out and letter not in others]
        queries = self._queries(letters, own, keys[0], weights)
        if len(queries) > 1:
            return None
        view = self.geometry.views.get(weights)
        of_samples = [
            letter
            for letter, axis in zip(own, () if view is None else view.axes, strict=False)
            if 0 in axis.sources and letter not in (*queries, *keys)
        ]
        batch = of_samples[0] if of_samples else own[0]
        query = queries[0] if queries else ""
        if batch in (query, keys[0]):
            return None
        answers = self._relations(weights)
        sizes = self.geometry.shape(weights)
        if not answers and sizes is not None and query:
            answers = {sizes[own.index(query)] == sizes[own.index(keys[0])]}
        is_self = bool(query) and True in answers
        owner = self._graph.owner(operation)
        path = step.path if owner is None else owner.path or step.path
        return Attention(
            weights,
            signal,
            operation.outputs[0],
            (own, others, out),
            batch,
            query,
            keys[0],
            path,
            is_self,
            not is_self and None in answers,
        )

    def _queries(self, letters: list[str], own: str, key: str, weights: Value) -> list[str]:
        """Return those of some letters of weights that are of queries: others are of heads.

        Heads that share a signal have an axis of their own, as queries have. Queries have positions, or else
        they are as many as the keys.
        """
        sizes = self.geometry.shape(weights) or (0,) * len(own)
        several = [letter for letter in letters if sizes[own.index(letter)] != 1] or letters[-1:]
        view = self.geometry.views.get(weights)
        if len(several) < 2 or view is None:
            return several
        apart = {0, *self.geometry.channel_axes()}
        placed = [letter for letter in several if view.axes[own.index(letter)].sources - apart]
        alike_keys = [letter for letter in several if sizes[own.index(letter)] == sizes[own.index(key)]]
        return placed if len(placed) == 1 else alike_keys if len(alike_keys) == 1 else several

    def _sums_to_one(self, weights: Value, axis: int, product: Operation) -> bool:
        """Tell whether the softmax whose numbers a value holds is taken over an axis of the value."""
        found = self._softmax(weights)
        if found is None:
            return False
        (end, before), graph = found, self._graph
        maker = graph.maker(end)
        rank = len(end.shape or ())
        if maker.kind == "softmax":
            axes = {maker.attributes["axis"] % rank}
        else:
            sums = [each for each in graph.between([before], [end]) if "reduce" in each.kind]
            axes = {each % rank for one in sums for each in one.attributes.get("axes") or ()}
        first, last = (graph.operations.index(each) for each in (maker, product))
        moves = Graph(graph.operations[first + 1 : last], [end], [weights])
        view = Geometry(moves, end).views.get(weights)
        if view is None or view.axes[axis].is_unknown or view.axes[axis].sources == axes:
            return True
        return view.axes[axis].size == 1 and all((end.shape or ())[each] == 1 for each in axes)

    def _softmax(self, value: Value) -> tuple[Value, Value] | None:
        """Return the softmax that a value holds the numbers of, moved or scaled, and what it is taken of."""
        while value in self._active:
            before = self._squashings.softmax(value)
            if before is not None:
                found = self._squashings.of(value)
                return (value, before) if found is not None and found.kind == "softmax" else None
            operation = self._graph.maker(value)
            inputs = [each for each in operation.operands if each in self._active]
            divides = operation.kind == "divide" and inputs != [operation.operands[0]]
            if value in self._sources or len(inputs) != 1 or operation.kind not in _HANDS_ON or divides:
                return None
            (value,) = inputs
        return None

    def _relations(self, weights: Value) -> set[bool | None]:
        """Return whether queries and keys have the same positions, as far as it is seen.

        It is seen at the products of queries and keys that the softmax is taken of: True if they have, False
        if only one of both has positions, None if they have others.
        """
        softmax = self._softmax(weights)
        pending = [] if softmax is None else [softmax[1]]
        answers: set[bool | None] = set()
        seen: set[Operation] = set()
        while pending:
            value = pending.pop()
            operation = self._graph.maker(value)
            if value in self._sources or operation in seen:
                continue
            seen.add(operation)
            if operation.kind == "product":
                answers |= self._relation(operation)
            elif operation.kind in _MOVES or is_elementwise(operation):
                pending += [operand for operand in operation.operands if operand in self._active]
        return answers

    def _relation(self, product: Operation) -> set[bool | None]:
        """Return how the positions of the rows of a product are related to those of its columns."""
        *sides, out = product.attributes["letters"]
        apart = {0, *self.geometry.channel_axes()}
        found: list[list[Axis]] = []
        for value, own, others in zip(product.operands, sides, sides[::-1], strict=False):
            view = self.geometry.views.get(value)
            kept = [index for index, letter in enumerate(own) if letter in out and letter not in others]
            axes = [] if view is None else [view.axes[index] for index in kept]
            if any(axis.is_unknown for axis in axes):
                return set()
            found.append([axis for axis in axes if axis.sources - apart])
        one, other = found
        if not one or not other:
            return {False} if one or other else set()
        same = len(one) == len(other) == 1 and (_ends_in(one[0], other[0]) or _ends_in(other[0], one[0]))
        return {True if same else None}

    def _layered(self, sites: Sequence[Attention]) -> list[list[Attention]]:
        """Return sites by how many others lie before them."""
        depths = [0] * len(sites)
        for place, site in enumerate(sites):
            behind = self._graph.after([site.output])
            for later in range(place + 1, len(sites)):
                if sites[later].weights in behind or sites[later].signal in behind:
                    depths[later] = max(depths[later], depths[place] + 1)
        return [
            [site for site, depth in zip(sites, depths, strict=True) if depth == layer]
            for layer in range(max(depths, default=-1) + 1)
        ]

    def _check(self) -> None:
        if not self.layers:
            others = [step.path for step, _ in self._products]
            told = f" Operations that it may run in: {', '.join(self.hidden[:5])}." if self.hidden else ""
            if others:
                told += (
                    " Products with a softmax that is not taken over the one axis that they sum over: "
                    f"{', '.join(others[:5])}."
                )
            raise LayerError(
                f"There is no attention between the input and the explained output.{told} {_SHOWN}. For "
                "models without attention, take another explainer, such as GradCAM or IntegratedGradients."
            )
        apart = {0, *self.geometry.channel_axes()}
        tokens = self._tokens(self.layers[0][0])
        for place, layer in enumerate(self.layers):
            for site in layer:
                view = self.geometry.views.get(site.signal)
                beside = [] if view is None else [*view.axes[: site.axis], *view.axes[site.axis + 1 :]]
                if any(axis.sources - apart for axis in beside):
                    raise LayerError(
                        f"The attention of {site.path!r} is not among all tokens: each query sees a window, "
                        "one axis of them, or features. Explain a model whose tokens all see each other, or "
                        "take another explainer, such as LRP or GradCAM."
                    )
                mine = self._tokens(site)
                same = tokens is None or mine is None or (tokens.size == mine.size and alike(tokens, mine))
                is_alone = len(layer) == 1 and place == len(self.layers) - 1
                if not same:
                    raise _lost(site, "its keys are other tokens than those of the first attention")
                if site.is_mixed:
                    raise _lost(site, "its queries have other positions than its keys")
                if not site.is_self and not is_alone:
                    what = "its queries are other tokens than its keys (cross-attention), and other attention"
                    raise _lost(site, f"{what} comes after it or beside it")

    def _tokens(self, site: Attention) -> Axis | None:
        """Return the axis of the keys of a site, or None if their positions are not known."""
        view = self.geometry.views.get(site.signal)
        axis = None if view is None else view.axes[site.axis]
        return None if axis is None or axis.is_unknown else axis


def _lost(site: Attention, what: str) -> LayerError:
    return LayerError(
        f"The attention of {site.path!r} cannot be followed: {what}. Explain the part of the model that has "
        "attention among the same tokens: name its last layer as output_layer, or what its tokens come from "
        "as wrt."
    )


def _ends_in(axis: Axis, keys: Axis) -> bool:
    """Tell whether an axis has the positions of another one, in each of several heads before them."""
    if alike(axis, keys):
        return True
    for count, part in enumerate(axis.parts[:-1], start=1):
        if part.source >= 0 or part.inner is not None:
            return False
        rest = axis.parts[count:]
        inner = rest[0].inner if len(rest) == 1 else None
        if alike(inner or Axis(math.prod(each.size for each in rest), rest), keys):
            return True
    return False


class AttentionFlow(backend.Flow):
    """Passes back which tokens count, from those that the score reads of the last layer to the first.

    What it returns for each source is `(batch, tokens)`, the tokens being the keys of the first layer: the
    product of the rows `w` of the last layer with the matrices of all layers, `w M_L ... M_1`. A row counts
    by the size of the gradient of the score by what the last attention makes for it, `w_q` proportional to
    `|dS / do_q|`, and the rows of a sample add up to 1: only the class token's row, if the score depends on
    that alone; all rows behind an average; the last position's of a decoder that is asked for its next token.
    """

    name: str
    # Whether `matrix` is given the gradients by the weights.
    takes_gradients = False

    def plan(
        self,
        graph: Graph,
        sources: Sequence[Value],
        ends: Sequence[Value],
        loss: Value | None = None,
        references: Sequence[Value] = (),
    ) -> AttentionPlan:
        if loss is None:
            raise ModifierError(
                f"{self.name!r} explains a score, and is not a derivative of a model. Take its explainer in "
                "vis.attributions."
            )
        return AttentionPlan(self, Attentions(graph, sources, ends, loss), graph, sources, loss)

    def report(self, coverage: backend.Coverage, name: str, model: str) -> None:
        if coverage.missed:
            warn(
                f"The map of the model {model!r} by {name!r} leaves out operations of several signals whose "
                f"inside is not seen: {', '.join(coverage.missed[:5])}. {_SHOWN}.",
                PartialOverrideWarning,
            )

    @abstractmethod
    def matrix(self, weights: Any, gradients: Any | None, is_self: bool) -> Any:
        """Return how much each query takes from each key, `(batch, queries, keys)`.

        Args:
            weights: `(batch, heads, queries, keys)`.
            gradients: of the score by them; None unless it takes them.
            is_self: whether the queries are the keys, so that each passes itself on, too.
        """


class Rollout(AttentionFlow):
    """`M = (mean_h A_h + I) / 2` with rows that add up to 1; `mean_h A_h` where queries are no keys."""

    name = "attention_rollout"

    def matrix(self, weights: Any, gradients: Any | None, is_self: bool) -> Any:
        mean = ops.mean(weights, axis=1)
        mean = mean + _identity(mean) if is_self else mean
        return quotient(mean, ops.sum(mean, axis=-1, keepdims=True))


class GradientRollout(AttentionFlow):
    """`M = I + mean_h max(A_h dS/dA_h, 0)`; without `I` where queries are no keys."""

    name = "attention_relevance"
    takes_gradients = True

    def matrix(self, weights: Any, gradients: Any | None, is_self: bool) -> Any:
        mean = ops.mean(ops.maximum(weights * gradients, 0), axis=1)
        return mean + _identity(mean) if is_self else mean


def _identity(matrices: Any) -> Any:
    return ops.eye(ops.shape(matrices)[-1], dtype=matrices.dtype)


class AttentionPlan(backend.FlowPlan):
    """The layers of attention of a graph.

    Args:
        flow: what is made of them.
        found: the layers.
        graph: the graph.
        sources: what the tokens come from.
        loss: the score.
    """

    def __init__(
        self, flow: AttentionFlow, found: Attentions, graph: Graph, sources: Sequence[Value], loss: Value
    ) -> None:
        self._flow, self._layers = flow, found.layers
        self._graph, self._sources, self._loss = graph, list(sources), loss
        self.coverage = backend.Coverage(
            tuple(site.path for layer in found.layers for site in layer), tuple(found.hidden)
        )

    def __call__(
        self, replay: backend.Replay, slopes: Sequence[Any] | None = None
    ) -> tuple[list[Any | None], list[Any]]:
        run = Run(replay, self._graph, self._sources)
        samples = ops.shape(run.samples)[0]
        layers, last = self._layers, self._layers[-1]
        sites = [site for layer in layers for site in layer]
        watched = [site.output for site in last]
        if self._flow.takes_gradients:
            watched += [site.weights for site in sites]
        watched = list(dict.fromkeys(watched))
        slope = dict(zip(watched, self._gradients(run, watched), strict=True))
        keys = {site: ops.shape(run.tensor(site.weights))[site.letters[0].index(site.key)] for site in sites}
        counts = [
            ops.sum(ops.square(site.arranged(slope[site.output], samples, keys[site], True)), axis=(1, 3))
            for site in last
        ]
        sizes = ops.sqrt(sum(counts[1:], counts[0]))
        rows = quotient(sizes, ops.sum(sizes, axis=1, keepdims=True))[:, None]
        for layer in reversed(layers):
            own = [(site.weights, site, keys[site]) for site in layer]
            weights = [site.arranged(run.tensor(value), samples, count) for value, site, count in own]
            gradients = []
            if self._flow.takes_gradients:
                gradients = [site.arranged(slope[value], samples, count) for value, site, count in own]
            heads, by_heads = (
                ops.concatenate(each, axis=1) if each else None for each in (weights, gradients)
            )
            rows = ops.matmul(rows, self._flow.matrix(heads, by_heads, layer[0].is_self))
        return [rows[:, 0] for _ in self._sources], []

    def _gradients(self, run: Run, values: Sequence[Value]) -> list[Any]:
        """Return the gradients of the loss by some values, through all that depends on each of them."""
        probes = [ops.zeros_like(run.tensor(value)) for value in values]

        def computed(given: Sequence[Any]) -> list[Any]:
            added = dict(zip(values, given, strict=True))
            made = {value: run.tensor(value) + probe for value, probe in added.items()}
            for operation in self._graph.between(values, [self._loss]):
                operands = [made[v] if v in made else run.tensor(v) for v in operation.operands]
                results = operands[:1]
                if not (operation.kind == "cast" and "float16" in operation.outputs[0].dtype):
                    results = run.replay.run(operation, operands)
                for value, result in zip(operation.outputs, map(widened, results), strict=True):
                    made[value] = result + added[value] if value in added else result
            return [made[self._loss]]

        return backend.pulled(computed, probes, [ops.ones_like(run.tensor(self._loss))])


ROLLOUT, GRADIENT_ROLLOUT = Rollout(), GradientRollout()
