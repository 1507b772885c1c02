"""Finding layers in a model, including nested ones."""

from __future__ import annotations

import functools
import types
import weakref
from collections.abc import Iterator
from typing import Any

import keras

from vis.errors import InputError, ModelError
from vis.models.attributes import attributes_of
from vis.models.calls import Call, first_node, node_of, operation_of
from vis.models.containers import is_foreign, operations_in, parts

_own_by_class: weakref.WeakKeyDictionary[type, list[int]] = weakref.WeakKeyDictionary()


class Modification:
    """What a modified model knows: its original model, its modifier's name and its rule."""

    original: Any
    modifier_name: str
    rule: Any


def unmodified(model: Any) -> tuple[Any, tuple[str, Any] | None]:
    """Return the original of a modified model, with the modifier's name and rule, if any."""
    if isinstance(model, Modification):
        return model.original, (model.modifier_name, model.rule)
    return model, None


def check_model(model: Any) -> None:
    """Raise `ModelError` unless `model` is a Keras model."""
    if not isinstance(model, keras.Model):
        raise ModelError(
            f"Expected a keras.Model. Received: {model!r} of type {type(model).__name__}. "
            "Load or build the model first, for example with keras.models.load_model(path)."
        )


def check_built(model: Any) -> None:
    """Raise `ModelError` unless a Keras model has its variables."""
    check_model(model)
    if not unmodified(model)[0].built:
        raise ModelError(
            f"The model {model.name!r} is not built: it has no variables yet. "
            "Call it once, or build it with model.build(input_shape)."
        )


def input_structure(model: Any) -> Any:
    """Return the symbolic inputs of a model in their structure, or None if it has none."""
    return _structure(model, "input")


def input_tensors(model: Any) -> list[Any]:
    """Return the symbolic inputs of a model in flat order; empty if it has none."""
    structure = input_structure(model)
    return [] if structure is None else list(keras.tree.flatten(structure))


def output_structure(model: Any) -> Any:
    """Return the symbolic outputs of a model in their structure, or None if it has none."""
    return _structure(model, "output")


def _structure(model: Any, side: str) -> Any:
    tensors = _symbolic(model, f"{side}s")
    if not tensors:
        return None
    # The `input` of a Sequential belongs to its calls in other models, not to itself.
    return tensors[0] if isinstance(model, keras.Sequential) else getattr(model, side)


def _symbolic(operation: Any, name: str) -> Any:
    """Return a symbolic attribute of a layer or model, or None if it has none."""
    try:
        tensors = getattr(operation, name)
    except (AttributeError, ValueError):  # older Keras versions raise the latter
        return None
    # A subclassed model may use an attribute of this name for something else.
    flat = tensors if isinstance(tensors, list) else [tensors]
    return tensors if all(isinstance(tensor, keras.KerasTensor) for tensor in flat) else None


def runs_graph(operation: Any) -> bool:
    """Tell whether an operation is a model that runs its graph and no custom code."""
    if not isinstance(operation, keras.Model) or output_structure(operation) is None:
        return False
    methods = (type(operation).call, type(operation).__call__)
    return all(method.__module__.split(".")[0] == "keras" for method in methods)


def sublayers(operation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the operations that `operation` contains, each with the name of its attribute or method.

    A functional model contains the operations of its graph; any other layer contains those in its attributes,
    directly or in containers, objects and functions, and those that its methods close over.
    """
    for name, value in (own_attributes(operation) | own_methods(operation)).items():
        yield from ((name, held) for held in operations_in(value) if held is not operation)


def own_attributes(operation: Any) -> dict[str, Any]:
    """Return the attributes of an operation, except those that Keras sets on every operation."""
    common = _common(isinstance(operation, keras.Model))
    return {name: value for name, value in attributes_of(operation).items() if name not in common}


def own_methods(operation: Any) -> dict[str, types.FunctionType]:
    """Return the methods of an operation's class that have a closure."""
    methods: dict[str, types.FunctionType] = {}
    classes = type(operation).__mro__
    for place in _own_classes(type(operation)):
        methods.update({n: f for n, f in vars(classes[place]).items() if isinstance(f, types.FunctionType)})
    return {name: method for name, method in methods.items() if parts(method)}


def _own_classes(cls: type) -> list[int]:
    """Return the positions of a class and its bases that the user has written, base classes first."""
    found = _own_by_class.get(cls)
    if found is None:
        own = [place for place, base in enumerate(cls.__mro__) if not is_foreign(base.__module__)]
        found = _own_by_class[cls] = own[::-1]
    return found


@functools.cache
def _common(of_models: bool) -> frozenset[str]:
    """Return the names of the attributes that Keras itself sets on every layer or model."""
    plain = keras.Model(name="plain") if of_models else keras.layers.Layer(name="plain")
    # The list of layers of a sequential model is one of them.
    return frozenset(vars(plain)) - {"_layers"} | {"optimizer", "history", "_torch_params"}


def child_layers(layer: Any) -> list[Any]:
    """Return the layers directly inside a model or a wrapper, each once, in the model's order."""
    known = list(layer.layers) if isinstance(layer, keras.Model) else []
    if runs_graph(layer) or (known and is_foreign(type(layer).__module__)):
        return known
    # Keras does not know about layers inside other objects.
    found = {id(item): item for _, item in sublayers(layer) if isinstance(item, keras.Layer)}
    return list({**{id(item): item for item in known}, **found}.values())


def children(operation: Any) -> list[Any]:
    """Return the layers directly inside a model or a wrapper, and the other operations of its graph."""
    if runs_graph(operation) and not isinstance(operation, keras.Sequential):
        return list(operation.operations)
    return child_layers(operation)


def walk(
    layer: Any, prefix: str = "", above: tuple[Any, ...] = (), operations: bool = False
) -> Iterator[tuple[str, Any]]:
    """Yield `(path, layer)` for each layer inside `layer`, depth first: `("backbone/conv5", conv5)`.

    With `operations`, other graph operations are included.
    """
    above = (*above, layer)
    for child in children(layer) if operations else child_layers(layer):
        if not any(child is parent for parent in above):  # a layer may know the model that it is part of
            path = f"{prefix}{child.name}"
            yield path, child
            yield from walk(child, f"{path}/", above, operations)


def held_operations(model: Any) -> dict[int, Any]:
    """Return all operations inside a model, at every depth, by id."""
    held: dict[int, Any] = {}
    pending = [model]
    while pending:
        for _, operation in sublayers(pending.pop()):
            if id(operation) not in held:
                held[id(operation)] = operation
                pending.append(operation)
    return held


def upstream(tensors: list[Any]) -> list[Any]:
    """Return the nodes (calls of operations) that compute some symbolic tensors."""
    found: dict[int, Any] = {}
    pending = list(tensors)
    while pending:
        node = node_of(pending.pop())
        if id(node) not in found:
            found[id(node)] = node
            pending += node.input_tensors
    return list(found.values())


def output_tensors(layer: Any) -> list[Any]:
    """Return the symbolic outputs of a model or of the first call of a layer; empty if not in a graph."""
    if output_structure(layer) is not None:
        return list(keras.tree.flatten(output_structure(layer)))
    node = first_node(layer)
    return [] if node is None else list(node.output_tensors)


def output_shape(layer: Any) -> tuple[int | None, ...] | None:
    """Return the shape of a layer's output with its batch axis, or None if it is not in a graph.

    If a layer is called several times, possibly in other models, sizes that differ are None. A single call or
    a symbolic tensor has its own shape if it is in a graph.
    """
    tensor = layer.tensor if isinstance(layer, Call) else layer
    if isinstance(tensor, keras.KerasTensor):
        return tuple(tensor.shape)
    layer = operation_of(layer)
    outputs = output_structure(layer)
    if outputs is not None:
        return tuple(keras.tree.flatten(outputs)[0].shape)
    # There is no public name for calls after the first.
    calls = [node.output_tensors[0].shape for node in getattr(layer, "_inbound_nodes", ())]
    if len({len(shape) for shape in calls}) != 1:
        return None
    return tuple(sizes[0] if len(set(sizes)) == 1 else None for sizes in zip(*calls, strict=True))


def check_data_format(data_format: Any, default: str) -> None:
    """Raise `InputError` unless a data format is known, or None to follow `default`."""
    if data_format not in (None, "channels_last", "channels_first"):
        raise InputError(
            f"Unknown data_format. Received: {data_format!r}. "
            f"Pass 'channels_last', 'channels_first', or None to follow {default}."
        )
