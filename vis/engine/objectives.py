"""What is asked of a model: a number per sample, its run-time parameters, and the layers that it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import keras
import numpy.typing as npt
from keras import ops

from vis import backend, checks, models
from vis.engine.traces import Trace
from vis.errors import LayerError


@dataclass(frozen=True)
class Seen:
    """What an objective sees of a run of the model.

    Args:
        inputs: in their structure.
        values: of the points that it reads.
        parameters: its run-time parameters.
        masks: those that layers use or make, or None.
        model: returns the explained output for any inputs.
    """

    inputs: Any
    values: list[Any]
    parameters: list[Any]
    masks: models.Masks | None
    model: Callable[[Any], Any]


# Returns terms, each with its weight or None. A term has a value per sample, `(batch,)`, or one for all.
Evaluate = Callable[[Seen], list[tuple[Any, Any]]]


class Objective(ABC):
    """A number per sample, as a sum of terms; or only values to read.

    Attributes:
        name: for messages.
        layer: the layer, or the call of one, whose output is explained; None for the model's own.
        is_of_samples: whether each sample has values of its own, whatever others are in the batch.
        reads_masks: whether it reads the masks that layers make.
    """

    name = ""
    layer: Any = None
    is_of_samples = True
    reads_masks = False

    def about(self) -> tuple[list[Any], Hashable]:
        """Return the objects that a trace of this objective is about, and what else it depends on."""
        return [] if self.layer is None else [self.layer], (type(self), self.layer is None)

    def symbols(self) -> list[keras.KerasTensor]:
        """Return the symbolic tensors that it is written over."""
        return []

    def specs(self, targets: npt.NDArray[Any] | None) -> list[backend.Spec]:
        """Return the specs of its run-time parameters."""
        return []

    def parameters(
        self, trace: Trace, targets: npt.NDArray[Any] | None, samples: int
    ) -> list[npt.NDArray[Any]]:
        """Return its run-time parameters for some samples, and warn of what the trace shows."""
        return []

    @abstractmethod
    def prepared(self, model: Any) -> tuple[list[list[Any]], Evaluate]:
        """Return the points of a model that each term reads, and a function that returns the terms."""

    def check(self, found: backend.Evaluation, samples: int) -> None:  # noqa: B027 - masks are finite
        """Raise `GradientError` if an evaluation for some samples is not finite."""


class Output(Objective):
    """The output of a layer, or of the model for None."""

    def __init__(self, layer: Any, name: str) -> None:
        self.layer, self.name = layer, name

    def prepared(self, model: Any) -> tuple[list[list[Any]], Evaluate]:
        return [], lambda seen: [(single_output(seen.model(seen.inputs)), None)]

    def check(self, found: backend.Evaluation, samples: int) -> None:
        checks.finite(found.values[0], f"The output of {self.name!r}")


class MadeMasks(Objective):
    """What layers make masks from, and the masks, in turn; then a layer's output and its mask, if any."""

    reads_masks = True

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def prepared(self, model: Any) -> tuple[list[list[Any]], Evaluate]:
        def evaluate(seen: Seen) -> list[tuple[Any, Any]]:
            masks = seen.masks
            assert masks is not None  # noqa: S101 - it reads them
            ends = [] if self.layer is None else [seen.model(seen.inputs)]
            pairs = [*masks.made, *((value, masks.of(value)) for value in ends)]
            return [(tensor, None) for value, mask in pairs for tensor in (value, ops.cast(mask, "bool"))]

        return [], evaluate


def single_output(output: Any) -> Any:
    """Return the only tensor of a model's output.

    Raises:
        LayerError: if there are several.
    """
    tensors = keras.tree.flatten(output)
    if len(tensors) != 1:
        raise LayerError(
            f"The model has {len(tensors)} outputs; one is explained at a time. Choose it with output_layer, "
            "or pass an operator that makes one score from all of them."
        )
    return tensors[0]
