"""How a model is run: from its inputs or from a layer, with its masks kept, in batches that it takes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from vis import backend, models
from vis.engine.source import Source

Array = npt.NDArray[Any]
Arrays = Sequence[Array]
R = TypeVar("R", bound="Run")


@dataclass(frozen=True)
class Run:
    """Runs a model.

    Args:
        source: the model, with its backprop modifier if it has one, or symbolic inputs.
        wrt: the layer whose output is explained instead of the inputs; its value follows them in the
            arrays, see `Differentiation.begin`.
        fold: whether batch normalizations and zero paddings are folded into the layers beside them.
        kernels: the folded kernels, see `fixed`.
        sizes: the largest batch that each function has met, see `batched`.
    """

    source: Source
    wrt: Any = field(default=None, kw_only=True)
    fold: bool = field(default=False, kw_only=True)
    kernels: tuple[Any, ...] = field(default=(), compare=False, repr=False, kw_only=True)
    sizes: dict[Hashable, int] | None = field(default=None, compare=False, repr=False, kw_only=True)

    def batched(self: R) -> R:
        """Return the same for a run over batches.

        Where a function is compiled for each batch size, a batch is filled up to the largest one before it.
        """
        return replace(self, sizes={}) if self.sizes is None else self

    def fixed(self: R) -> R:
        """Return the same for a run over batches in which no weight changes: layers are folded once, now.

        What is folded already stays as it is.
        """
        run = self.batched()
        if not self.fold or self.kernels:
            return run
        return replace(run, kernels=tuple(models.scaled_kernels(self.source.anchor())))

    def size(self, function: Hashable, count: int) -> int | None:
        """Return how many samples a function is given for a batch of `count`, or None for as many."""
        if self.sizes is None or not backend.compiles_sizes:
            return None
        self.sizes[function] = max(count, self.sizes.get(function, 0))
        return self.sizes[function]

    def explained(self, arrays: Sequence[Any]) -> list[Any]:
        """Return the arrays of `begin` that gradients are taken by."""
        return list(arrays[self.which])

    @property
    def which(self) -> slice:
        """The arrays of `begin` that gradients are taken by."""
        return slice(0, self.inputs) if self.wrt is None else slice(self.inputs, self.inputs + 1)

    def steps(self, arrays: Arrays) -> list[Array]:
        """Return which steps of the explained arrays are not masked, as arrays of booleans that broadcast."""
        given, explained = self.given(arrays), self.explained(arrays)
        return list(arrays[len(given) :]) or [np.ones((1,) * array.ndim, bool) for array in explained]

    def given(self, arrays: Arrays) -> Arrays:
        """Return the arrays of `begin` that the model runs on: all but the steps."""
        masked = len(arrays) > self.inputs + (self.wrt is not None)
        return arrays[: len(arrays) - len(self.explained(arrays))] if masked else arrays

    @cached_property
    def inputs(self) -> int:
        """The number of inputs."""
        symbols = self.source.symbols
        return 1 if symbols is None else len(keras.tree.flatten(symbols))

    @cached_property
    def is_masked(self) -> bool:
        """Whether the model may make masks."""
        return self.source.is_model and models.makes_masks(self.source.anchor())

    @cached_property
    def _unrolled(self) -> bool:
        return models.mask_makers(self.source.anchor()).in_loops

    def specs(self, arrays: Arrays, reads_masks: bool = False) -> list[backend.Spec]:
        """Return the specs of what the model runs on, with or without its masks."""
        has_masks = reads_masks or len(arrays) > self.inputs + (self.wrt is not None)
        specs = (self.source.sized if has_masks and self._unrolled else self.source.specs)(arrays)
        # A dimension that varies with the input is not part of the trace.
        varies = any(None in spec.shape[1:] for spec in specs)
        for array in arrays[len(specs) :]:
            shape: Any = (None,) * array.ndim if varies else array.shape
            if self.wrt is not None and len(specs) == self.inputs:
                shape = models.output_shape(self.wrt) or array.shape
            specs.append(backend.Spec((None, *shape[1:]), str(array.dtype), array.shape))
        return specs

    def entered(self, tensors: Sequence[Any]) -> tuple[Any, Any, list[Any]]:
        """Return the inputs in their structure, the output of `wrt` or None, and the masks."""
        symbols, rest = self.source.symbols, list(tensors[self.inputs :])
        inputs = tensors[0]
        if symbols is not None:
            inputs = keras.tree.pack_sequence_as(symbols, list(tensors[: self.inputs]))
        return inputs, rest.pop(0) if rest and self.wrt is not None else None, rest


def in_parts(
    run: Callable[[list[Array], Array | None], list[list[Any]]],
    arrays: Arrays,
    targets: Array | None,
    fixed: int | None,
    alone: bool,
) -> list[list[Any]]:
    """Run on a batch.

    Args:
        run: returns lists of arrays, or of None, for arrays and targets.
        arrays, targets: `(batch, ...)`.
        fixed: the batch size that the model is made or compiled for: it runs on parts, the last one filled
            up; None for any.
        alone: whether each sample runs alone, so that all get the same random numbers.
    """
    count = len(arrays[0])
    size = fixed or 1
    step = 1 if alone else fixed or count
    if not count or (fixed in (None, count) and step == count):
        return run(list(arrays), targets)
    parts = []
    for start in range(0, count, step):
        # Missing samples are filled up with the last one.
        rows = np.minimum(np.arange(start, start + size), min(start + step, count) - 1)
        part = run([array[rows] for array in arrays], None if targets is None else targets[rows])
        kept = min(step, count - start)
        parts.append([[each if each is None else each[:kept] for each in column] for column in part])
    columns = zip(*parts, strict=True)
    return [[_joined(pieces) for pieces in zip(*column, strict=True)] for column in columns]


def _joined(pieces: Sequence[Any]) -> Any:
    return None if pieces[0] is None else np.concatenate(pieces)
