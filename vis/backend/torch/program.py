"""Forward passes without Keras: the operations that PyTorch ran, run again one after another.

Where a forward pass runs layer by layer, what Keras does around each operation takes longer than many an
operation. So a forward pass that runs often is written down as one function of tensors, which runs in its
stead. Autograd follows it as it follows these operations anywhere.

It is written down only if all that it depends on is known: the inputs, the variables, which are read at each
run, the tensors that layers hold, and numbers that do not change. A forward pass goes on to run itself if it
reads values of tensors into Python, draws random numbers, uses tensors that something else holds, such as a
module of PyTorch, has hooks on its layers, or a derivative other than that of its operations.
"""

from __future__ import annotations

import functools
import operator
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import torch
from torch.overrides import TorchFunctionMode

from vis.backend.contract import Forward, Traced
from vis.backend.recent import Recent
from vis.backend.torch.draws import is_random
from vis.backend.torch.nodes import nodes_behind
from vis.backend.torch.recording import CUSTOM, Recording, Slot, Step, memory_of, recordings, slots_in
from vis.backend.torch.running import Constants, derivatives, leaves, record

# For how many sizes of the inputs programs are kept.
_KEPT = 16
# What an operation takes Keras, and writing it down takes, in seconds of a processor.
_SAVED, _COST = 2e-5, 2.5e-4
# What hands numbers of a tensor to Python without an operation, or changes its derivative.
_LEAVING = {"numpy", "tolist", "__array__", "__dlpack__", "data_ptr", "register_hook"}
_VARIES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
_PARTS = ("loss", "watched", "values", "of_samples", "terms")


class _Unfit(Exception):
    """A forward pass cannot be written down."""


@dataclass
class Entry:
    """What is known of a forward pass on tensors of some sizes.

    Attributes:
        runs, seconds: how often it has run itself, and what this has taken the processor.
        is_tried: whether a program of it has been tried.
        program: the program, or None.
    """

    runs: int = 0
    seconds: float = 0.0
    is_tried: bool = False
    program: Program | None = None

    def is_due(self, operations: int) -> bool:
        """Tell whether a program would have saved as much by now as it takes to write it.

        Args:
            operations: how many of them a run has.
        """
        if self.runs < 4:
            return False
        each = self.seconds / self.runs
        # A run is shorter by most of itself at best; to write it down, it runs some times.
        return self.runs * min(operations * _SAVED, 0.8 * each) > operations * _COST + 4 * each


class Programs:
    """The programs of a forward pass, by the sizes of its inputs.

    Attributes:
        operations: how many of them a run has.
    """

    def __init__(self) -> None:
        self.operations = 0
        self._entries: Recent[Entry] = Recent(_KEPT)

    def run(self, forward: Forward, given: Sequence[torch.Tensor], scope: Constants) -> Traced:
        """Return what a forward pass returns.

        Args:
            forward: takes the tensors, and computes the same at each run.
            given: the tensors.
            scope: in which it runs.
        """
        if recordings():
            return forward(list(given))
        entry = self._entry(given)
        try:
            if not entry.is_tried and entry.is_due(self.operations):
                entry.is_tried = True
                entry.program = _made(forward, given, scope)
            if entry.program is not None:
                return entry.program(given, scope)
        except Exception:  # the forward pass runs itself, or says better what is wrong
            pass
        began = time.thread_time()
        traced = forward(list(given))
        entry.seconds += time.thread_time() - began
        entry.runs += 1
        return traced

    def _entry(self, given: Sequence[torch.Tensor]) -> Entry:
        """Return what is known of runs on tensors of these sizes."""
        casts = torch.is_autocast_enabled(given[0].device.type)
        key = (casts, *((each.shape, each.stride(), each.dtype, each.device) for each in given))
        return self._entries.get(key, Entry)


class Program:
    """The operations of a run as a function of its inputs.

    Args:
        seen: the recording of the run, in a scope in which variables are constants.
        traced: what the forward pass returned.

    Raises:
        _Unfit: if it cannot be written down.
    """

    def __init__(self, seen: Recording, traced: Traced) -> None:
        parts = {name: getattr(traced, name) for name in _PARTS}
        flat = keras.tree.flatten(parts)
        ends = [seen.slot(each) if isinstance(each, torch.Tensor) else each for each in flat]
        outside = _outside(seen, ends)
        variables = dict(seen.read_variables)
        self._structure = keras.tree.map_structure(lambda _: 0, parts)
        self._differentiates = traced.loss.requires_grad
        self._others = [_Other(slot, variables.get(slot.number), seen.of_layers) for slot in outside]

        graph = torch.fx.Graph()
        begun = [(slot, f"x{i}") for i, slot in enumerate(seen.inputs)]
        begun += [(slot, f"c{i}") for i, slot in enumerate(outside)]
        nodes = {slot.number: graph.placeholder(name) for slot, name in begun}
        for step in seen.steps:
            _write(step, graph, nodes)
        graph.output(_told(tuple(ends), nodes))
        graph.eliminate_dead_code()
        self._graph = graph

    def compile(self) -> None:
        """Make a function of it, and drop what it was made of."""
        # A `torch.fx.GraphModule` would keep its source for ever.
        code = self._graph.python_code("self")
        names = dict(code.globals)
        exec(code.src, names)
        self._run = functools.partial(names["forward"], None)
        del self._graph

    def is_like(self, other: Program) -> bool:
        """Tell whether another run did the same, and used nothing else that may be exchanged."""
        mine, its = (
            [(node.target, str(node.args), str(node.kwargs)) for node in each._graph.nodes]
            for each in (self, other)
        )
        return mine == its and all(a.is_like(b) for a, b in zip(self._others, other._others, strict=True))

    def __call__(self, given: Sequence[torch.Tensor], scope: Constants) -> Traced:
        """Return what the forward pass returns, see `Programs.run`."""
        with torch.set_grad_enabled(self._differentiates):
            found = self._run(*given, *(other.value(scope) for other in self._others))
        return Traced(**keras.tree.pack_sequence_as(self._structure, list(found)))


class _Other:
    """A tensor that a run uses besides its inputs: a variable, or a constant.

    Args:
        slot: its value in that run.
        variable: the variable, which is not kept alive, or None.
        of_layers: see `Recording`.
    """

    def __init__(self, slot: Slot, variable: Any, of_layers: set[int]) -> None:
        self._dtype = slot.dtype
        self._is_of_layer = memory_of(slot.held) in of_layers
        self._variable = None if variable is None else weakref.ref(variable)
        self._constant = slot.held if variable is None else None

    def value(self, scope: Constants) -> torch.Tensor:
        if self._variable is None:
            return self._constant
        value: torch.Tensor = scope.get_current_value(self._variable())
        return value.to(self._dtype)

    def is_like(self, other: _Other) -> bool:
        """Tell whether it is the same variable, the same tensor of a layer, or an equal one of each run."""
        if self._variable is not None:
            return other._variable is not None and self._variable() is other._variable()
        mine, its = self._constant, other._constant
        lasts = its is not None and memory_of(mine) == memory_of(its)
        return its is not None and (self._is_of_layer if lasts else torch.equal(mine, its))


def _outside(seen: Recording, ends: list[Any]) -> list[Slot]:
    """Return the values that a run uses, and that neither are inputs nor made in it.

    Raises:
        _Unfit: if it writes into them, or returns them.
    """
    made = {slot.number for slot in [*seen.inputs, *(s for step in seen.steps for s in step.outputs)]}
    returned = list(slots_in(ends))
    used = [*(slot for step in seen.steps for slot in step.operands), *returned]
    found = list({slot.number: slot for slot in used if slot.number not in made}.values())
    memory = {memory_of(slot.held) for slot in found}
    written = [slot for step in seen.steps if step.writes for slot in step.outputs]
    if any(memory_of(slot.held) in memory for slot in (*written, *returned)):
        raise _Unfit
    return found


def _write(step: Step, graph: torch.fx.Graph, nodes: dict[int, Any]) -> None:
    """Add an operation to a graph.

    Args:
        step: the operation.
        graph: the graph.
        nodes: those of the values so far, by the numbers of their slots.
    """
    if step.is_hidden or step.target == CUSTOM or _varies(step):
        raise _Unfit
    if step.is_echo:
        nodes[step.outputs[0].number] = nodes[step.args[0].number]
        return
    made = graph.call_function(step.target, _told(step.args, nodes), _told(step.kwargs, nodes))
    returns = [str(each.type) for each in step.target._schema.returns]
    if returns == ["Tensor"]:
        nodes[step.outputs[0].number] = made
        return
    places = [place for place, kind in enumerate(returns) if kind == "Tensor"]
    if returns == ["List[Tensor]"]:
        places = list(range(len(step.outputs)))
    elif len(places) != len(step.outputs):  # some are left out, but hardly the first
        places = places[:1]
    for slot, place in zip(step.outputs, places, strict=False):
        nodes[slot.number] = graph.call_function(operator.getitem, (made, place))


def _varies(step: Step) -> bool:
    """Tell whether numbers decide on what a step returns, or chance."""
    if step.target == torch.ops.aten.index.Tensor:
        return any(slot.dtype in (torch.bool, torch.uint8) for slot in step.operands[1:])
    return is_random(step) or not _VARIES.isdisjoint(step.target.tags)


def _told(value: Any, nodes: dict[int, Any]) -> Any:
    """Return arguments with nodes in place of slots."""
    if isinstance(value, Slot):
        return nodes[value.number]
    if isinstance(value, dict):
        return {key: _told(item, nodes) for key, item in value.items()}
    return type(value)(_told(item, nodes) for item in value) if isinstance(value, list | tuple) else value


class _Watch(TorchFunctionMode):  # type: ignore[misc]
    """A mode that notes whether numbers of tensors are handed to Python."""

    is_left = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.is_left = self.is_left or getattr(func, "__name__", "") in _LEAVING
        return func(*args, **(kwargs or {}))


def _made(forward: Forward, given: Sequence[torch.Tensor], scope: Constants) -> Program:
    """Return the program of a forward pass that did the same in two runs, and does the same as they.

    Raises:
        _Unfit: if there is none.
    """

    def written(scale: float) -> tuple[Program, Traced]:
        # Other numbers, in case they decide on what is computed.
        tensors = [each.detach() * scale if each.is_floating_point() else each for each in given]
        fresh = leaves(tensors)[1]
        with _Watch() as watch, scope.fresh():
            seen, traced = record(forward, fresh, notes=False)
        if watch.is_left or seen.is_hooked:
            raise _Unfit
        return Program(seen, traced), traced

    program, traced = written(1)
    names, tensors = _outcome(traced)
    del traced  # and the memory that autograd keeps for it
    if not program.is_like(written(0.5)[0]):
        raise _Unfit
    program.compile()
    again, found = _outcome(program(leaves(given)[1], scope))
    same = [torch.allclose(a, b, 1e-3, 1e-5, equal_nan=True) for a, b in zip(tensors, found, strict=True)]
    if names != again or not all(same):
        raise _Unfit
    return program


def _outcome(traced: Traced) -> tuple[tuple[str, ...], list[torch.Tensor]]:
    """Return the nodes of autograd that a run left behind, and its numbers and gradients."""
    names = nodes_behind([traced.loss])[1]
    by = [tensor for tensor in traced.watched if tensor.requires_grad]
    gradients = derivatives(traced.loss, by)
    found = [*keras.tree.flatten([getattr(traced, name) for name in _PARTS]), *gradients]
    return names, [each.detach() for each in found if isinstance(each, torch.Tensor)]
