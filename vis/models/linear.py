"""Models that share every variable with another: before its softmax, or with its changes in force."""

from __future__ import annotations

from typing import Any

import keras

from vis.errors import ModelError
from vis.models.calls import operation_of
from vis.models.find import (
    check_model,
    input_structure,
    output_structure,
    sublayers,
    unmodified,
    upstream,
)
from vis.models.modified import modified
from vis.models.twins import exchanged, twin

_SOFTMAX = ("softmax", "log_softmax")
_SQUASHING = (*_SOFTMAX, "sigmoid")
_COMPILED = ("predict_function", "test_function", "train_function")


def activation_name(operation: Any) -> str | None:
    """Return the name of the activation that ends `operation`, or None if it has none.

    A fused `activation=`, an `Activation` or `Softmax` layer, a `keras.ops` activation, and the same
    inside a wrapper such as `TimeDistributed` or at the end of a nested model, all count.
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


def ends_in_softmax(operation: Any) -> bool:
    """Tell whether the output of a layer or model is a softmax or log-softmax."""
    return activation_name(operation) in _SOFTMAX


@keras.saving.register_keras_serializable(package="vis")
class SequentialLogits(keras.Model):  # type: ignore[misc]
    """The logits of a sequential model: like that, it does not count its input among its layers."""

    @property
    def layers(self) -> Any:
        return [layer for layer in super().layers if not isinstance(layer, keras.layers.InputLayer)]


def linear_outputs(model: Any) -> Any:
    """Return the model before its softmax (or log-softmax, or sigmoid): the logits.

    The result shares every layer but the last with `model`, and every variable with it. An output
    without such an activation stays as it is; if none has one, `model` itself comes back.

    Args:
        model: a built functional or sequential model, possibly nested, or a modified one.

    Raises:
        ModelError: for a subclassed model or one that is not built: it has no graph to follow.
    """
    check_model(model)
    original, modifier = unmodified(model)
    if output_structure(original) is None:
        raise ModelError(
            f"The model {model.name!r} is subclassed or not built, so there is no graph that shows what "
            "stands before its softmax. Build it (model.build(input_shape)), or let its call() return logits."
        )
    outputs = _before_squashing(original.outputs)
    if all(new is old for new, old in zip(outputs, original.outputs, strict=True)):
        return model
    packed = keras.tree.pack_sequence_as(output_structure(original), outputs)
    kind = SequentialLogits if isinstance(original, keras.Sequential | SequentialLogits) else keras.Model
    linear = kind(input_structure(original), packed, name=original.name)
    return modified(linear, *modifier) if modifier else linear


def _before_squashing(outputs: list[Any]) -> list[Any]:
    """Return for each tensor the one without its squashing activation, or itself if it has none."""
    squashed = [activation_name(tensor._keras_history.operation) in _SQUASHING for tensor in outputs]
    kept = [tensor for tensor, is_squashed in zip(outputs, squashed, strict=True) if not is_squashed]
    replacements: dict[int, Any] = {}
    calls: dict[tuple[int, int], list[Any]] = {}
    result = []
    for tensor, is_squashed in zip(outputs, squashed, strict=True):
        operation, node_index, tensor_index = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        if not is_squashed:
            result.append(tensor)
            continue
        if id(operation) not in replacements:
            replacement = _linear(operation)
            inside = upstream([*kept, *node.input_tensors])
            if replacement is not None and any(call.operation is operation for call in inside):
                # The layer itself is needed too, and names are unique in a model.
                replacement = twin(replacement, {"name": f"{operation.name}_linear"})
            replacements[id(operation)] = replacement
        replacement = replacements[id(operation)]
        if replacement is None:
            result.append(node.input_tensors[0])
            continue
        key = (id(operation), node_index)
        if key not in calls:
            calls[key] = keras.tree.flatten(replacement(*node.arguments.args, **node.arguments.kwargs))
            # The call has linked the user's layers to the new one, which nothing needs: take it back.
            for source in node.input_tensors:
                links = source._keras_history.operation._outbound_nodes
                links[:] = [link for link in links if link.operation is not replacement]
        result.append(calls[key][tensor_index])
    return result


def _linear(operation: Any) -> Any:
    """Return what does the same without the squashing activation, or None if nothing else is done."""
    if isinstance(operation, keras.Model):
        return linear_outputs(operation)
    if isinstance(operation, keras.layers.Wrapper):
        inner = _linear(operation.layer)
        return None if inner is None else twin(operation, {"layer": inner})
    if isinstance(operation, keras.layers.Activation) or not hasattr(operation, "activation"):
        return None
    return twin(operation, {"activation": keras.activations.linear})


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
