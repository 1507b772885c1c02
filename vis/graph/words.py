"""A traced computation in framework-independent terms: operations, values, and the layers that ran.

A backend creates it, once per trace; nothing here holds a tensor, a model or a graph of a framework. The kind
of an operation is one of these words or, if none fits, the framework's own name:

| kind | operands | attributes |
|---|---|---|
| `input` | none | |
| `constant` | none; stored in the value | |
| `variable` | none | `name` |
| those of `vis.graph.elementwise` | one or several | those of `ATTRIBUTES` there: `dtype` of `cast`, ... |
| `softmax`, `log_softmax` | x | `axis` |
| `reduce_sum`, `_mean`, `_max`, `_min`, `_prod` | x | `axes` (None if unknown), `keepdims` |
| `convolution` | x, kernel | those of a pool, `groups`, `transposed`, `filters` |
| `max_pool`, `average_pool` | x | `window`, `strides`, `dilations`, `padding`, `channels` (axis) |
| `product` | x, y: a matrix product | `letters`: of the axes of x, of y and of the output |
| `reshape` | x, the new sizes | |
| `expand_dims`, `squeeze` | x | `axes`: the new axes of the output; the dropped axes of x |
| `transpose` | x | `permutation` |
| `slice` | x | `begin`, `end`, `strides`, `open`, `dropped`, `added`: see below |
| `pad` | x | `paddings` before and after each axis, `mode` |
| `concatenate`, `stack` | several | `axis` |
| `split`, `unstack` | x; each output is a part, or one position | `axis` |
| `tile` | x, the number of repeats of each axis | |
| `broadcast` | x, the new sizes | `axes`: the new axes of the output, if they are not its first ones |
| `reverse` | x | `axes` |
| `resize` | x, the new sizes of some axes | `axes`, `method`, `align_corners`, `half_pixel_centers` |
| `gather` | x, indices | `axis` |
| `one_hot` | x: indices | `axis` |
| `repeat` | x | `axis`, `times`: how often each position is repeated in a row |
| `space_to_batch`, `batch_to_space` | x | `block`, `paddings` of the axes after the first |
| `random` | not relevant | |
| `shape` | x: its sizes, or their product | |
| `call` | several | `body`: the graph of the function, without shapes |
| `loop` | several | its body cannot be seen |

Strides, dilations, windows and paddings have an entry per axis of x, its batch axis included. A padding is a
pair of numbers per axis, or None; `"same"` is converted to numbers if the sizes are known. Those of a
transposed convolution are those of the convolution that it transposes.

The `filters` of a convolution are the axes of the kernel along which its channels run; None if unknown.

A product sums over each letter that its output lacks. A slice has an entry per axis of x, None if unknown;
`open` axes run to their ends; `dropped` axes keep one position; `added` are new axes of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Value:
    """What an operation returns.

    Args:
        name: unique in the graph, the framework's own.
        shape: with None for sizes that vary; None if the number of axes is unknown.
        dtype: such as `"float32"`.
        constant: the value itself, if it is known before the graph runs.
    """

    name: str
    shape: Shape | None
    dtype: str
    constant: npt.NDArray[Any] | None = None

    @property
    def is_discrete(self) -> bool:
        """Whether it has no derivative: integers, booleans, strings."""
        return self.dtype.startswith(("int", "uint", "bool", "string"))


@dataclass(frozen=True, eq=False)
class Operation:
    """One step of the computation.

    Args:
        name: unique in the graph, the framework's own.
        kind: what it computes, see above.
        operands: its inputs.
        outputs: its outputs.
        attributes: the details of the computation, see above.
    """

    name: str
    kind: str
    operands: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer, or of another Keras operation, while the graph was traced.

    Args:
        path: the path of the layer in its model, such as `"backbone/conv5"`; empty for the model itself.
        index: the number of earlier calls of the same layer.
        is_layer: whether it is a layer, not just an operation of a functional model's graph.
        first, stop: the range of the operations that it ran, as indices into `Graph.operations`.
        outputs: its outputs, in flat order.
    """

    path: str
    index: int
    is_layer: bool
    first: int
    stop: int
    outputs: tuple[Value, ...]


class Graph:
    """A traced computation.

    Args:
        operations: in an order in which they can be run.
        inputs: its input values.
        outputs: its output values, in flat order.
        calls: the calls of layers, in the order in which they ended.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        calls: Sequence[LayerCall] = (),
    ) -> None:
        self.operations = tuple(operations)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.calls = tuple(calls)

    @cached_property
    def _makers(self) -> dict[Value, Operation]:
        return {value: operation for operation in self.operations for value in operation.outputs}

    @cached_property
    def _users(self) -> dict[Value, list[Operation]]:
        users: dict[Value, list[Operation]] = {}
        for operation in self.operations:
            for value in dict.fromkeys(operation.operands):
                users.setdefault(value, []).append(operation)
        return users

    def maker(self, value: Value) -> Operation:
        """Return the operation that computes a value."""
        return self._makers[value]

    def users(self, value: Value) -> list[Operation]:
        """Return the operations that use a value, each once, in order."""
        return self._users.get(value, [])

    @cached_property
    def _owners(self) -> dict[Operation, LayerCall]:
        owners = {}
        # Outer calls end later: the inner ones, which overwrite them, come first in the list.
        for call in reversed(self.calls):
            if call.is_layer:
                owners.update(dict.fromkeys(self.operations[call.first : call.stop], call))
        return owners

    def owner(self, operation: Operation) -> LayerCall | None:
        """Return the innermost layer call in which an operation ran, or None."""
        return self._owners.get(operation)

    def after(self, values: Sequence[Value]) -> set[Value]:
        """Return some values and all that depend on them, not only on their shapes."""
        found = set(values)
        for operation in self.operations:
            if operation.kind != "shape" and not found.isdisjoint(operation.operands):
                found.update(operation.outputs)
        return found

    def before(self, values: Sequence[Value]) -> set[Value]:
        """Return some values and all that they depend on, not only on their shapes."""
        found = set(values)
        for operation in reversed(self.operations):
            if operation.kind != "shape" and not found.isdisjoint(operation.outputs):
                found.update(operation.operands)
        return found

    def between(self, sources: Sequence[Value], ends: Sequence[Value]) -> Iterator[Operation]:
        """Yield the operations between some values and others, in order."""
        after, before = self.after(sources), self.before(ends)
        for operation in self.operations:
            if not before.isdisjoint(operation.outputs) and not after.isdisjoint(operation.operands):
                yield operation


def constant(value: Value) -> float | None:
    """Return the number that a value is known to equal everywhere, or None."""
    known = value.constant
    if known is None or known.size == 0 or known.dtype.kind not in "fiub":
        return None
    first = known.flat[0]
    return float(first) if known.size == 1 or np.all(known == first) else None
