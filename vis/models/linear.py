"""Models that share every variable with another: without its softmax, or with its present settings."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from vis import backend
from vis.errors import ModelError, SoftmaxWarning, warn
from vis.graph import Graph, Skip, Squashing, Squashings, Value, signature
from vis.models.calls import node_of, operation_of, repeated
from vis.models.ends import LastSteps, specs_of
from vis.models.find import check_model, input_structure, output_structure, sublayers, unmodified, upstream
from vis.models.modified import modified
from vis.models.probe import noting
from vis.models.twins import derived, exchanged, twin

_COMPILED = ("predict_function", "test_function", "train_function")


def activation_name(operation: Any) -> str | None:
    """Return the name of the activation at the end of a layer or model, or None: a label for display only.

    `squashings` and the graph tell what is really computed.
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
    """The logits of a sequential model; like that, it does not list its input among its layers."""

    @property
    def layers(self) -> Any:
        return [layer for layer in super().layers if not isinstance(layer, keras.layers.InputLayer)]


def linear_outputs(model: keras.Model) -> keras.Model:
    """Return the model before its softmax (or log-softmax, sigmoid, tanh): the logits.

    The squashing function is found by what the model computes, however it is written, and left out: the
    result returns the input of that function. A temperature before it is kept, and so is a scaling, a cast or
    a reshape after it, so filters keep their indices; a clip or a logarithm after it is left out too. The
    result shares every variable with `model`, and every layer except those that squash. An output that is not
    squashed stays as it is; if no output is, `model` itself is returned.

    Args:
        model: a built model, possibly nested, or a modified one.

    Raises:
        ModelError: if the model is not built, or is subclassed and its input shape is unknown; if no softmax
            can be removed, as in an average of softmaxes. The message gives the reason.

    Warns:
        SoftmaxWarning: if some of several outputs keep their softmax for such a reason.
    """
    check_model(model)
    original, modifier = unmodified(model)
    if output_structure(original) is None:
        linear, kept = _linear_subclassed(original)
    else:
        linear, kept = _linear_functional(original)
    if kept and linear is original:
        raise ModelError(f"The softmax of the model {model.name!r} cannot be removed. {' '.join(kept)}")
    if kept:
        warn(f"Not every softmax of the model {model.name!r} was removed. {' '.join(kept)}", SoftmaxWarning)
    if linear is original:
        return model
    return modified(linear, *modifier) if modifier else linear


def _reasons(found: Sequence[Squashing | None]) -> list[str]:
    return [
        f"Output {place} is unchanged: {each.why}."
        for place, each in enumerate(found)
        if each is not None and each.why
    ]


def _linear_functional(model: Any) -> tuple[Any, list[str]]:
    """Return a functional model without its squashing, or itself, and why outputs are unchanged."""
    rebuilt = _Rebuilt(model.outputs)
    if all(new is old for new, old in zip(rebuilt.outputs, model.outputs, strict=True)):
        return model, rebuilt.kept
    packed = keras.tree.pack_sequence_as(output_structure(model), rebuilt.outputs)
    kind = SequentialLogits if isinstance(model, keras.Sequential | SequentialLogits) else keras.Model
    return kind(input_structure(model), packed, name=model.name), rebuilt.kept


class _CannotError(Exception):
    """An output is not squashed by a step of a single layer."""


class _Rebuilt:
    """The outputs of a graph without their squashing; the steps after it are built again.

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
                    self.kept.append(f"Output {place} is unchanged: {error}.")
            self.outputs.append(made)
        needed = {id(node.operation) for node in upstream(self.outputs)}
        for key, replacement in self._replacements.items():
            # The original layer is needed too, and names must be unique in a model.
            if key in needed and replacement is not None:
                replacement.__dict__["name"] = f"{replacement.name}_linear"

    def _without(self, symbol: Any, ends: dict[Value, Skip]) -> Any:
        """Return a symbolic tensor computed without some of the steps that lead to it."""
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
            raise _CannotError(f"several layers squash it, the last one is {node.operation.name!r}")
        return self._called(node, squashes, changed)[symbol._keras_history.tensor_index]

    def _called(self, node: Any, squashes: bool, changed: dict[int, Any]) -> list[Any]:
        """Return the outputs of a call of the replacement of a layer."""
        operation = node.operation
        if id(operation) not in self._replacements:
            linear = _linear_operation(node) if squashes else twin(operation)
            self._replacements[id(operation)] = linear
        replacement = self._replacements[id(operation)]
        if replacement is None:
            raise _CannotError(f"several steps squash it, the last one in {operation.name!r}")
        key = (id(operation), operation._inbound_nodes.index(node))
        if key not in self._calls:
            symbols = {id(source): changed.get(id(source), source) for source in node.input_tensors}
            args, kwargs = node.arguments.fill_in(symbols)
            self._calls[key] = keras.tree.flatten(replacement(*args, **kwargs))
            # The call has linked the user's layers to the new one, which nothing needs: remove the links.
            for source in symbols.values():
                links = source._keras_history.operation._outbound_nodes
                links[:] = [link for link in links if link.operation is not replacement]
        return self._calls[key]


def _linear_operation(node: Any) -> Any:
    """Return an operation that does the same at one call without squashing, or None if there is none."""
    operation = node.operation
    if isinstance(operation, keras.Model) and output_structure(operation) is not None:
        linear, _ = _linear_functional(operation)
        return None if linear is operation else linear

    def trace(candidate: Any) -> Graph:
        return backend.traced(*repeated(node, noting(candidate, set())))

    linear, _ = _linear_by_trial(operation, trace)
    return None if linear is operation else linear


def _linear_subclassed(model: Any) -> tuple[Any, list[str]]:
    specs = specs_of(model) if model.built else None
    if specs is None:
        raise ModelError(
            f"The model {model.name!r} is not built, or not for a single array, so no graph shows what comes "
            "before its softmax. Build it (model.build(input_shape)), call it on one array, or let its "
            "call() return logits."
        )

    def trace(candidate: Any) -> Graph:
        run = noting(candidate, set())
        return backend.traced(lambda tensors: run(tensors[0], training=False), specs)

    linear, kept = _linear_by_trial(model, trace)
    if linear is not model:
        linear.__dict__.update({name: None for name in _COMPILED if name in vars(linear)})
    return linear, kept


def _linear_by_trial(operation: Any, trace: Callable[[Any], Graph]) -> tuple[Any, list[str]]:
    """Return an operation without the squashing of its outputs, or itself, and why outputs are unchanged.

    A twin with a linear activation, or one that contains such a twin, is used if its trace equals that of the
    operation without the squashing steps; otherwise a twin that skips these steps.

    Args:
        operation: a layer, or a model without a graph.
        trace: traces the operation or a twin of it.
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
    """Yield twins of an operation that may equal it without the squashing of its outputs.

    Args:
        operation: a layer or model.
        paths: the paths of layers that are known to run the squashing.
        prefix: the prefix of the paths of the layers inside.
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
    """Return a twin that is called like the operation, and skips the steps that squash its outputs."""
    cls = type(operation)

    def find(graph: Graph) -> list[Sequence[Skip]]:
        ends = Squashings(graph)
        found = [ends.of(value) for value in graph.outputs]
        return [() if each is None else each.skips for each in found]

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Twins of this twin have its attributes too.
        own = vars(self).get("_skipping")
        if own is None or own[0]() is not self:
            me = weakref.ref(self)
            own = (me, backend.skipping(lambda *a, **k: cls.call(me(), *a, **k), find))
            self.__dict__["_skipping"] = own
        return own[1](*args, **kwargs)

    def get_config(self: Any) -> Any:
        raise ModelError(
            f"The layer {self.name!r} computes its softmax inside its call(), so its logits cannot be saved. "
            "Save the original model, and call vis.linear_outputs on it after loading."
        )

    methods: dict[str, Any] = {"call": call, "get_config": get_config}
    return twin(operation, {}, derived(cls, methods))


def shared_copy(model: Any) -> Any:
    """Return a copy of a model that shares its variables and keeps its present activations.

    The layers of the copy are separate objects around the same variables: a later assignment to a layer of
    either model (another `activation`, say) does not affect the other, but training does. A `predict`
    function that Keras compiled before a change is not copied.

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
