"""Compiled functions, kept as long as the objects they are about, compiled again when settings change.

A trace reads the variables of its model at each call and does not keep the model alive. A layer's settings,
such as its activation, are fixed in the trace.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import backend, models
from vis.backprop_modifiers import BackpropModifier
from vis.errors import GradientError, InputError, RandomWarning, warn
from vis.graph import Shape, Squashing, Squashings
from vis.weak import WeakTable

_lock = threading.RLock()
_traces: WeakTable[Trace] = WeakTable()


class Trace:
    """A compiled function, and the settings that it was traced with.

    Args:
        compile_: compiles the function.
        probe: runs the model that is traced, which is not kept alive.
        counts: how many of the tensors that the forward pass reads belong to each loss.
        passing: whether the model was made for the trace, of layers that last.
        widens: whether what is passed back is in single precision at least, whatever the model's types.

    Attributes:
        settings: those of the model, which is unchanged, apart from its variables, as long as they hold.
        shapes: the shapes of these tensors.
        squashings: the softmax, sigmoid or other squashing function that each of them ends in, if any.
        known: see `vis.models.Probe`, for forward passes that are prepared again.
    """

    def __init__(
        self,
        compile_: Callable[[], Any],
        probe: models.Probe,
        counts: Sequence[int] = (),
        passing: bool = False,
        widens: bool = False,
    ) -> None:
        held = [probe.model, *models.held_operations(probe.model).values()]
        self.settings = models.Settings(held, passing)
        self.compiled = compile_()
        self.settings.settle(probe.written)
        self.name = probe.model.name
        self.known = models.Known()
        self.shapes: list[list[Shape]] = []
        self.squashings: list[list[Squashing | None]] = []
        reading = self.compiled.reading
        if reading is not None:
            ends, outputs = Squashings(reading), iter(reading.outputs)
            for count in counts:
                own = list(itertools.islice(outputs, count))
                self.shapes.append([value.shape or () for value in own])
                self.squashings.append([ends.of(value) for value in own])
        # Small gradients vanish in float16 unless the loss is scaled up; where that overflows, by less.
        half = any(getattr(operation, "compute_dtype", None) == "float16" for operation in held)
        self.scales = (2.0**15, 2.0**10, 2.0**5, 1.0) if half and not widens else (1.0,)


def cached(
    about: list[Any], key: Hashable, modifier: BackpropModifier | None, make: Callable[[], Trace]
) -> Trace:
    """Return a trace that is still valid, or a new one, and report what its backprop modifier missed.

    Args:
        about: the objects that the trace is about; it lives as long as all of them.
        key: what else distinguishes it from other traces.
        modifier: the backprop modifier of the trace.
        make: makes a new trace.

    Raises:
        ModifierError: if the modifier reaches no activation.

    Warns:
        RandomWarning: if the model draws random numbers.
        PartialOverrideWarning: if the modifier misses some activations.
    """
    with _lock:
        trace = _traces.get(about, key)
        if trace is None or not trace.settings.hold():
            trace = _traces.put(about, make(), key)
    if draws := trace.compiled.draws:
        warn(
            f"The model {trace.name!r} draws random numbers before the explained output: "
            f"{', '.join(draws[:5])}{', ...' if len(draws) > 5 else ''}. The map explains one fixed draw, "
            f"the same for every call and sample, and samples run one at a time. Explain a layer before "
            "these, such as the mean that a sampling layer takes, or build the model without them.",
            RandomWarning,
        )
    if modifier and trace.compiled.coverage:
        models.report_coverage(trace.compiled.coverage, modifier.name, trace.name, modifier.rule)
    return trace


def check_numbers(arrays: Sequence[npt.NDArray[Any]], model: Any, kinds: str = "iuO") -> None:
    """Raise an error if no input of a model has values that can be differentiated by.

    Args:
        arrays: the inputs.
        model: the model, or its symbolic inputs.
        kinds: the types that have no map, as NumPy's `dtype.kind`.

    Raises:
        InputError: with the layer whose output to explain instead.
    """
    if not all(array.dtype.kind in kinds for array in arrays):
        return
    text = any(array.dtype.kind == "O" for array in arrays)
    types = ", ".join("string" if array.dtype.kind == "O" else str(array.dtype) for array in arrays)
    path = models.first_float_layer(models.unmodified(model)[0]) if isinstance(model, keras.Model) else None
    layer = (
        "the output of the first layer that makes floats of them: pass that layer as wrt"
        if path is None
        else f"the output of the layer {path!r}: wrt={path!r}"
    )
    raise InputError(
        f"The model takes {'strings' if text else 'integers'}, and there is no "
        f"{'map of a string' if text else 'gradient with respect to an integer'}. Received: inputs of type "
        f"{types}. Explain {layer}."
    )


def evaluated(
    trace: Trace,
    given: Callable[[float], list[Any]],
    forward: backend.Forward,
    wrt: Any,
    name: str,
) -> backend.Evaluation:
    """Run a compiled gradient, with the loss scaled as its precision requires.

    Args:
        trace: the compiled gradient.
        given: returns its arguments for a factor of the loss.
        forward: the forward pass that it is the gradient of.
        wrt: what the loss is differentiated by; None for the inputs.
        name: the loss, for messages.

    Raises:
        GradientError: if there is no gradient, or one that is not finite.
    """
    for scale in trace.scales:
        found: backend.Evaluation = trace.compiled(given(scale), forward)
        if scale != 1:
            gradients = [None if g is None else g / scale for g in found.gradients]
            found = replace(found, loss=found.loss / scale, gradients=gradients)
        finite = all(g is None or np.isfinite(g).all() for g in found.gradients)
        if finite:
            break
    if not finite or all(g is None for g in found.gradients):
        raise _reason(found.gradients, wrt, name)
    return found


def _reason(gradients: list[Any], wrt: Any, name: str) -> Exception:
    """Return the error for gradients that do not exist or are not finite."""
    if all(gradient is None for gradient in gradients):
        return GradientError(
            f"No path leads from the loss {name} to {'the input' if wrt is None else repr(wrt.name)}. "
            "Choose a layer after it, and check that no operation between them lacks a gradient "
            "(argmax, rounding, a cast to integers)."
        )
    counts = [(int(np.count_nonzero(~np.isfinite(g))), g.size) for g in gradients if g is not None]
    bad, size = next(pair for pair in counts if pair[0])
    return GradientError(
        f"The gradient of the loss {name} has {bad} of {size} values that are NaN or infinite. Look for NaN "
        "weights, a logarithm or square root of zero, or an overflow in half precision."
    )
