"""One recorded step on its way into the words of `vis.graph.words`: as one operation, or as several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vis.backend.torch.recording import Slot, Step
from vis.graph import Operation, Value

# Tensors with more numbers are told as constants only if all their numbers are equal.
_LARGEST = 2**18
Operand = Any


class Telling:
    """Tells one step.

    Args:
        called: the name of the operation that makes its first output; those of others begin with it.
        step: the step.
        value: returns the value of a slot that has been made.
        known: tells whether the numbers of a slot that this step makes can be read off its tensor.

    Attributes:
        name: the operation, without the underscore of those that write into their first operand.
        target: the same with the name of its library, such as `aten.relu`.
        is_written: whether it writes into its first operand.
        tags: what PyTorch says about it.
        given: the arguments by their names in the schema, with values in place of slots.
        operations: what has been told so far.
        made: the values of the outputs that have been told, by the numbers of their slots.
    """

    def __init__(
        self, called: str, step: Step, value: Callable[[Slot], Value], known: Callable[[Slot], bool]
    ) -> None:
        self.target = str(step.target.overloadpacket)
        self.is_written = self.target.endswith("_") and not self.target.endswith("__")
        self.name = self.target.removeprefix("aten.").removesuffix("_" if self.is_written else "")
        self.tags: list[Any] = step.target.tags
        self.given = {key: _valued(each, value) for key, each in step.arguments.items()}
        self.operations: list[Operation] = []
        self.made: dict[int, Value] = {}
        self._called = called
        self._step = step
        self._known = known

    @property
    def operands(self) -> list[Value]:
        """The values among the arguments."""
        return list(_values_in(list(self.given.values())))

    @property
    def positional(self) -> list[Any]:
        """The arguments that need no name, with numbers as they are."""
        names = [argument.name for argument in self._step.target._schema.arguments if not argument.kwarg_only]
        return [self.given[name] for name in names]

    @property
    def x(self) -> Value:
        """The first operand."""
        return self.operands[0]

    @property
    def rank(self) -> int:
        return len(self.shape(self.x))

    @property
    def outputs(self) -> tuple[Slot, ...]:
        return self._step.outputs

    def shape(self, value: Value) -> tuple[int, ...]:
        return tuple(size for size in value.shape or () if size is not None)

    def axis(self, axis: int, rank: int | None = None) -> int:
        """Return an axis of the first operand as a non-negative index."""
        return axis % max(self.rank if rank is None else rank, 1)

    def axes(self, axes: int | Sequence[int] | None) -> tuple[int, ...]:
        """Return axes of the first operand as non-negative indices; all if none are named."""
        if axes is None or (not isinstance(axes, int) and not len(axes)):
            return tuple(range(self.rank))
        return tuple(sorted(self.axis(axis) for axis in ([axes] if isinstance(axes, int) else axes)))

    def constant(self, number: Any, dtype: str = "") -> Value:
        """Tell a constant and return its value."""
        array = np.asarray(number)
        told = "float32" if array.dtype == np.float64 else array.dtype.name
        name = self._part()
        value = Value(_within(name), array.shape, dtype or told, array)
        self.operations.append(Operation(name, "constant", (), (value,)))
        return value

    def part(
        self,
        kind: str,
        operands: Sequence[Operand],
        shape: Sequence[int] | None = None,
        dtype: str = "",
        **attributes: Any,
    ) -> Value:
        """Tell an operation inside the step and return its output.

        Args:
            kind: its kind.
            operands: values and numbers.
            shape: that of the output; None for what the operands are broadcast to.
            dtype: that of the output; that of the step's by default.
            attributes: its attributes.
        """
        values = self._values(operands)
        if shape is None:
            shape = np.broadcast_shapes(*map(self.shape, values))
        return self._parts(kind, values, [shape], dtype, attributes)[0]

    def parts(
        self, kind: str, operands: Sequence[Operand], shapes: Sequence[Sequence[int]], **attributes: Any
    ) -> tuple[Value, ...]:
        """Tell an operation inside the step and return its outputs, which have the given shapes."""
        return self._parts(kind, self._values(operands), shapes, "", attributes)

    def _parts(
        self,
        kind: str,
        values: tuple[Value, ...],
        shapes: Sequence[Sequence[int]],
        dtype: str,
        attributes: dict[str, Any],
    ) -> tuple[Value, ...]:
        name, told = self._part(), dtype or dtype_of(self.outputs[0])
        made = tuple(Value(_within(name, place), tuple(shape), told) for place, shape in enumerate(shapes))
        self.operations.append(Operation(name, kind, values, made, attributes))
        return made

    def end_constant(self, number: Any) -> None:
        """Tell that the output holds one known number."""
        (slot,) = self.outputs
        dtype = dtype_of(slot)
        narrow = np.dtype(dtype if dtype != "bfloat16" else "float32")
        array = np.broadcast_to(np.asarray(number, narrow), slot.shape)
        value = Value(str(slot.number), array.shape, dtype, array)
        self.operations.append(Operation(self._name(0), "constant", (), (value,)))
        self.made[slot.number] = value

    def reshaped(self, x: Value, shape: Sequence[int]) -> Value:
        """Tell that a value gets another shape."""
        return self.part("reshape", [x, np.array(shape, np.int64)], shape, x.dtype)

    def end(self, kind: str, operands: Sequence[Operand], output: int = 0, **attributes: Any) -> Value:
        """Tell the operation that makes one output of the step."""
        return self._end(kind, operands, [output], attributes)[0]

    def ends(self, kind: str, operands: Sequence[Operand], **attributes: Any) -> None:
        """Tell the operation that makes all outputs of the step."""
        self._end(kind, operands, range(len(self.outputs)), attributes)

    def _end(
        self, kind: str, operands: Sequence[Operand], outputs: Sequence[int], attributes: dict[str, Any]
    ) -> list[Value]:
        values = self._values(operands)
        slots = [self.outputs[output] for output in outputs]
        made = [self._value(slot, values if kind != "random" else None) for slot in slots]
        if self._step.is_hidden:  # no derivative is taken of it
            name = self._part()
            before = tuple(
                Value(_within(name, place), value.shape, value.dtype, value.constant)
                for place, value in enumerate(made)
            )
            self.operations.append(Operation(name, kind, values, before, attributes))
            for place, pair in enumerate(zip(before, made, strict=True)):
                name = self._name(outputs[place])
                self.operations.append(Operation(name, "stop_gradient", (pair[0],), (pair[1],)))
        else:
            name = self._name(outputs[0])
            self.operations.append(Operation(name, kind, values, tuple(made), attributes))
        self.made.update(zip((slot.number for slot in slots), made, strict=True))
        return made

    def _value(self, slot: Slot, operands: Sequence[Value] | None) -> Value:
        fixed = operands is not None and all(value.constant is not None for value in operands)
        constant = numbers(slot) if fixed and self._known(slot) else None
        return Value(str(slot.number), slot.shape, dtype_of(slot), constant)

    def sizes(self, axes: Sequence[int] | None = None) -> npt.NDArray[np.int64]:
        """Return the sizes of the first output, all or those of some axes."""
        shape = self.outputs[0].shape
        return np.array(shape if axes is None else [shape[axis] for axis in axes], np.int64)

    def _values(self, operands: Sequence[Operand]) -> tuple[Value, ...]:
        return tuple(each if isinstance(each, Value) else self.constant(each) for each in operands)

    def _name(self, output: int) -> str:
        return self._called if output == 0 else self._part()

    def _part(self) -> str:
        return f"{self._called}.{len(self.operations)}"


# Tells a step.
Tell = Callable[[Telling], Any]


def _within(name: str, place: int = 0) -> str:
    """Return the name of a value that is not a tensor, which an operation inside a step makes."""
    return f"{name}.{place}"


def dtype_of(slot: Slot) -> str:
    """Return the data type of a slot, such as `"float32"`."""
    return str(slot.held.dtype).removeprefix("torch.")


def numbers(slot: Slot) -> Any:
    """Return the numbers of a slot as an array, or None if there are many different ones."""
    tensor = slot.held.detach()
    if tensor.is_meta or tensor.is_sparse or tensor.is_complex():
        return None
    if tensor.numel() > _LARGEST:
        first = tensor.reshape(-1)[0]
        return np.broadcast_to(_array(first), tuple(tensor.shape)) if bool((tensor == first).all()) else None
    return _array(tensor).copy()


def _array(tensor: Any) -> Any:
    narrow = tensor.dtype == torch.bfloat16  # NumPy has no such type
    return (tensor.float() if narrow else tensor).cpu().numpy()


def _valued(argument: Any, value: Callable[[Slot], Value]) -> Any:
    if isinstance(argument, Slot):
        return value(argument)
    if isinstance(argument, list | tuple):
        return [_valued(item, value) for item in argument]
    return argument


def _values_in(argument: Any) -> list[Value]:
    if isinstance(argument, list):
        return [value for item in argument for value in _values_in(item)]
    return [argument] if isinstance(argument, Value) else []
