"""The compiled gradient of weighted losses: built once, called often.

One trace serves every batch size, every filter index and every weight: they are inputs at run time. A trace
belongs to what it was made of: the model, the losses' layers, what they are differentiated by, and the
backprop modifier.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import backend, checks, models
from vis.backprop_modifiers import BackpropModifier
from vis.errors import GradientError, InputError
from vis.losses import Loss
from vis.source import Losses, Source
from vis.traces import Trace, cached, check_numbers, evaluated


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
        wrt: the layer, call or symbolic tensor to differentiate by; None for all inputs.
        modifier: the derivative of activations; None for the model's own modifier, if it has one.

    Returns:
        For each input (or for `wrt` alone) the gradient, `(batch, ...)`, or None if the losses do not
        depend on it.

    Raises:
        GradientError: if the losses depend on none of these, or a loss or gradient is not finite.
        FilterError, LayerError, ModifierError: see the losses, the model and the modifier.
    """
    return _evaluate(source, losses, arrays, wrt, modifier).gradients


def gradient_and_value(
    source: Source,
    losses: Losses,
    arrays: Sequence[npt.NDArray[Any]],
    wrt: Any,
    modifier: BackpropModifier | None = None,
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[Any], list[float]]:
    """Return the gradient by `wrt` and the value of `wrt`, both `(batch, ...)`, and the sum of each loss.

    Args and raises: as `input_gradient`; `wrt` is a layer, call or symbolic tensor.
    """
    evaluation = _evaluate(source, losses, arrays, wrt, modifier)
    (gradient,), (value, *terms) = evaluation.gradients, evaluation.values
    assert gradient is not None  # noqa: S101 - a missing path has raised
    return gradient, value, [float(term.sum()) for term in terms]


def _evaluate(
    source: Source,
    losses: Losses,
    arrays: Sequence[npt.NDArray[Any]],
    wrt: Any,
    modifier: BackpropModifier | None,
) -> backend.Evaluation:
    losses = checked_losses(losses)
    for loss, _ in losses:
        if loss.samples not in (None, len(arrays[0])):
            given = "one sample" if len(arrays[0]) == 1 else f"{len(arrays[0])} samples"
            raise InputError(
                f"The loss {loss.name!r} is for {loss.samples} samples, one filter each. Received: {given}. "
                "Leave out each=True."
            )
    if wrt is None:
        check_numbers(arrays, source.model)
    modifier = modifier or source.modifier
    trace = _trace(source, losses, arrays, wrt, modifier)
    _warn_of_softmax(losses, trace)
    *parameters, weights = _parameters(losses, trace)
    names = ", ".join(repr(loss.name) for loss, _ in losses)
    found = evaluated(trace, lambda scale: [*arrays, *parameters, scale * weights], wrt, names)
    checks.finite(np.asarray(found.loss), f"The loss {names}")
    return found


def checked_losses(losses: Any) -> list[tuple[Loss, float]]:
    """Return losses with their weights as a list of pairs.

    Raises:
        GradientError: unless they are one or more pairs of a loss and a finite number.
    """
    try:
        pairs = [(loss, float(weight)) for loss, weight in losses]
    except (TypeError, ValueError):
        raise GradientError(
            f"Losses must be a list of pairs, [(loss, weight), ...]. Received: {losses!r}."
        ) from None
    if not pairs:
        raise GradientError(
            "There is no loss to differentiate. Received: an empty list. Pass [(loss, weight)]."
        )
    for loss, weight in pairs:
        if not isinstance(loss, Loss):
            raise GradientError(
                f"A loss must be an object of a subclass of vis.losses.Loss. Received: {loss!r} of type "
                f"{type(loss).__name__}."
            )
        if not np.isfinite(weight):
            raise GradientError(f"The weight of the loss {loss.name!r} must be finite. Received: {weight}.")
    return pairs


def _trace(
    source: Source, losses: Losses, arrays: Sequence[Any], wrt: Any, modifier: BackpropModifier | None
) -> Trace:
    specs = source.specs(arrays)
    rule = modifier.rule if modifier else None

    def compile_(forward: backend.Forward, specs: list[backend.Spec]) -> Any:
        return backend.compile_gradient(forward, specs, rule)

    return _cached(source, losses, specs, wrt, modifier, ("gradient",), compile_)


def compiled_descent(
    source: Source,
    losses: Losses,
    array: npt.NDArray[Any],
    kind: Hashable,
    compile_: Callable[[backend.Forward, list[backend.Spec], backend.Rule | None], backend.CompiledDescent],
    rule: backend.Rule | None = None,
) -> tuple[backend.CompiledDescent, list[npt.NDArray[Any]]]:
    """Return the compiled gradient descent on the only input of `source`, and the losses' parameters.

    Args:
        source: a model of one input, or its symbolic input.
        losses: pairs of a loss and its weight.
        array: the input, with its batch axis.
        kind: what distinguishes this descent from others on the same losses.
        compile_: compiles it, given the forward pass, its specs and the rule.
        rule: the derivative of activations, a function that lives on; None for the model's own.

    Raises:
        GradientError, FilterError, LayerError, ModifierError: as `input_gradient`.
    """
    losses = checked_losses(losses)
    modifier = source.modifier if rule is None else None
    kind = (kind, rule)
    rule = modifier.rule if modifier else rule
    specs = [backend.Spec(array.shape, str(array.dtype))]
    trace = _cached(source, losses, specs, None, modifier, kind, lambda f, specs: compile_(f, specs, rule))
    _warn_of_softmax(losses, trace)
    return trace.compiled, _parameters(losses, trace)


def _warn_of_softmax(losses: Losses, trace: Trace) -> None:
    """Warn of each loss whose layer ends in a softmax."""
    for (loss, _), found in zip(losses, trace.squashings, strict=True):
        layer = getattr(loss, "layer", None)
        if isinstance(layer, models.POINTS):
            models.warn_of_softmax(layer.name, found)


def _cached(
    source: Source,
    losses: Losses,
    specs: list[backend.Spec],
    wrt: Any,
    modifier: BackpropModifier | None,
    kind: Hashable,
    compile_: Callable[[backend.Forward, list[backend.Spec]], Any],
) -> Trace:
    about = [source.anchor(), *(part for loss, _ in losses for part in loss.trace_objects())]
    start, which = (None, None) if wrt is None else models.lasting(wrt)
    about += [] if start is None else [start]
    about += [] if modifier is None else [modifier.rule]
    settings = tuple(loss.trace_settings() for loss, _ in losses)
    key = (kind, settings, start is None, which, modifier is None, tuple(specs))
    with source.tried(specs):
        return cached(about, key, modifier, lambda: _compile(source, losses, specs, wrt, modifier, compile_))


def _parameters(losses: Losses, trace: Trace) -> list[npt.NDArray[Any]]:
    arrays = [
        array
        for (loss, _), shapes in zip(losses, trace.shapes, strict=True)
        for array in loss.parameters(shapes)
    ]
    return [*arrays, np.asarray([weight for _, weight in losses], np.float64)]


def _compile(
    source: Source,
    losses: Losses,
    inputs: list[backend.Spec],
    wrt: Any,
    modifier: BackpropModifier | None,
    compile_: Callable[[backend.Forward, list[backend.Spec]], Any],
) -> Trace:
    graph = source.graph(losses)
    terms = [loss.term(graph) for loss, _ in losses]
    points = [points for points, _ in terms]
    read = [point for group in points for point in group] + ([] if wrt is None else [wrt])
    probe = models.Probe(graph, read, note=modifier is not None)
    symbols = source.symbols

    def forward(tensors: list[Any]) -> backend.Traced:
        given, rest, weights = tensors[: len(inputs)], iter(tensors[len(inputs) : -1]), tensors[-1]
        values = probe(given[0] if symbols is None else keras.tree.pack_sequence_as(symbols, given))
        watched = given if wrt is None else values[-1:]
        found = iter(values)
        total: Any = 0.0
        of_samples: Any = 0.0
        found_terms = []
        for index, ((loss, _), group, (_, evaluate)) in enumerate(zip(losses, points, terms, strict=True)):
            read = [next(found) for _ in group]
            value = _per_sample(evaluate(read, [next(rest) for _ in loss.parameter_ranks]), given)
            found_terms.append(value)
            # In one type, whatever the types of the layers.
            weighted = weights[index] * ops.cast(value, weights.dtype)
            of_samples += weighted
            # One value for all samples counts once.
            total += ops.sum(weighted)
        wanted = [] if wrt is None else [*watched, *found_terms]
        told = values if wrt is None else values[:-1]
        return backend.Traced(total, watched, wanted, of_samples, found_terms, told)

    specs = [
        *inputs,
        *(
            backend.Spec((None,) * rank, "float32", (1,) * rank)
            for loss, _ in losses
            for rank in loss.parameter_ranks
        ),
        backend.Spec((len(losses),), backend.widest_float()),
    ]
    return Trace(lambda: compile_(forward, specs), probe, [len(group) for group in points])


def _per_sample(value: Any, given: list[Any]) -> Any:
    """Return a loss summed within each sample, or over all samples if the batch size is not known."""
    samples, rank = given[0].shape[0], len(value.shape)
    if samples is None or rank == 0 or value.shape[0] != samples:
        return ops.sum(value)
    return ops.sum(value, axis=tuple(range(1, rank))) if rank > 1 else value
