"""The types shared by the library and its backends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vis.graph import Graph, Operation, Skip, Value

# rule(x, y, grad, true_grad) -> the gradient by x, written in keras.ops: the activation's input, its output,
# the gradient by its output, and the gradient by its input that its true derivative gives.
Rule = Callable[[Any, Any, Any, Any], Any]


@dataclass(frozen=True)
class Spec:
    """The shape (None where it varies) and data type of one array that a compiled function takes.

    `example` is a shape of such an array, for a backend that reads a computation by running it.
    """

    shape: tuple[int | None, ...]
    dtype: str
    example: tuple[int, ...] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Coverage:
    """The activations that a rule reached, and those that it could not reach, by name in the graph."""

    reached: tuple[str, ...]
    missed: tuple[str, ...]


class Replay(Protocol):
    """A run of a traced computation, parts of which can be run again."""

    def tensor(self, value: Value) -> Any:
        """Return the tensor of a value of its graph."""

    def run(self, operation: Operation, operands: Sequence[Any], values: bool = True) -> list[Any]:
        """Return what an operation returns for other operands, which `linearized` can differentiate by.

        Without `values`, the result need not hold numbers: only its derivative is used.
        """


# Returns what a function makes of some tensors, and a function that returns the gradients by these of it
# times some slopes. It is called while a flow runs.
Linearize = Callable[
    [Callable[[list[Any]], list[Any]], Sequence[Any]], tuple[list[Any], Callable[[Sequence[Any]], list[Any]]]
]


class FlowPlan(Protocol):
    """How relevance flows back through a graph.

    Attributes:
        coverage: the operations it passes, and those that no rule is made for.
    """

    coverage: Coverage

    def __call__(
        self, replay: Replay, slopes: Sequence[Any] | None = None
    ) -> tuple[list[Any | None], list[Any]]:
        """Return the relevance of the sources, and what it notes.

        The relevance of a source is None if none arrives there. That of an end is its value times a slope.

        Args:
            replay: a run of the graph.
            slopes: of the ends; None for the gradients of the loss by them.
        """


class Flow(ABC):
    """What is passed back in place of gradients: relevance, by rules for each operation."""

    @abstractmethod
    def plan(
        self,
        graph: Graph,
        sources: Sequence[Value],
        ends: Sequence[Value],
        loss: Value | None = None,
        references: Sequence[Value] = (),
    ) -> FlowPlan:
        """Return how it flows through a graph from its ends, of which a loss is computed, to its sources.

        Args:
            graph: the graph.
            sources: where it arrives.
            ends: where it starts.
            loss: what is computed of the ends; None if their slopes are given.
            references: values for the flow to read, see `Traced.references`.
        """

    def of(self, model: Any) -> Flow:
        """Return it for one model, if it names layers."""
        return self

    @abstractmethod
    def report(self, coverage: Coverage, name: str, model: str) -> None:
        """Warn of what it could not pass as it should; the name is that of the modifier."""


# What a gradient is taken by, in place of the true derivative.
Way = Rule | Flow


@dataclass(frozen=True)
class Traced:
    """What a forward pass returns, as tensors.

    Args:
        loss: a scalar.
        watched: what to differentiate the loss by.
        values: other tensors whose values are wanted.
        of_samples: the summands of the loss: a value per sample, `(batch,)`, or one for all.
        terms: the same for each unweighted term.
        read: the tensors that are the outputs of the graph that the compiled function tells.
        explained: the tensors at which relevance starts.
        references: other tensors that a flow reads, such as what each watched one is compared with.
    """

    loss: Any
    watched: list[Any]
    values: list[Any] = field(default_factory=list)
    of_samples: Any = 0.0
    terms: list[Any] = field(default_factory=list)
    read: list[Any] = field(default_factory=list)
    explained: list[Any] = field(default_factory=list)
    references: list[Any] = field(default_factory=list)


Forward = Callable[[list[Any]], Traced]
# Returns the steps to skip for each output, in flat order, given the graph of a call.
Find = Callable[[Graph], list[Sequence[Skip]]]


@dataclass(frozen=True)
class Evaluation:
    """A loss; the gradient by each watched tensor, None if the loss does not use it; the wanted values.

    `told` is what a flow tells besides.
    """

    loss: npt.NDArray[Any]
    gradients: list[npt.NDArray[np.floating[Any]] | None]
    values: list[npt.NDArray[Any]]
    told: list[npt.NDArray[Any]] = field(default_factory=list)


class CompiledGradient(Protocol):
    """A gradient compiled once.

    It does not hold the forward pass, which holds the model. A backend that runs it again at each call is
    given it again.
    """

    coverage: Coverage | None
    # The random operations in the graph, which draw the same numbers for the first sample at each call.
    draws: tuple[str, ...]
    # What the forward pass computes, with the tensors `Traced.read` as outputs; None if there are none.
    reading: Graph | None

    def __call__(self, arrays: Sequence[npt.ArrayLike], forward: Forward) -> Evaluation:
        """Return the loss, its gradients and the values.

        Args:
            arrays: match the specs it was compiled for. They may include tensors, which are not copied.
            forward: the forward pass that it was compiled from.
        """


@dataclass(frozen=True)
class Steps:
    """What the steps of a gradient descent are.

    Args:
        start: what is changed, an array with the samples on its first axis; it has no None.
        optimizer: a Keras optimizer that is not built and not used elsewhere.
        terms: the number of terms of the loss.
        normalize: divide the gradient of each sample by its Euclidean norm.
        modified: whether `advance` will receive a function that modifies the gradient, on arrays.
        drawn: what differs in each step, such as random numbers.
        prepare: makes the first inputs of the forward pass, given what is changed and drawn, in a list; the
            rule does not reach it. None if what is changed is the first input.
        made: how many inputs it makes.
    """

    start: Spec
    optimizer: Any
    terms: int
    normalize: bool = False
    modified: bool = False
    drawn: Sequence[Spec] = ()
    prepare: Callable[[list[Any]], list[Any]] | None = None
    made: int = 1

    def first(self, x: Any, own: Sequence[Any]) -> list[Any]:
        """Return the first inputs of the forward pass, given what is changed and drawn."""
        return [x] if self.prepare is None else self.prepare([x, *own])


@dataclass(frozen=True)
class DescentState:
    """The state of a descent: the input, the optimizer's variables, and the best samples so far with their
    losses, `(batch,)`.

    `loss`, `(batch,)`, `terms`, `(terms, batch)`, and `gradient` belong to the last step, before its update.
    """

    x: npt.NDArray[Any]
    variables: list[npt.NDArray[Any]]
    best: npt.NDArray[Any]
    best_loss: npt.NDArray[np.float64]
    loss: npt.NDArray[np.float64]
    terms: npt.NDArray[Any]
    gradient: npt.NDArray[Any]


class CompiledDescent(Protocol):
    """Steps of gradient descent compiled once."""

    coverage: Coverage | None
    draws: tuple[str, ...]
    reading: Graph | None

    def start(self, x: npt.ArrayLike) -> DescentState:
        """Return the state before the first step from `x`."""

    def advance(
        self,
        state: DescentState,
        steps: int,
        arrays: Sequence[npt.ArrayLike],
        drawn: Sequence[npt.ArrayLike] = (),
        modify: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
        *,
        forward: Forward,
    ) -> DescentState:
        """Return the state some steps later.

        `arrays` match the specs of the forward pass after those that are made; `drawn` holds what
        differs in each step, with the steps as the first axis.
        """


class CompiledCall(Protocol):
    """A forward pass compiled per input signature."""

    found: Coverage | None

    def __call__(self, inputs: Any) -> Any:
        """Return the outputs for a structure of tensors; `found` then holds what the rule reached."""

    def coverage(self, specs: Any) -> Coverage:
        """Return what the rule reaches when the inputs have the given structure of specs."""


def note_operations(operations: Callable[[], Iterable[Any]]) -> None:
    """Note what a model is made of: what is compiled is dropped when the settings of one of them change.

    Args:
        operations: returns the model and all operations inside; it is called if they are asked for.
    """


def hooks_of(own: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the numbers of the hooks on a module of PyTorch, given its `__dict__`, or nothing."""
    if "_modules" not in own:
        return ()
    forward, backward = own["_forward_hooks"], own["_backward_hooks"]
    return (*own["_forward_pre_hooks"], *forward, *own["_backward_pre_hooks"], *backward)


def leave(value: Any, use: Callable[[Any], None]) -> None:
    """Call `use` with a structure of tensors, where a trace inside another one makes no others of them."""
    use(value)


def mask_of(tensor: Any) -> Any:
    """Return the mask that Keras passes along with a tensor, or None; it has no public name."""
    return getattr(tensor, "_keras_mask", None)


def masked(tensor: Any, mask: Any) -> Any:
    """Return a tensor with this mask, if there is one."""
    if mask is not None:
        tensor._keras_mask = mask
    return tensor
