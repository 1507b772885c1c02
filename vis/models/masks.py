"""Masks of time steps: which layers make them, and how a run on changed values keeps the original masks.

A mask says which time steps of a sequence count; Keras passes it along with the values. A layer that makes a
mask from its input (`Masking`, an `Embedding` with `mask_zero`, a custom layer) would make a different one
from a noisy or covered input, or where a path crosses the value that it masks. So the masks are recorded in a
run on the original input and reused in all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from vis import backend
from vis.models.containers import is_foreign
from vis.models.find import held_operations, sublayers
from vis.models.findings import Findings
from vis.models.twins import Unannounced

# The relative distance of two neighbouring numbers of a data type.
_STEPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}
_NOTHING = np.zeros((1, 1, 1), np.float32)


@dataclass(frozen=True)
class MaskMakers:
    """The layers of a model that may make masks.

    Args:
        layers: the layers that define how they compute a mask.
        operations: the operations whose outputs are masks, as for most masks in a functional model.
        held: all operations of the model.
    """

    layers: list[Any]
    operations: list[Any]
    held: list[Any]

    @property
    def in_loops(self) -> bool:
        """Whether some run in a vectorized loop, from which a mask can only be read if it is unrolled."""
        loops = [each for each in self.held if isinstance(each, keras.layers.TimeDistributed)]
        return any(mask_makers(each).at_work() for each in loops)

    def at_work(self) -> bool:
        """Tell whether there may be a mask."""
        return bool(self.operations) or any(map(_makes_mask, self.layers))


def mask_makers(model: Any) -> MaskMakers:
    """Return the layers of a model that may make masks."""
    held = [model, *held_operations(model).values()]
    layers = [each for each in held if _defines_mask(type(each))]
    masks = []
    for node in (node for each in held for node in getattr(each, "_inbound_nodes", ())):
        masks += [backend.mask_of(tensor) for tensor in node.output_tensors]
        # Keras also passes masks as arguments: "mask", or the name of the masked argument with "_mask".
        handed = [value for name, value in node.arguments.kwargs.items() if name.endswith("mask")]
        masks += keras.tree.flatten(handed)
    symbols = [mask for mask in masks if isinstance(mask, keras.KerasTensor) and mask.dtype == "bool"]
    return MaskMakers(layers, [mask._keras_history.operation for mask in symbols], held)


def _defines_mask(cls: type) -> bool:
    """Tell whether the operations of a class compute masks in a way of their own."""
    own = keras.Layer.compute_mask
    return getattr(cls, "compute_mask", own) is not own


def makes_masks(model: Any) -> bool:
    """Tell whether a model may make a mask."""
    return _known.get(model, lambda _: mask_makers(model).at_work())


def _may_decide(operation: Any) -> bool:
    """Tell whether the settings of an operation may decide whether there is a mask.

    Those of most layers of Keras do not: such a layer holds no other, and passes on the mask it receives.
    """
    cls = type(operation)
    return not is_foreign(cls.__module__) or _defines_mask(cls) or any(sublayers(operation))


_known: Findings[bool] = Findings(_may_decide)


def _makes_mask(layer: Any) -> bool:
    """Tell whether a layer may make a mask when it receives none."""
    try:
        masks = layer.compute_mask(_NOTHING, None)
    except Exception:  # a custom layer, on an input that is not its own
        return True
    return any(mask is not None for mask in keras.tree.flatten(masks))


class Masks:
    """The masks that layers make, in the order in which a run makes them.

    Args:
        given: the masks of the original run, which layers then use instead of their own; None to record them
            in `made`, each after the input of its layer.
    """

    def __init__(self, given: Sequence[Any] | None = None) -> None:
        self.made: list[tuple[Any, Any]] = []
        self._given = None if given is None else iter(given)
        self._pairs: list[tuple[Any, Any]] = []
        self._paused = False
        self._noted: list[tuple[Any, Any]] = []

    def note(self, output: Any, masks: Sequence[Any]) -> None:
        """Record the masks of the tensors of an output."""
        self._noted += zip(keras.tree.flatten(output), masks, strict=True)

    def of(self, tensor: Any) -> Any:
        """Return the recorded mask of an output; without a mask, every sample counts."""
        mask = next((mask for noted, mask in self._noted if noted is tensor), None)
        return ops.ones((ops.shape(tensor)[0],), "bool") if mask is None else mask

    def twin_class(self, cls: Any, is_mask: bool) -> Any:
        """Return a class for the twin of an operation that records its masks, or uses the given ones.

        Args:
            cls: the class of the operation.
            is_mask: whether its output is a mask.
        """
        masks = self

        class Masked(Unannounced, cls):  # type: ignore[misc]
            def compute_mask(self, *args: Any, **kwargs: Any) -> Any:
                made = super().compute_mask(*args, **kwargs)
                received = keras.tree.flatten((args, kwargs))[0]
                return keras.tree.map_structure(lambda mask: masks._kept(received, mask), made)

            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                output = super().__call__(*args, **kwargs)
                received = keras.tree.flatten((args, kwargs))[0]
                if is_mask:
                    return masks._kept(received, output)
                made = map(backend.mask_of, keras.tree.flatten(output))
                kept = [masks._kept(received, mask) for mask in made]
                beside = masks._beside(received, kept, self.compute_dtype)
                if beside is not None:
                    # A layer may also change the values that it masks, so it runs on an input that it does
                    # not mask.
                    masks._paused = True
                    others = {id(received): beside}
                    args, kwargs = keras.tree.map_structure(lambda x: others.get(id(x), x), (args, kwargs))
                    output = super().__call__(*args, **kwargs)
                    masks._paused = False
                tensors = map(backend.masked, keras.tree.flatten(output), kept)
                return keras.tree.pack_sequence_as(output, list(tensors))

        return Masked

    def _kept(self, received: Any, mask: Any) -> Any:
        """Return the replacement of a mask that a layer has made from its input."""
        if mask is None or self._paused or any(mask is kept for kept, _ in self._pairs):
            return mask
        if self._given is None:
            backend.leave((received, mask), self.made.append)
        self._pairs.append((mask if self._given is None else next(self._given), mask))
        return self._pairs[-1][0]

    def _beside(self, received: Any, masks: list[Any], dtype: str) -> Any:
        """Return the input of a layer, changed minimally where the layer masks what it did not mask before.

        None if it need not or cannot be changed.
        """
        pairs = [pair for pair in self._pairs if any(pair[0] is mask for mask in masks)]
        types = [keras.backend.standardize_dtype(getattr(received, "dtype", "int32")), dtype]
        if self._given is None or not pairs or not keras.backend.is_float_dtype(types[0]):
            return None
        kept, made = pairs[0]
        if len(kept.shape) > len(received.shape):
            return None
        step = max(_STEPS.get(each, 0.0) for each in types)
        moved = ops.cast(ops.logical_and(kept, ops.logical_not(made)), types[0])
        for _ in range(len(received.shape) - len(kept.shape)):
            moved = ops.expand_dims(moved, -1)
        return backend.masked(received + moved * (2 * step * received + step**2), backend.mask_of(received))
