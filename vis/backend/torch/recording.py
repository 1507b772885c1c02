"""What runs in a forward pass: the operations that PyTorch dispatches, and the layers that dispatch them.

PyTorch has no graph of a forward pass. A recording watches one run: each operation, what it took and what it
returned. A slot stands for one value of a tensor: writing into a tensor makes a new slot of it and of all
that share its memory.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import torch
from torch.utils._python_dispatch import TorchDispatchMode  # there is no public name

from vis.backend.contract import hooks_of

# The target of a step that stands for a derivative of the user's, `torch.autograd.Function`. It returns its
# first operand; the gradient goes on to the others.
CUSTOM = "custom gradient"
# PyTorch also runs it by itself, more often the more tensors are held, so it does not count.
DETACH = torch.ops.aten.detach.default
_active = threading.local()

Edge = tuple[Any, int]


@dataclass(frozen=True, eq=False)
class Slot:
    """One value of a tensor.

    Args:
        number: unique in the recording.
        shape: of the tensor; a later step may give it another one.
        held: the tensor itself; a later step may have written into it.
    """

    number: int
    shape: tuple[int, ...]
    held: torch.Tensor

    @property
    def tensor(self) -> torch.Tensor:
        """The tensor, detached."""
        return self.held.detach()

    @property
    def dtype(self) -> Any:
        return self.held.dtype


@dataclass(frozen=True, eq=False)
class Step:
    """An operation that ran.

    Args:
        target: the operation, a `torch._ops.OpOverload`, or `CUSTOM`.
        args, kwargs: its arguments, with slots in place of tensors, also inside lists.
        outputs: the slots of the tensors that it returned or wrote into, in flat order.
        position: how many operations were dispatched before it, detaching not counted.
        is_echo: whether no operation ran, but another one wrote into a part of its first operand's memory.
        is_hidden: whether it ran where no derivative is taken of it, although it is around: under
            `torch.no_grad`, or in a `torch.autograd.Function`.
    """

    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Slot, ...]
    position: int = -1
    is_hidden: bool = False
    is_echo: bool = False

    @property
    def operands(self) -> tuple[Slot, ...]:
        """The slots among the arguments, in flat order."""
        return tuple(slots_in([self.args, *self.kwargs.values()]))

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by their names in the schema, and those that have a default value."""
        given = {}
        for place, argument in enumerate(self.target._schema.arguments):  # there is no public name
            is_result = (
                argument.kwarg_only and argument.alias_info is not None and argument.alias_info.is_write
            )
            if is_result:
                continue
            if not argument.kwarg_only and place < len(self.args):
                given[argument.name] = self.args[place]
            elif argument.name in self.kwargs:
                given[argument.name] = self.kwargs[argument.name]
            elif argument.has_default_value():
                given[argument.name] = argument.default_value
        return given

    @property
    def writes(self) -> bool:
        """Whether it writes into one of its operands."""
        return self.target != CUSTOM and bool(self.target._schema.is_mutable)


@dataclass
class Note:
    """A call of a layer: its path, the range of its steps, and its outputs."""

    path: str
    is_layer: bool
    first: int
    stop: int = 0
    outputs: list[Slot] = field(default_factory=list)


def slots_in(value: Any) -> Iterator[Slot]:
    """Yield the slots in nested lists of arguments."""
    if isinstance(value, Slot):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from slots_in(item)


class Recording(TorchDispatchMode):  # type: ignore[misc]
    """A mode that notes what runs in it.

    Args:
        inputs: the tensors that the forward pass is run on.
        keeps: whether values are kept that others are written over.
        notes: whether the calls of layers are noted.

    Attributes:
        steps: what ran, in order.
        notes: the calls of layers.
        inputs: the slots of the inputs.
        read_variables: the numbers of their slots and they themselves, in the order in which they were read.
        assigned: the ids of the variables that would have been assigned.
        of_layers: what `memory_of` returns for the tensors that layers hold as attributes.
        is_hooked: whether the user has put hooks on layers.
        dispatched: how many operations were dispatched, detaching not counted.
        variables: the names of the variables, by the numbers of their slots.
    """

    def __init__(self, inputs: Sequence[torch.Tensor], keeps: bool = False, notes: bool = True) -> None:
        super().__init__()
        self._keeps, self.takes_notes = keeps, notes
        self._kept: dict[int, torch.Tensor] = {}
        self.steps: list[Step] = []
        self.notes: list[Note] = []
        self.variables: dict[int, str] = {}
        self.read_variables: list[tuple[int, Any]] = []
        self.assigned: set[int] = set()
        self.of_layers: set[int] = set()
        self.is_hooked = False
        self._slots: list[Slot] = []
        self._held: dict[int, torch.Tensor] = {}
        self._last: dict[int, torch.Tensor] = {}
        self._by_id: dict[int, Slot] = {}
        self._by_place: dict[int, dict[tuple[Any, ...], Slot]] = {}
        self._edges: dict[int, Edge] = {}
        self._hidden: set[int] = set()
        self._paused = False
        self._differentiates = torch.is_grad_enabled()
        self.dispatched = 0
        self.inputs = [self._new(tensor) for tensor in inputs]

    def __enter__(self) -> Recording:
        recordings().append(self)
        super().__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)
        recordings().pop()

    def slot(self, tensor: torch.Tensor) -> Slot:
        """Return the slot of the value that a tensor has now."""
        slot = self._by_id.get(id(tensor))
        if slot is None:
            # PyTorch hands on another object than the one that was dispatched, if it is a view.
            slot = self._by_place.get(memory_of(tensor), {}).get(_place(tensor))
            if slot is None:
                slot = self._new(tensor)
            else:
                self._hold(tensor, slot)
        if tensor.grad_fn is not None:
            if slot.number in self._hidden:
                slot = self._customized(tensor, slot)
            if slot.number not in self._edges:
                self._edges[slot.number] = (tensor.grad_fn, tensor.output_nr)
        return slot

    def edge(self, slot: Slot) -> Edge | None:
        """Return where the gradient by a value arrives in the graph of autograd, or None."""
        tensor = self.current(slot)
        if slot.number not in self._edges and tensor is not None and tensor.requires_grad:
            found = torch.autograd.graph.get_gradient_edge(tensor)
            self._edges[slot.number] = (found.node, found.output_nr)
        return self._edges.get(slot.number)

    def step(self, name: str) -> Step:
        """Return the step of an operation of this name, or of which it is a part."""
        return self.steps[int(name.rpartition("/")[2].partition(".")[0])]

    def named(self, name: str) -> Slot | None:
        """Return the slot of a value of this name; None for a value inside a step."""
        return self._slots[int(name)] if name.isdigit() else None

    def held(self, slot: Slot) -> torch.Tensor:
        """Return the tensor of a value, if values are kept."""
        kept = self._kept.get(slot.number)
        return slot.tensor if kept is None else kept

    def current(self, slot: Slot) -> torch.Tensor | None:
        """Return the tensor that has a value, or None if another value has been written into it."""
        tensor = self._last[slot.number]
        return tensor if self._by_id[id(tensor)] is slot else None

    def name(self, tensor: torch.Tensor, variable: Any) -> None:
        """Record that a tensor is the value of a variable."""
        slot = self._new(tensor)
        self.variables[slot.number] = variable.path
        self.read_variables.append((slot.number, variable))

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing."""
        before, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = before

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        place = self.dispatched
        self.dispatched += func != DETACH
        if self._paused:
            return func(*args, **kwargs)
        taken = self._told(args)
        named = {key: self._told(value) for key, value in kwargs.items()}
        written = _written(func, args, kwargs)
        for tensor in written if self._keeps else ():
            for slot in self._by_place.get(memory_of(tensor), {}).values():
                self._kept.setdefault(slot.number, self._last[slot.number].detach().clone())
        made = func(*args, **kwargs)
        hidden = self._differentiates and not torch.is_grad_enabled()
        outputs: list[Slot] = []
        aliases: list[tuple[torch.Tensor, Slot]] = []
        if torch.Tag.inplace_view not in func.tags:  # those change the shape, and no number
            for tensor in written:
                aliases += self._forget(tensor)
        results = list(_tensors(made))
        if results and not written and all(id(tensor) in self._by_id for tensor in results):
            return made  # its own arguments, as if it had not run
        for tensor in [*results, *(each for each in written if not any(each is r for r in results))]:
            outputs.append(self._new(tensor))
            if hidden:
                self._hidden.add(outputs[-1].number)
        self.steps.append(Step(func, taken, named, tuple(outputs), place, hidden))
        for tensor, old in aliases:
            self._overwritten(tensor, old, outputs, hidden)
        return made

    def _told(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self.slot(value)
        if isinstance(value, list | tuple):
            return type(value)(self._told(item) for item in value)
        return value

    def _new(self, tensor: torch.Tensor) -> Slot:
        slot = Slot(len(self._slots), tuple(tensor.shape), tensor)
        self._slots.append(slot)
        self._hold(tensor, slot)
        return slot

    def _hold(self, tensor: torch.Tensor, slot: Slot) -> None:
        self._held[id(tensor)] = tensor  # so that no other tensor gets its identity
        self._by_id[id(tensor)] = slot
        self._last[slot.number] = tensor
        self._by_place.setdefault(memory_of(tensor), {})[_place(tensor)] = slot

    def _forget(self, tensor: torch.Tensor) -> list[tuple[torch.Tensor, Slot]]:
        """Forget the values of all tensors that share the memory of one that is written into.

        Returns:
            the other tensors, each with the slot that it had.
        """
        old, place = self._by_place.pop(memory_of(tensor), {}), _place(tensor)
        return [(self._last[slot.number], slot) for where, slot in old.items() if where != place]

    def _overwritten(self, tensor: torch.Tensor, old: Slot, by: Sequence[Slot], hidden: bool) -> None:
        """Record the new value of a tensor, part of which an operation on another one has overwritten."""
        slot = self._new(tensor)
        if hidden:
            self._hidden.add(slot.number)
        target = torch.ops.aten.as_strided_scatter.default
        sizes = (list(by[0].held.shape), list(by[0].held.stride()), by[0].held.storage_offset())
        self.steps.append(Step(target, (old, by[0], *sizes), {}, (slot,), is_hidden=hidden, is_echo=True))

    def _customized(self, tensor: torch.Tensor, hidden: Slot) -> Slot:
        """Return the slot of a tensor with a derivative that is not that of the operations that made it."""
        edges = [edge for edge in tensor.grad_fn.next_functions if edge[0] is not None]
        sources = [self._slots[number] for number, edge in self._edges.items() if edge in edges]
        leaves = [getattr(node, "variable", None) for node, _ in edges]
        sources += [self._by_id[id(leaf)] for leaf in leaves if id(leaf) in self._by_id]
        slot = self._new(tensor)
        self.steps.append(Step(CUSTOM, (hidden, *sources), {}, (slot,)))
        return slot


def memory_of(tensor: torch.Tensor) -> int:
    """Return what tensors have in common that share their memory."""
    # Storages have no public identity; addresses are 0 where nothing is stored.
    return int(tensor.untyped_storage()._cdata)


def _place(tensor: torch.Tensor) -> tuple[Any, ...]:
    return tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _written(func: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    """Return the arguments that an operation writes into."""
    found = []
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            found.append(args[place] if place < len(args) else kwargs.get(argument.name))
    return list(_tensors(found))


def recordings() -> list[Recording]:
    """Return the recordings in which the current thread runs, the innermost last."""
    if not hasattr(_active, "stack"):
        _active.stack = []
    stack: list[Recording] = _active.stack
    return stack


def is_noting(asked: bool = True) -> bool:
    """Tell whether layer calls are recorded: if the current thread is, asked or not, to name what draws."""
    return any(current.takes_notes for current in recordings())


def note_operations(operations: Callable[[], Iterable[Any]]) -> None:
    """Note in the current recordings which tensors layers hold, and whether they have hooks."""
    for recording in recordings():
        for each in operations():
            own = vars(each)
            held = [
                value for name, value in own.items() if name[0] != "_" and isinstance(value, torch.Tensor)
            ]
            recording.of_layers.update(map(memory_of, held))
            recording.is_hooked |= bool(hooks_of(own))


@contextlib.contextmanager
def noted(path: str, is_layer: bool) -> Iterator[Callable[[Any], None]]:
    """Record which steps a layer call adds to the current recording, if there is one.

    Args:
        path: the path of the layer.
        is_layer: whether it is a layer, not just a Keras operation.

    Yields:
        a function to call with the output of the layer.
    """
    notes = [(current, Note(path, is_layer, len(current.steps))) for current in recordings()]

    def returned(outputs: Any) -> None:
        tensors = [tensor for tensor in keras.tree.flatten(outputs) if isinstance(tensor, torch.Tensor)]
        for current, note in notes:
            note.outputs = [current.slot(tensor) for tensor in tensors]

    yield returned
    for current, note in notes:
        note.stop = len(current.steps)
        current.notes.append(note)
