"""What is known about the signs of the values of a graph before it runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vis.graph import Graph, Operation, Value
from vis.graph.activations import evaluated_on

_NEVER_NEGATIVE = frozenset(
    "relu relu6 sigmoid hard_sigmoid softplus square absolute exponential softmax square_root "
    "reciprocal_square_root squared_difference".split()
)
# What is at least zero if all of its operands are.
_KEEPS = frozenset(
    "identity cast add multiply maximum max_pool average_pool reduce_sum reduce_mean reduce_max reduce_min "
    "reshape expand_dims squeeze transpose slice concatenate stack split unstack tile broadcast reverse "
    "repeat space_to_batch batch_to_space minimum".split()
)
_GRID = np.concatenate([np.linspace(-300, 300, 241), np.linspace(-5, 5, 201)])


class Signs:
    """The signs of the values of a graph.

    Args:
        graph: the graph.

    Attributes:
        nonnegative: the values that are at least zero whatever the input is.
    """

    def __init__(self, graph: Graph) -> None:
        self.nonnegative: set[Value] = set()
        for operation in graph.operations:
            if self._is_nonnegative(operation):
                self.nonnegative.update(operation.outputs)
            for value in operation.outputs:
                if value.constant is not None and value.constant.dtype.kind in "fiub":
                    if value.constant.size and (value.constant >= 0).all():
                        self.nonnegative.add(value)

    def _is_nonnegative(self, operation: Operation) -> bool:
        kind, operands = operation.kind, operation.operands
        if kind in _NEVER_NEGATIVE:
            return True
        if kind == "maximum":
            return any(value in self.nonnegative for value in operands)
        if kind == "pad":
            # The other operands are the widths and the number that is padded with.
            return operands[0] in self.nonnegative and all(v in self.nonnegative for v in operands[1:])
        if kind in ("reshape", "tile", "broadcast", "resize", "gather"):
            bilinear = operation.attributes.get("method") in (None, "nearest", "bilinear", "area")
            return operands[0] in self.nonnegative and bilinear
        return kind in _KEEPS and bool(operands) and all(value in self.nonnegative for value in operands)

    @staticmethod
    def is_fraction(operations: Sequence[Operation], start: Value, end: Value) -> bool:
        """Tell whether an elementwise function lies between 0 and 1 everywhere."""
        y = evaluated_on(operations, start, end, _GRID)
        return y is not None and bool(((y >= -1e-6) & (y <= 1 + 1e-6)).all()) and float(np.ptp(y)) > 0.5
