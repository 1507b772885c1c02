"""The base class of losses: a loss is a number per sample, and lower is better.

A loss is minimised, so a quantity that should rise, such as an activation, enters it with a minus sign;
`visualize_saliency` gives its loss the weight -1, so that positive gradients mean "raise the output".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import keras
import numpy.typing as npt

from vis.errors import GradientError
from vis.foreign import described, foreign_arrays
from vis.models import held_operations
from vis.reprs import TypedRepr
from vis.typing import Tensor
from vis.weak import WeakTable

# evaluate(values of the points, parameters) -> the loss, in keras.ops
Evaluate = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
_expressions: WeakTable[Any] = WeakTable()


class Loss(TypedRepr, ABC):
    """A loss over symbolic tensors of a model. Subclass it and implement `build_loss`.

    Store each argument of `__init__` in an attribute of the same name, so that the `repr` shows it.

    ```python
    class MeanActivation(Loss):
        name = "mean activation"

        def __init__(self, layer):
            self.layer = layer

        def build_loss(self):
            return -keras.ops.mean(self.layer.output)
    ```
    """

    name = "Unnamed Loss"

    @abstractmethod
    def build_loss(self) -> keras.KerasTensor:
        """Return a `keras.ops` expression over symbolic tensors such as `layer.output`.

        It is called once per loss object. The expression has one value per sample, `(batch,)`; one
        value in all, or more values per sample, are summed.
        """

    def __str__(self) -> str:
        return self.name

    @property
    def samples(self) -> int | None:
        """The number of samples that the loss is for, or None for any."""
        return None

    # The rest is for compiled gradients; a custom loss does not need it.

    parameter_ranks: tuple[int, ...] = ()

    def trace_objects(self) -> list[Any]:
        """Return the objects that a trace of this loss is about; losses with the same ones share it."""
        return [self]

    def trace_settings(self) -> Hashable:
        """Return what else a trace of this loss depends on."""
        return None

    def symbols(self) -> list[keras.KerasTensor]:
        """Return the symbolic tensors that the loss is written over."""
        return [self._expression()]

    def parameters(self, shapes: Sequence[tuple[int | None, ...]]) -> list[npt.NDArray[Any]]:
        """Return the run-time parameters, given the shapes of the points that `term` returned."""
        return []

    def term(self, model: keras.Model) -> tuple[list[Any], Evaluate]:
        """Return the points of `model` to read, and the loss as a function of values and parameters."""
        expression = self._expression()
        held = held_operations(model)
        leaves, nodes = _parts(expression, held)
        if not leaves or not all(node.input_tensors for node in nodes):
            raise GradientError(
                f"The loss {self.name!r} uses {'not only tensors' if leaves else 'no tensor'} of the model "
                f"{model.name!r}. Received: build_loss() returned {expression!r}. Write it over tensors "
                "such as layer.output of this model; for a layer of a nested model pass the whole model as "
                "input_tensor."
            )

        def evaluate(values: Sequence[Any], parameters: Sequence[Any]) -> Any:
            known = {id(leaf): value for leaf, value in zip(leaves, values, strict=True)}
            for node in nodes:
                args, kwargs = node.arguments.fill_in(known)
                made = keras.tree.flatten(node.operation(*args, **kwargs))
                known |= {id(symbol): value for symbol, value in zip(node.output_tensors, made, strict=True)}
            return known[id(expression)]

        _unlink(nodes, held)
        return leaves, evaluate

    def _expression(self) -> Any:
        # Each keras.ops call on a layer's output links a node to that layer: build it once per loss.
        expression = _expressions.get([self])
        if expression is None:
            with foreign_arrays("The loss", self.build_loss, GradientError):
                expression = self.build_loss()
            if not isinstance(expression, keras.KerasTensor) or expression.dtype == "string":
                raise GradientError(
                    f"build_loss() of the loss {self.name!r} must return a numeric keras.ops expression of "
                    f"symbolic tensors such as layer.output. Received: {described(expression)}."
                )
            _expressions.put([self], expression)
        return expression


def _unlink(nodes: Sequence[Any], held: dict[int, Any]) -> None:
    """Take back the links that an expression has made from the user's layers to itself; none is needed."""
    for node in nodes:
        for tensor in node.input_tensors:
            operation = tensor._keras_history.operation
            if id(operation) in held:
                operation._outbound_nodes[:] = [n for n in operation._outbound_nodes if n is not node]


def _parts(expression: Any, held: dict[int, Any]) -> tuple[list[Any], list[Any]]:
    """Return what an expression is computed from, and how.

    Args:
        expression: a symbolic tensor.
        held: the operations of the model, by their ids.

    Returns:
        The tensors made by these operations, and the nodes that compute the expression from them, in order.
    """
    leaves: list[Any] = []
    nodes: list[Any] = []
    known: set[int] = set()
    pending = [expression]
    while pending:
        tensor = pending[-1]
        operation, node_index, _ = tensor._keras_history
        node = operation._inbound_nodes[node_index]
        unknown = [each for each in node.input_tensors if id(each) not in known]
        if id(tensor) in known:
            pending.pop()
        elif id(operation) in held:
            leaves.append(tensor)
            known.add(id(tensor))
        elif unknown:
            pending += unknown
        else:
            nodes.append(node)
            known.update(map(id, node.output_tensors))
    return leaves, nodes
