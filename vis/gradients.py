"""The compiled gradient of weighted losses: built once, called often.

One trace serves every batch size, every filter index and every weight: they are run-time inputs. A trace
belongs to what it was made of: the model, the losses' layers, what it is differentiated by, and the backprop
modifier. It is kept as long as the model lives, which it does not keep alive; it reads the model's variables
at each call, and is made anew if a layer's activation has been exchanged since.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import backend, models
from vis.backprop_modifiers import BackpropModifier
from vis.errors import GradientError, InputError, ModelError
from vis.losses import Loss

Losses = Sequence[tuple[Loss, float]]

_lock = threading.RLock()
_traces: weakref.WeakKeyDictionary[Any, dict[Hashable, _Trace]] = weakref.WeakKeyDictionary()


@dataclass
class _Trace:
    """A compiled gradient, and what it was traced from as far as that can change."""

    compiled: backend.CompiledGradient
    shapes: list[list[tuple[int | None, ...]]]
    activations: list[tuple[weakref.ref[Any], Any]]

    def holds(self) -> bool:
        return all(getattr(layer(), "activation", None) is known for layer, known in self.activations)


@dataclass(frozen=True)
class Source:
    """Where gradients end: a model, or symbolic inputs of a graph.

    Args:
        model: a Keras model (a modified one brings its modifier along), or one or several symbolic
            inputs.
    """

    model: Any

    @property
    def is_model(self) -> bool:
        return isinstance(self.model, keras.Model)

    @property
    def symbols(self) -> Any:
        """The structure of symbolic inputs, or None for a model that has none."""
        return models.input_structure(self.model) if self.is_model else self.model

    def anchor(self) -> Any:
        """Return the object whose life bounds that of the traces."""
        if self.is_model:
            return models.unmodified(self.model)[0]
        return keras.tree.flatten(self.model)[0]._keras_history.operation

    def graph(self, losses: Losses) -> Any:
        """Return the model that holds the losses."""
        if self.is_model:
            return models.unmodified(self.model)[0]
        symbols = [tensor for loss, _ in losses for tensor in loss.symbols()]
        try:
            return keras.Model(self.model, symbols)
        except ValueError as error:
            raise GradientError(
                "The losses cannot be computed from input_tensor. Received: "
                f"{', '.join(t.name for t in keras.tree.flatten(self.model))}. Pass all inputs of the model; "
                "for a layer of a nested or modified model, pass the model in place of input_tensor."
            ) from error


def as_source(model: Any) -> Source:
    """Return the source for a Keras model or symbolic inputs.

    Raises:
        ModelError: for anything else.
    """
    if isinstance(model, keras.Model) or all(
        isinstance(t, keras.KerasTensor) and isinstance(t._keras_history.operation, keras.layers.InputLayer)
        for t in keras.tree.flatten(model)
    ):
        return Source(model)
    raise ModelError(
        f"Expected a Keras model or its symbolic input, model.input. Received: {model!r} of type "
        f"{type(model).__name__}."
    )


def input_gradient(
    source: Source,
    losses: Losses,
    arrays: Sequence[npt.NDArray[Any]],
    wrt: Any = None,
    modifier: BackpropModifier | None = None,
) -> list[npt.NDArray[np.floating[Any]] | None]:
    """Return the gradient of `sum_i weight_i loss_i`, summed over the batch.

    Args:
        source: the model or symbolic inputs.
        losses: pairs of a loss and its weight.
        arrays: the inputs in flat order, each with its batch axis.
        wrt: the symbolic tensor or layer output to differentiate by; None for all inputs.
        modifier: which derivative activations have.

    Returns:
        For each input (or for `wrt` alone) its gradient, `(batch, ...)`, or None if the losses do not
        depend on it.

    Raises:
        GradientError: if the losses depend on none of them, or a gradient is not finite.
        FilterError, LayerError, ModifierError: as the losses, the model and the modifier say.
    """
    return _evaluate(source, losses, arrays, wrt, modifier).gradients


def gradient_and_value(
    source: Source,
    losses: Losses,
    arrays: Sequence[npt.NDArray[Any]],
    wrt: Any,
    modifier: BackpropModifier | None = None,
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[Any]]:
    """Return the gradient by `wrt`, and the value of `wrt`, both `(batch, ...)`.

    Args and raises: as `input_gradient`, with `wrt` the symbolic tensor or the layer to differentiate by.
    """
    evaluation = _evaluate(source, losses, arrays, wrt, modifier)
    (gradient,), (value,) = evaluation.gradients, evaluation.values
    assert gradient is not None  # noqa: S101 - a missing path has raised
    return gradient, value


def _evaluate(
    source: Source,
    losses: Losses,
    arrays: Sequence[npt.NDArray[Any]],
    wrt: Any,
    modifier: BackpropModifier | None,
) -> backend.Evaluation:
    losses = _checked_losses(losses)
    inherited = models.unmodified(source.model)[1] if source.is_model else None
    if inherited and modifier is None:
        modifier = BackpropModifier(*inherited)
    trace = _trace(source, losses, arrays, wrt, modifier)
    parameters = [
        array
        for (loss, _), shapes in zip(losses, trace.shapes, strict=True)
        for array in loss.parameters(shapes)
    ]
    weights = np.asarray([weight for _, weight in losses], np.float64)
    evaluation = trace.compiled([*arrays, *parameters, weights])
    _check(evaluation.gradients, arrays, wrt, losses)
    return evaluation


def _checked_losses(losses: Any) -> list[tuple[Loss, float]]:
    try:
        pairs = [(loss, float(weight)) for loss, weight in losses]
    except (TypeError, ValueError):
        raise GradientError(
            f"Losses are a list of pairs, [(loss, weight), ...]. Received: {losses!r}."
        ) from None
    if not pairs:
        raise GradientError(
            "There is no loss to differentiate. Received: an empty list. Pass [(loss, weight)]."
        )
    for loss, weight in pairs:
        if not isinstance(loss, Loss):
            raise GradientError(
                f"A loss is an object of a subclass of vis.losses.Loss. Received: {loss!r} of type "
                f"{type(loss).__name__}."
            )
        if not np.isfinite(weight):
            raise GradientError(f"The weight of the loss {loss.name!r} must be finite. Received: {weight}.")
    return pairs


def _trace(
    source: Source, losses: Losses, arrays: Sequence[Any], wrt: Any, modifier: BackpropModifier | None
) -> _Trace:
    specs = _input_specs(source, arrays)
    own = next((loss for loss, _ in losses if loss.trace_key() is None), None)
    anchor = source.anchor()
    key: Hashable = (
        id(anchor),
        tuple(loss.trace_key() or id(loss) for loss, _ in losses),
        None if wrt is None else id(wrt),
        modifier and modifier.rule,
        tuple(specs),
    )
    with _lock:
        # A loss with a trace of its own must not leave it behind when it goes.
        traces = _traces.setdefault(anchor if own is None else own, {})
        trace = traces.get(key)
        if trace is None or not trace.holds():
            trace = traces[key] = _compile(source, losses, specs, wrt, modifier)
        return trace


def _input_specs(source: Source, arrays: Sequence[npt.NDArray[Any]]) -> list[backend.Spec]:
    if source.symbols is None:
        return [backend.Spec((None, *array.shape[1:]), str(array.dtype)) for array in arrays]
    return [backend.Spec(tuple(symbol.shape), symbol.dtype) for symbol in keras.tree.flatten(source.symbols)]


def _compile(
    source: Source,
    losses: Losses,
    inputs: list[backend.Spec],
    wrt: Any,
    modifier: BackpropModifier | None,
) -> _Trace:
    graph = source.graph(losses)
    terms = [loss.term(graph) for loss, _ in losses]
    points = [points for points, _ in terms]
    probe = models.Probe(
        graph, [point for group in points for point in group] + ([] if wrt is None else [wrt])
    )
    symbols = source.symbols
    shapes: list[list[tuple[int | None, ...]]] = []

    def forward(tensors: list[Any]) -> tuple[Any, list[Any], list[Any]]:
        given, rest, weights = tensors[: len(inputs)], iter(tensors[len(inputs) : -1]), tensors[-1]
        values = probe(given[0] if symbols is None else keras.tree.pack_sequence_as(symbols, given))
        watched = given if wrt is None else values[-1:]
        found = iter(values)
        total: Any = 0.0
        for index, ((loss, _), group, (_, evaluate)) in enumerate(zip(losses, points, terms, strict=True)):
            read = [next(found) for _ in group]
            shapes.append([tuple(value.shape) for value in read])
            value = ops.sum(evaluate(read, [next(rest) for _ in loss.parameter_ranks]))
            total += ops.cast(weights[index], value.dtype) * value
        return total, watched, [] if wrt is None else watched

    specs = [
        *inputs,
        *(backend.Spec((None,) * rank, "float32") for loss, _ in losses for rank in loss.parameter_ranks),
        backend.Spec((len(losses),), "float64"),
    ]
    compiled = backend.compile_gradient(forward, specs, modifier.rule if modifier else None)
    if modifier and compiled.coverage:
        models.report_coverage(compiled.coverage, modifier.name, graph.name)
    activations = [(weakref.ref(layer), layer.activation) for layer in models.activated_layers(graph)]
    return _Trace(compiled, shapes, activations)


def _check(gradients: list[Any], arrays: Sequence[Any], wrt: Any, losses: Losses) -> None:
    names = ", ".join(repr(loss.name) for loss, _ in losses)
    if all(gradient is None for gradient in gradients):
        if wrt is None and all(array.dtype.kind in "iu" for array in arrays):
            raise InputError(
                "The model takes integers, and there is no gradient with respect to an integer. "
                f"Received: inputs of type {', '.join(str(a.dtype) for a in arrays)}. Differentiate with "
                "respect to the output of the embedding: wrt_tensor=model.get_layer(...).output."
            )
        raise GradientError(
            f"No path leads from the loss {names} to {'the input' if wrt is None else repr(wrt.name)}. "
            "Choose a layer after it, and check that no operation on the way lacks a gradient "
            "(argmax, rounding, a cast to integers)."
        )
    for gradient in gradients:
        if gradient is not None and not np.isfinite(gradient).all():
            bad = int(np.count_nonzero(~np.isfinite(gradient)))
            raise GradientError(
                f"The gradient of the loss {names} has {bad} of {gradient.size} values that are NaN or "
                "infinite. Look for NaN weights, a logarithm or square root of zero, or an overflow in "
                "half precision."
            )
