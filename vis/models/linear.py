"""Models that share every variable with another: before its softmax, or with its changes in force."""

from __future__ import annotations

from typing import Any

import keras

from vis.errors import ModelError
from vis.models.find import check_model, input_structure, output_structure
from vis.models.modified import modified, unmodified
from vis.models.probe import twin

_SOFTMAX = ("softmax", "log_softmax")
_SQUASHING = (*_SOFTMAX, "sigmoid")


def activation_name(operation: Any) -> str | None:
    """Return the name of the activation that ends `operation`, or None if it has none.

    A fused `activation=`, an `Activation` or `Softmax` layer, a `keras.ops` activation, and the same
    inside a wrapper such as `TimeDistributed` or at the end of a nested model, all count.
    """
    if isinstance(operation, keras.Model):
        outputs = getattr(operation, "outputs", None)
        names = {activation_name(tensor._keras_history.operation) for tensor in outputs or ()}
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
    outputs = [_before_squashing(tensor) for tensor in original.outputs]
    if all(new is old for new, old in zip(outputs, original.outputs, strict=True)):
        return model
    packed = keras.tree.pack_sequence_as(output_structure(original), outputs)
    linear = keras.Model(input_structure(original), packed, name=original.name)
    return modified(linear, *modifier) if modifier else linear


def _before_squashing(tensor: Any) -> Any:
    operation, node_index, tensor_index = tensor._keras_history
    if activation_name(operation) not in _SQUASHING:
        return tensor
    node = operation._inbound_nodes[node_index]
    replacement: Any
    if isinstance(operation, keras.Model):
        replacement = linear_outputs(operation)
    elif isinstance(operation, keras.layers.Wrapper):
        replacement = twin(operation, layer=_linear_twin(operation.layer))
    elif isinstance(operation, keras.layers.Activation) or not hasattr(operation, "activation"):
        return node.input_tensors[0]
    else:
        replacement = _linear_twin(operation)
    output = replacement(*node.arguments.args, **node.arguments.kwargs)
    # The call has linked the user's layers to the new one, which nothing needs: the link is taken back.
    for source in node.input_tensors:
        links = source._keras_history.operation._outbound_nodes
        links[:] = [link for link in links if link.operation is not replacement]
    return keras.tree.flatten(output)[tensor_index]


def _linear_twin(layer: Any) -> Any:
    return twin(layer, activation=keras.activations.linear)


def shared_copy(model: Any) -> Any:
    """Return a copy of a model that shares its variables and keeps its present activations.

    The layers of the copy are objects of their own around the same variables: what is assigned to a
    layer of either model later (another `activation`, say) does not show in the other, but training
    does. A `predict` that Keras had compiled before a change is not carried over.

    Args:
        model: a functional or sequential model.

    Raises:
        ModelError: for a subclassed model.
    """
    check_model(model)
    original, modifier = unmodified(model)
    try:
        copy = keras.models.clone_model(original, clone_function=twin, recursive=True)
    except ValueError as error:
        raise ModelError(
            f"The model {model.name!r} is subclassed; only functional and sequential models have a graph "
            "that can be copied. Change the layer's activation on the model itself."
        ) from error
    return modified(copy, *modifier) if modifier else copy
