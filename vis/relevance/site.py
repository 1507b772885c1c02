"""What a rule sees of a site: its inputs, its output, and how the one is computed from the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras import ops

from vis import backend
from vis.graph import Graph, Value
from vis.graph.elementwise import is_elementwise
from vis.relevance.steps import Step
from vis.reprs import TypedRepr
from vis.typing import Tensor

# The narrowest type in which relevance is computed.
_NARROWEST = "float32"


@dataclass(frozen=True)
class Run:
    """A run of a computation whose relevance is wanted.

    Args:
        replay: runs parts of it again.
        graph: what it computes.
        sources: what relevance is wanted of.
    """

    replay: backend.Replay
    graph: Graph
    sources: Sequence[Value]

    def tensor(self, value: Value) -> Any:
        """Return the tensor of a value, in single precision at least."""
        return widened(self.replay.tensor(value))

    @cached_property
    def samples(self) -> Any:
        """Zeros, one for each sample."""
        source = self.tensor(self.sources[0])
        return ops.zeros_like(ops.sum(source, axis=tuple(range(1, len(source.shape)))))

    def summed(self, values: Any) -> Any:
        """Return the sums within each sample, `(batch,)`, of values in the order of the samples."""
        return ops.sum(ops.reshape(values, (ops.shape(self.samples)[0], -1)), axis=1)

    def moved(self, end: Value, changes: dict[Value, Any]) -> Any:
        """Return the tensor of a value if others had other tensors."""
        made = dict(changes)
        for operation in self.graph.between([*changes], [end]):
            operands = [made[v] if v in made else self.tensor(v) for v in operation.operands]
            made.update(zip(operation.outputs, self.replay.run(operation, operands), strict=True))
        return made[end]


def widened(tensor: Any) -> Any:
    """Return a tensor in single precision, if it has less."""
    return ops.cast(tensor, _NARROWEST) if "float16" in str(getattr(tensor, "dtype", "")) else tensor


def weighted(weights: Any, values: Any) -> Any:
    """Return a product that is zero where the weight is, even if the value is infinite, as a masked score."""
    product = weights * values
    return ops.where(ops.equal(weights, 0), ops.zeros_like(product), product)


class Site(TypedRepr):
    """A step of a computation on which relevance flows back, as a rule sees it."""

    def __init__(self, step: Step, run: Run, tells: bool = False) -> None:
        self._step, self._at, self._tells = step, run, tells
        self.taken: dict[str, Any] = {}
        self._kernel = step.kernel

    def _arguments(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": self.path}

    @property
    def kind(self) -> str:
        """What it computes, see `vis.relevance.steps`."""
        return self._step.kind

    @property
    def path(self) -> str:
        """The path of its layer and the name of its operation, such as `"block1/conv2:add"`."""
        return self._step.path

    @property
    def signals(self) -> tuple[bool, ...]:
        """Which of the inputs are no gates."""
        return self._step.signals

    @property
    def is_first(self) -> bool:
        """Whether no other kernel lies between it and what relevance is wanted of."""
        return self._step.is_first

    @property
    def is_last(self) -> bool:
        """Whether no other kernel lies between it and the explained output."""
        return self._step.is_last

    @property
    def is_nonnegative(self) -> bool:
        """Whether its inputs are known to be at least zero."""
        return self._step.is_nonnegative

    @property
    def keeps_shape(self) -> bool:
        """Whether it is elementwise: each value of its output depends on one value of each input."""
        return self._kernel is None and all(map(is_elementwise, self._step.operations))

    @cached_property
    def inputs(self) -> list[Tensor]:
        """What relevance is passed on to, an entry for each use of a tensor."""
        return [self._at.tensor(value) for value in self._step.inputs]

    @property
    def x(self) -> Tensor:
        """The first input, the only one of an affine site."""
        return self.inputs[0]

    @cached_property
    def outputs(self) -> list[Tensor]:
        """What relevance arrives at."""
        if self._step.is_shifted:
            # Without what is added to the inputs.
            zeros = self._run([ops.zeros_like(x) for x in self.inputs], None)
            return [made - zero for made, zero in zip(self._run(self.inputs, None), zeros, strict=True)]
        found = [self._at.tensor(value) for value in self._step.outputs]
        return [self.arranged(found[0])] if self._kernel is not None else found

    @property
    def output(self) -> Tensor:
        """The first output, the only one of an affine site, in the layout of its kernel."""
        return self.outputs[0]

    def arranged(self, value: Tensor) -> Tensor:
        """Return a tensor in the layout of `output`, given one in that in which the site returns it."""
        return value if self._kernel is None else self._kernel.undone(value, self._at.replay.tensor)

    @cached_property
    def _factors(self) -> tuple[Any, Any]:
        return (None, None) if self._kernel is None else self._kernel.factors(self._at.tensor)

    @cached_property
    def weights(self) -> Tensor | None:
        """The weights of an affine site, with the scale per channel that follows them; None for others."""
        if self._kernel is None:
            return None
        return self._kernel.scaled(self._at.tensor(self._kernel.weights), self._factors[0])

    @property
    def bias(self) -> Tensor | None:
        """What an affine site adds, in a shape that can be broadcast to the output; None for nothing."""
        return self._factors[1]

    def forward(self, x: Any, weights: Any = None, bias: Any = None) -> Tensor:
        """Return what the site computes of another input, weights and bias.

        Args:
            x: in the shape of the input; a list for a site with several.
            weights: in the shape of `weights`; None for these.
            bias: in the shape of `bias`; None for nothing.
        """
        made = self._run(x if isinstance(x, list) else [x], weights)[0]
        return made if bias is None else made + bias

    def linearized(self, x: Any, weights: Any) -> tuple[Tensor, Callable[[Any], Tensor]]:
        """Return what an affine site computes of an input and weights, and the gradient by that input.

        The second is a function of what the output is multiplied by.
        """
        made, back = backend.linearized(lambda given: self._run(given, weights), [x])
        return made[0], lambda share: back([share])[0]

    def backward(self, share: Any, weights: Any = None, x: Any = None) -> list[Tensor]:
        """Return the gradients by the inputs of the output times `share`.

        Args:
            share: in the shape of the output; a list for a site with several.
            weights: in the shape of `weights`; None for these.
            x: where the gradient is taken; None for the site's own inputs.
        """
        at = self.inputs if x is None else x if isinstance(x, list) else [x]
        shares = share if isinstance(share, list) else [share]

        def run(given: Sequence[Any]) -> list[Any]:
            made = zip(self._run(given, weights, False), shares, strict=False)
            return [y if y.dtype == each.dtype else ops.cast(y, each.dtype) for y, each in made]

        return backend.pulled(run, at, shares)

    def _run(self, inputs: Sequence[Any], weights: Any, values: bool = True) -> list[Any]:
        step, kernel, replay = self._step, self._kernel, self._at.replay
        first = step.operations[0]
        if kernel is not None:
            operands = [self._at.tensor(value) for value in first.operands]
            operands[kernel.slot] = self.weights if weights is None else weights
            operands[1 - kernel.slot] = inputs[0]
            return list(replay.run(first, operands, values)[:1])
        if len(step.operations) == 1:
            operands = [self._at.tensor(value) for value in first.operands]
            for slot, tensor in zip(step.slots, inputs, strict=True):
                operands[slot] = tensor
            return list(replay.run(first, operands, values))
        made = dict(zip(step.inputs, inputs, strict=True))
        for operation in step.operations:
            operands = [made[v] if v in made else self._at.tensor(v) for v in operation.operands]
            made.update(zip(operation.outputs, replay.run(operation, operands), strict=True))
        return [made[value] for value in step.outputs]

    def account(
        self, share: Tensor, bias: Tensor | None, epsilon: Tensor | None, weight: float = 1.0
    ) -> None:
        """Note what becomes of relevance that no input gets, if it is asked for.

        Args:
            share: the relevance of each output divided by a denominator.
            bias, epsilon: the parts of the denominator that belong to no input.
            weight: what the relevance is multiplied by.
        """
        for name, part in (("bias", bias), ("epsilon", epsilon)) if self._tells else ():
            if part is not None:
                self.taken[name] = self.taken.get(name, 0.0) + weight * self._at.summed(weighted(share, part))

    def bounds(self, low: float, high: float) -> tuple[Tensor, Tensor]:
        """Return bounds of the input of a site, for those of what relevance is wanted of."""
        one, other = (
            self._at.moved(
                self._step.inputs[0],
                {source: ops.full_like(self._at.tensor(source), bound) for source in self._at.sources},
            )
            for bound in (low, high)
        )
        # By comparison: outside TensorFlow, Keras rounds the minimum of doubles to single precision.
        is_less = one < other
        return ops.where(is_less, one, other), ops.where(is_less, other, one)
