"""Models that share every variable with another: before its softmax, or with its changes in force."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from vis import backend
from vis.errors import ModelError, SoftmaxWarning, warn
from vis.graph import Graph, Skip, Squashing, Squashings, Value, signature
from vis.models.calls import operation_of
from vis.models.ends import LastSteps, node_of, specs_of
from vis.models.find import (
    check_model,
    input_structure,
    output_structure,
    sublayers,
    unmodified,
    upstream,
)
from vis.models.modified import modified
from vis.models.probe import noting
from vis.models.twins import derived, exchanged, twin

_COMPILED = ("predict_function", "test_function", "train_function")


def activation_name(operation: Any) -> str | None:
    """Return what the activation that ends a layer or model is called, or None if it has none: a mere label.

    What is computed is told by `squashings` and by the graph.
    """
    operation = operation_of(operation)
    if isinstance(operation, keras.Model):
        outputs = keras.tree.flatten(output_structure(operation))
        names = {activation_name(tensor._keras_history.operation) for tensor in outputs if tensor is not None}
        return names.pop() if len(names) == 1 else None
    function = getattr(operation, "activation", None)
    if function is not None:
        return getattr(function, "__name__", type(function).__name__.lower())
    if isinstance(operation, keras.layers.Wrapper):
        return activation_name(operation.layer)
    kinds = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
    return kinds.get(type(operation).__name__)


@keras.saving.register_keras_serializable(package="vis")
class SequentialLogits(keras.Model):  # type: ignore[misc]
    """The logits of a sequential model: like that, it does not count its input among its layers."""

    @property
    def layers(self) -> Any:
        return [layer for layer in super().layers if not isinstance(layer, keras.layers.InputLayer)]


def linear_outputs(model: Any) -> Any:
    """Return the model before its softmax (or log-softmax, sigmoid, tanh): the logits.

    What squashes an output is found by what is computed, however it is written, and left out: the result
    returns what entered it. A temperature before it and a scaling, a cast or a reshape behind it are kept, so
    that filters keep their indices; a clip or a logarithm behind it goes with it. The result shares every
    layer but those that squash with `model`, and every variable with it. An output that is not squashed stays
    as it is; if none is, `model` itself comes back.

    Args:
        model: a built model, possibly nested, or a modified one.

    Raises:
        ModelError: for a model that is not built, or a subclassed one whose input shape is not known; if no
            output can be taken off, such as that of an average of softmaxes, with the reason.

    Warns:
        SoftmaxWarning: if some outputs stay as they are for such a reason.
    """
    check_model(model)
    original, modifier = unmodified(model)
    if output_structure(original) is None:
        linear, kept = _linear_subclassed(original)
    else:
        linear, kept = _linear_functional(original)
    if kept and linear is original:
        raise ModelError(f"The softmax of the model {model.name!r} cannot be taken off. {' '.join(kept)}")
    if kept:
        warn(f"Not every softmax of the model {model.name!r} is taken off. {' '.join(kept)}", SoftmaxWarning)
    if linear is original:
        return model
    return modified(linear, *modifier) if modifier else linear


def _reasons(found: Sequence[Squashing | None]) -> list[str]:
    return [
        f"Output {place} stays as it is: {each.why}."
        for place, each in enumerate(found)
        if each is not None and each.why
    ]


def _linear_functional(model: Any) -> tuple[Any, list[str]]:
    """Return a model with a graph before its squashing, or itself, and why outputs stay as they are."""
    rebuilt = _Rebuilt(model.outputs)
    if all(new is old for new, old in zip(rebuilt.outputs, model.outputs, strict=True)):
        return model, rebuilt.kept
    packed = keras.tree.pack_sequence_as(output_structure(model), rebuilt.outputs)
    kind = SequentialLogits if isinstance(model, keras.Sequential | SequentialLogits) else keras.Model
    return kind(input_structure(model), packed, name=model.name), rebuilt.kept


class _CannotError(Exception):
    """What squashes an output is no step of one layer."""


class _Rebuilt:
    """The outputs of a graph without what squashes them; the steps behind that are made once more.

    Args:
        outputs: symbolic tensors.
    """

    def __init__(self, outputs: Sequence[Any]) -> None:
        self._steps = LastSteps(outputs)
        self._replacements: dict[int, Any] = {}
        self._calls: dict[tuple[int, int], list[Any]] = {}
        self.kept = _reasons(self._steps.found)
        self.outputs = []
        for place, (symbol, found) in enumerate(zip(outputs, self._steps.found, strict=True)):
            made = symbol
            if found is not None and found.skips:
                try:
                    made = self._without(symbol, {skip.end: skip for skip in found.skips})
                except _CannotError as error:
                    self.kept.append(f"Output {place} stays as it is: {error}.")
            self.outputs.append(made)
        needed = {id(node.operation) for node in upstream(self.outputs)}
        for key, replacement in self._replacements.items():
            # The layer itself is needed too, and names are unique in a model.
            if key in needed and replacement is not None:
                replacement.__dict__["name"] = f"{replacement.name}_linear"

    def _without(self, symbol: Any, ends: dict[Value, Skip]) -> Any:
        """Return a symbolic tensor as it is without some steps on the way to it."""
        value = self._steps.values.get(id(symbol))
        graph = self._steps.graph
        if value is None or value not in graph.after(list(ends)):
            return symbol
        before = value
        while before in ends and ends[before].sign > 0:
            before = ends[before].before
            entered = [s for key, s in self._steps.symbols.items() if self._steps.values[key] is before]
            if entered:
                return self._without(entered[-1], ends)
        node = node_of(symbol)
        inputs = [self._without(source, ends) for source in node.input_tensors]
        changed = {
            id(old): new for old, new in zip(node.input_tensors, inputs, strict=True) if new is not old
        }
        values = [self._steps.values[id(source)] for source in node.input_tensors]
        inside = graph.before([value]) - graph.before(values)
        squashes = not inside.isdisjoint(ends)
        if squashes and changed:
            raise _CannotError(f"several layers squash it, the last of them {node.operation.name!r}")
        return self._called(node, squashes, changed)[symbol._keras_history.tensor_index]

    def _called(self, node: Any, squashes: bool, changed: dict[int, Any]) -> list[Any]:
        """Return the outputs of a call of what stands in the place of a layer."""
        operation = node.operation
        if id(operation) not in self._replacements:
            linear = _linear_operation(node) if squashes else twin(operation)
            self._replacements[id(operation)] = linear
        replacement = self._replacements[id(operation)]
        if replacement is None:
            raise _CannotError(f"it is squashed in several steps, the last of them in {operation.name!r}")
        key = (id(operation), operation._inbound_nodes.index(node))
        if key not in self._calls:
            symbols = {id(source): changed.get(id(source), source) for source in node.input_tensors}
            args, kwargs = node.arguments.fill_in(symbols)
            self._calls[key] = keras.tree.flatten(replacement(*args, **kwargs))
            # The call has linked the user's layers to the new one, which nothing needs: take it back.
            for source in symbols.values():
                links = source._keras_history.operation._outbound_nodes
                links[:] = [link for link in links if link.operation is not replacement]
        return self._calls[key]


def _linear_operation(node: Any) -> Any:
    """Return what does the same as an operation at one call without what squashes; None if there is none."""
    operation = node.operation
    if isinstance(operation, keras.Model) and output_structure(operation) is not None:
        linear, _ = _linear_functional(operation)
        return None if linear is operation else linear
    symbols = node.arguments.keras_tensors

    def trace(candidate: Any) -> Graph:
        def forward(tensors: list[Any]) -> Any:
            known = {id(symbol): tensor for symbol, tensor in zip(symbols, tensors, strict=True)}
            args, kwargs = node.arguments.fill_in(known)
            return noting(candidate, set())(*args, **kwargs)

        specs = [backend.Spec(tuple(symbol.shape), symbol.dtype) for symbol in symbols]
        return backend.traced(forward, specs)

    linear, _ = _linear_by_trial(operation, trace)
    return None if linear is operation else linear


def _linear_subclassed(model: Any) -> tuple[Any, list[str]]:
    specs = specs_of(model) if model.built else None
    if specs is None:
        raise ModelError(
            f"The model {model.name!r} is not built, or not for one array, so there is no graph that shows "
            "what stands before its softmax. Build it (model.build(input_shape)), call it on one array, or "
            "let its call() return logits."
        )

    def trace(candidate: Any) -> Graph:
        run = noting(candidate, set())
        return backend.traced(lambda tensors: run(tensors[0], training=False), specs)

    linear, kept = _linear_by_trial(model, trace)
    if linear is not model:
        linear.__dict__.update({name: None for name in _COMPILED if name in vars(linear)})
    return linear, kept


def _linear_by_trial(operation: Any, trace: Callable[[Any], Graph]) -> tuple[Any, list[str]]:
    """Return an operation without what squashes its outputs, or itself, and why outputs stay as they are.

    A twin with another activation, or with such a twin inside, is taken if its trace is that of the
    operation without the steps that squash; else one that leaves them out.

    Args:
        operation: a layer, or a model without a graph.
        trace: runs it or a twin of it.
    """
    graph = trace(operation)
    ends = Squashings(graph)
    found = [ends.of(value) for value in graph.outputs]
    skips = [skip for each in found if each is not None for skip in each.skips]
    if not skips:
        return operation, _reasons(found)
    wanted = signature(graph, graph.outputs, skips)
    places = {value: i for i, made in enumerate(graph.operations) for value in made.outputs}
    calls = [
        call for call in graph.calls if any(call.first <= places[skip.end] < call.stop for skip in skips)
    ]
    for candidate in _candidates(operation, {call.path for call in calls if call.path}):
        traced = trace(candidate)
        if signature(traced, traced.outputs) == wanted:
            return candidate, _reasons(found)
    return _skipping(operation), _reasons(found)


def _candidates(operation: Any, paths: set[str], prefix: str = "") -> Iterator[Any]:
    """Yield twins of an operation that may be what it is without what squashes its outputs.

    Args:
        operation: a layer or model.
        paths: of what is known to run what squashes.
        prefix: of the paths of what it holds.
    """
    if callable(getattr(operation, "activation", None)):
        yield twin(operation, {"activation": keras.activations.linear})
    held = {id(inner): inner for _, inner in sublayers(operation) if inner is not operation}
    known = [inner for inner in held.values() if f"{prefix}{inner.name}" in paths]
    for inner in known or held.values():
        if isinstance(inner, keras.Model) and output_structure(inner) is not None:
            linear, _ = _linear_functional(inner)
            doubles = iter([] if linear is inner else [linear])
        else:
            doubles = _candidates(inner, paths, f"{prefix}{inner.name}/")
        for double in (*doubles, *([_skipping(inner)] if inner in known else [])):
            yield twin(operation, exchanged(operation, {id(inner): double}))


def _skipping(operation: Any) -> Any:
    """Return a twin that is called as an operation is, and leaves out the steps that squash its outputs."""
    cls = type(operation)

    def find(graph: Graph) -> list[Sequence[Skip]]:
        ends = Squashings(graph)
        found = [ends.of(value) for value in graph.outputs]
        return [() if each is None else each.skips for each in found]

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Twins of this one have its attributes, too.
        own = vars(self).get("_skipping")
        if own is None or own[0]() is not self:
            me = weakref.ref(self)
            own = (me, backend.skipping(lambda *a, **k: cls.call(me(), *a, **k), find))
            self.__dict__["_skipping"] = own
        return own[1](*args, **kwargs)

    def get_config(self: Any) -> Any:
        raise ModelError(
            f"The layer {self.name!r} computes its softmax inside its call: what stands before cannot be "
            "saved. Save the model itself, and take vis.linear_outputs of it where it is loaded."
        )

    methods: dict[str, Any] = {"call": call, "get_config": get_config}
    return twin(operation, {}, derived(cls, methods))


def shared_copy(model: Any) -> Any:
    """Return a copy of a model that shares its variables and keeps its present activations.

    The layers of the copy are objects of their own around the same variables: what is assigned to a
    layer of either model later (another `activation`, say) does not show in the other, but training
    does. A `predict` that Keras had compiled before a change is not carried over.

    Args:
        model: a Keras model.
    """
    check_model(model)
    original, modifier = unmodified(model)
    copies: dict[int, Any] = {}

    def copy(operation: Any) -> Any:
        if id(operation) not in copies:
            if isinstance(operation, keras.Model) and output_structure(operation) is not None:
                copies[id(operation)] = keras.models.clone_model(operation, clone_function=copy)
            else:
                copies[id(operation)] = operation
                held = {id(item): copy(item) for _, item in sublayers(operation)}
                compiled = {name: None for name in _COMPILED if name in vars(operation)}
                copies[id(operation)] = twin(operation, exchanged(operation, held) | compiled)
        return copies[id(operation)]

    return modified(copy(original), *modifier) if modifier else copy(original)
