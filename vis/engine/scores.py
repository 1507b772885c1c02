"""The score of each sample as an objective."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import keras
import numpy.typing as npt
from keras import ops

from vis import backend, checks
from vis.engine.objectives import Evaluate, Objective, Seen
from vis.engine.traces import Trace
from vis.errors import GradientError
from vis.foreign import called, described, foreign_arrays

# operator(model, inputs, targets) -> (batch,), in keras.ops
Operator = Callable[[Callable[[Any], Any], Any, Any], Any]


class Score(Objective):
    """The score of each sample: an operator on the output of a model.

    Args:
        operator: `operator(model, inputs, targets)` returns the score of each sample, `(batch,)`; the
            inputs have the structure of the model's.
        layer: the layer, or the call of one, whose output the operator is given; None for the model's own.
    """

    def __init__(self, operator: Operator, layer: Any = None) -> None:
        self.operator = operator
        self.layer = layer
        self.name = getattr(operator, "__name__", "operator")

    def about(self) -> tuple[list[Any], Hashable]:
        return [self.operator, *([] if self.layer is None else [self.layer])], self.layer is None

    def specs(self, targets: npt.NDArray[Any] | None) -> list[backend.Spec]:
        assert targets is not None  # noqa: S101 - an operator takes targets
        return [backend.Spec((None, *targets.shape[1:]), str(targets.dtype), targets.shape)]

    def parameters(
        self, trace: Trace, targets: npt.NDArray[Any] | None, samples: int
    ) -> list[npt.NDArray[Any]]:
        return [] if targets is None else [targets]

    def prepared(self, model: Any) -> tuple[list[list[Any]], Evaluate]:
        operator = self.operator

        def evaluate(seen: Seen) -> list[tuple[Any, Any]]:
            with foreign_arrays("The operator", operator, GradientError):
                score = operator(seen.model, seen.inputs, *seen.parameters)
            numbers = ops.is_tensor(score) and keras.backend.standardize_dtype(score.dtype) != "string"
            if not numbers or len(score.shape) != 1:
                raise _no_score(operator, described(score))
            return [(score, None)]

        return [], evaluate

    def check(self, found: backend.Evaluation, samples: int) -> None:
        scores = found.values[0]
        if len(scores) != samples:
            raise _no_score(self.operator, f"{len(scores)} scores for {samples} samples")
        checks.finite(scores, "The score of the samples")


def _no_score(operator: Operator, received: str) -> GradientError:
    return GradientError(
        "An operator must return the score of each sample, (batch,), as a tensor of keras.ops. Received from "
        f"{called(operator)}: {received}. Sum over the other axes."
    )
