"""What the outputs of models and layers end in, read from a trace of their last steps."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import keras

from vis import backend
from vis.errors import SoftmaxWarning, warn
from vis.graph import SOFTMAX, Graph, Squashing, Squashings, Value
from vis.models.calls import Call, first_node, lasting, node_of, operation_of, spec_of
from vis.models.find import output_structure, unmodified
from vis.models.findings import Findings
from vis.models.probe import noting, paths_of
from vis.models.reading import read
from vis.models.settings import Written

_known: Findings[list[Squashing]] = Findings()


class LastSteps:
    """The last calls of a functional model's graph, as many as are needed to tell what its outputs end in.

    Args:
        outputs: symbolic tensors of one graph.
        written: receives what the layers write when they are called, see `Probe.written`.
    """

    graph: Graph
    values: dict[int, Value]
    found: list[Squashing | None]

    def __init__(self, outputs: Sequence[Any], written: Written | None = None) -> None:
        self._written = set() if written is None else written
        nodes = {id(node): node for node in map(node_of, outputs)}
        while True:
            self._read(outputs, nodes)
            before = [symbol for symbol in self._entries if node_of(symbol).input_tensors]
            reached = [node_of(symbol) for symbol in before if self.values[id(symbol)] in self._reached]
            if not reached:
                return
            nodes.update({id(node): node for node in reached})

    def _read(self, outputs: Sequence[Any], nodes: dict[int, Any]) -> None:
        order = _ordered(outputs, nodes)
        made = {id(symbol) for node in order for symbol in node.output_tensors}
        entries = {
            id(symbol): symbol
            for node in order
            for symbol in node.input_tensors or node.output_tensors
            if id(symbol) not in made or not node.input_tensors
        }
        self._entries = list(entries.values())
        self.symbols = {**entries, **{id(symbol): symbol for node in order for symbol in node.output_tensors}}

        def forward(tensors: list[Any]) -> list[Any]:
            known = dict(zip(entries, tensors, strict=True))
            for node in order:
                if node.input_tensors:
                    args, kwargs = node.arguments.fill_in(known)
                    run = noting(node.operation, self._written)  # a twin: does not touch the user's layer
                    returned = keras.tree.flatten(run(*args, **kwargs))
                    known.update(zip(map(id, node.output_tensors), returned, strict=True))
            return [known[key] for key in self.symbols]

        self.graph = backend.traced(forward, [spec_of(symbol) for symbol in self._entries])
        self.values = dict(zip(self.symbols, self.graph.outputs, strict=True))
        ends = Squashings(self.graph)
        self.found = [ends.of(self.values[id(symbol)]) for symbol in outputs]
        self._reached = ends.reached


def _ordered(outputs: Sequence[Any], nodes: dict[int, Any]) -> list[Any]:
    """Return those calls that compute `outputs`, in an order in which they can run."""
    order: dict[int, Any] = {}
    pending = [(node_of(symbol), False) for symbol in outputs]
    while pending:
        node, is_ready = pending.pop()
        if id(node) in order or id(node) not in nodes:
            continue
        if is_ready:
            order[id(node)] = node
        else:
            pending.append((node, True))
            pending += [(node_of(symbol), False) for symbol in node.input_tensors]
    return list(order.values())


def squashings(model: Any, layer: Any = None) -> list[Squashing]:
    """Return what the outputs of a model end in if they are squashed, as far as a graph or a shape tells.

    Args:
        model: a built Keras model.
        layer: the layer whose outputs are meant; None for the model's own.
    """
    original, _ = unmodified(model)
    target = original if layer is None or layer is model else layer
    thing, which = lasting(target)

    def make(written: Written) -> list[Squashing]:
        return [each for each in _squashings(original, target, written) if each is not None]

    return _known.get(original, make, [thing], which)


def own_squashings(layer: Any) -> list[Squashing]:
    """Return what the symbolic outputs of a layer, a call or a tensor end in, whatever model it is in."""
    return [] if _outputs(layer) is None else squashings(layer)


def _squashings(original: Any, target: Any, written: Written) -> list[Squashing | None]:
    outputs = output_structure(target) if isinstance(target, keras.Model) else _outputs(target)
    if outputs is not None:
        return LastSteps(keras.tree.flatten(outputs), written).found
    specs = specs_of(original)
    if specs is None:
        return []
    path = paths_of(original).get(id(operation_of(target)))
    graph = read(original, specs)
    ends = Squashings(graph)
    index = target.index if isinstance(target, Call) else None
    calls = [call for call in graph.calls if call.path == path and index in (None, call.index)]
    return [ends.of(value) for call in calls for value in call.outputs]


def _outputs(layer: Any) -> Any:
    if isinstance(layer, keras.KerasTensor):
        return [layer]
    if isinstance(layer, Call):
        return None if layer.tensor is None else [layer.tensor]
    node = first_node(layer)
    return None if node is None else node.output_tensors


def specs_of(model: Any) -> list[backend.Spec] | None:
    """Return the input specs of a model without symbolic inputs, or None unless it is one known array."""
    built = model.get_build_config() or {}
    shape = built.get("input_shape")
    if not isinstance(shape, list | tuple) or not all(
        size is None or isinstance(size, int) for size in shape
    ):
        return None
    # The data type of the input is not recorded anywhere.
    for dtype in (keras.config.floatx(), "int32", "string"):
        specs = [backend.Spec((None, *shape[1:]), dtype)]
        with contextlib.suppress(Exception):
            read(model, specs)
            return specs
    return None


def warn_of_softmax(name: str, found: Sequence[Squashing | None]) -> None:
    """Warn if what is explained ends in a softmax.

    Args:
        name: the name of the layer or model.
        found: what its outputs end in.
    """
    for squashing in found:
        if squashing is not None and squashing.kind in SOFTMAX:
            advice = "Explain the logits: model = vis.linear_outputs(model)."
            if squashing.why:
                advice = f"It cannot be removed: {squashing.why}. Explain the logits of its parts one by one."
            warn(
                f"The output of {name!r} ends in a softmax: raising one class lowers the others, and the "
                f"gradient vanishes where the softmax saturates. {advice}",
                SoftmaxWarning,
            )
            return
