"""Random numbers in a forward pass: the same draw at every call.

PyTorch draws from generators, which are set to a fixed state while a forward pass runs and then set back.
Keras takes the seed of a generator from a variable that it moves on, which is read as a fixed number. The
numbers that a sample gets still depend on its row in the batch, so the caller must run one sample at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from vis.backend.torch.reading import read
from vis.backend.torch.recording import Recording, Step

# The generators of the process are shared by its threads.
_lock = threading.RLock()


class Draws:
    """The random operations of a forward pass.

    Attributes:
        names: of those that its results depend on.
        are_there: whether there are any.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.are_there = False
        self._is_known = False
        self._generators: dict[int, torch.Generator] = {}
        self._seeds: dict[int, int] = {}

    def examine(self, seen: Recording, results: Sequence[torch.Tensor]) -> None:
        """Find the random operations in a recording."""
        self._is_known = True
        steps = [step for step in seen.steps if is_random(step)]
        if not steps:
            return
        self.are_there = True
        generators = [value for step in steps for value in (*step.args, *step.kwargs.values())]
        self._generators |= {id(each): each for each in generators if isinstance(each, torch.Generator)}
        for variable in _seeds(seen):
            self._seeds.setdefault(variable, len(self._seeds))
        words = read(seen, seen.inputs, list(map(seen.slot, results)))
        needed = words.before(words.outputs)
        found = []
        for operation in words.operations:
            if operation.kind == "random" and not needed.isdisjoint(operation.outputs):
                owner = words.owner(operation)
                step = seen.step(operation.name)
                found.append(owner.path if owner and owner.path else str(step.target.overloadpacket))
        self.names = self.names or tuple(found)

    @contextlib.contextmanager
    def fixed(self) -> Iterator[None]:
        """Draw fixed numbers, and leave all generators as they are."""
        if self._is_known and not self.are_there:
            yield
            return
        with _lock:
            states = [(generator, generator.get_state()) for generator in self._generators.values()]
            accelerator = torch.accelerator.current_accelerator()
            kind = "cuda" if accelerator is None else accelerator.type
            with torch.random.fork_rng(range(torch.accelerator.device_count()), device_type=kind):
                torch.manual_seed(0)
                for generator, _ in states:
                    generator.manual_seed(0)
                try:
                    yield
                finally:
                    for generator, state in states:
                        generator.set_state(state)

    def seed(self, variable: Any) -> int | None:
        """Return the number that a variable stands for if it is a seed, or None."""
        return self._seeds.get(id(variable))


def is_random(step: Step) -> bool:
    """Tell whether an operation draws random numbers; one that drops a share of 0 does not."""
    may = torch.Tag.nondeterministic_seeded in getattr(step.target, "tags", ())
    return may and bool(step.arguments.get("dropout_p", 1))


def _seeds(seen: Recording) -> list[int]:
    """Return the ids of the variables that are read as numbers and moved on, as seeds are."""
    needed: set[int] = set()
    for step in reversed(seen.steps):
        read = step.target == torch.ops.aten._local_scalar_dense.default
        if read or not needed.isdisjoint(slot.number for slot in step.outputs):
            needed.update(slot.number for slot in step.operands)
    found = [id(variable) for number, variable in seen.read_variables if number in needed]
    return [key for key in found if key in seen.assigned]
