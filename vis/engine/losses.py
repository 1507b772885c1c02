"""Weighted losses as an objective."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from vis import backend, checks, models
from vis.engine.objectives import Evaluate, Objective, Seen
from vis.engine.traces import Trace
from vis.errors import GradientError, InputError
from vis.losses import Loss

# Losses with their weights.
Losses: TypeAlias = Sequence[tuple[Loss, float]]


class WeightedLosses(Objective):
    """A weighted sum of losses.

    Args:
        losses: pairs of a loss and its weight.

    Raises:
        GradientError: unless they are one or more pairs of a loss and a finite number.
    """

    is_of_samples = False

    def __init__(self, losses: Any) -> None:
        self.losses = checked_losses(losses)
        self.name = ", ".join(repr(loss.name) for loss, _ in self.losses)

    def about(self) -> tuple[list[Any], Hashable]:
        objects = [part for loss, _ in self.losses for part in loss.trace_objects()]
        return objects, tuple(loss.trace_settings() for loss, _ in self.losses)

    def symbols(self) -> list[keras.KerasTensor]:
        return [tensor for loss, _ in self.losses for tensor in loss.symbols()]

    def specs(self, targets: npt.NDArray[Any] | None) -> list[backend.Spec]:
        ranks = [rank for loss, _ in self.losses for rank in loss.parameter_ranks]
        return [
            *(backend.Spec((None,) * rank, "float32", (1,) * rank) for rank in ranks),
            backend.Spec((len(self.losses),), backend.widest_float()),
        ]

    def parameters(
        self, trace: Trace, targets: npt.NDArray[Any] | None, samples: int
    ) -> list[npt.NDArray[Any]]:
        arrays = []
        for (loss, _), shapes, ends in zip(self.losses, trace.shapes, trace.squashings, strict=True):
            if loss.samples not in (None, samples):
                given = "one sample" if samples == 1 else f"{samples} samples"
                raise InputError(
                    f"The loss {loss.name!r} is for {loss.samples} samples, one filter each. Received: "
                    f"{given}. Leave out each=True."
                )
            layer = getattr(loss, "layer", None)
            if isinstance(layer, models.POINTS):
                # A layer that the model does not run, such as the softmax that `linear_outputs` left out, is
                # computed by the loss itself.
                models.warn_of_softmax(layer.name, ends if any(ends) else models.own_squashings(layer))
            arrays += loss.parameters(shapes)
        return [*arrays, np.asarray([weight for _, weight in self.losses], np.float64)]

    def prepared(self, model: Any) -> tuple[list[list[Any]], Evaluate]:
        made = [loss.term(model) for loss, _ in self.losses]
        counts = [len(loss.parameter_ranks) for loss, _ in self.losses]

        def evaluate(seen: Seen) -> list[tuple[Any, Any]]:
            *own, weights = seen.parameters
            values, rest, terms = iter(seen.values), iter(own), []
            for index, ((points, value_of), count) in enumerate(zip(made, counts, strict=True)):
                value = value_of([next(values) for _ in points], [next(rest) for _ in range(count)])
                terms.append((_per_sample(value, seen.inputs), weights[index]))
            return terms

        return [points for points, _ in made], evaluate

    def check(self, found: backend.Evaluation, samples: int) -> None:
        checks.finite(np.asarray(found.loss), f"The loss {self.name}")


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


def _per_sample(value: Any, inputs: Any) -> Any:
    """Return a loss summed within each sample, or over all samples if the batch size is not known."""
    samples, rank = keras.tree.flatten(inputs)[0].shape[0], len(value.shape)
    if samples is None or rank == 0 or value.shape[0] != samples:
        return ops.sum(value)
    return ops.sum(value, axis=tuple(range(1, rank))) if rank > 1 else value
