"""Affine sites: a kernel, with the bias, the scale per channel and the changes of shape that follow it.

A batch normalization after a convolution multiplies and shifts its channels, so it belongs to the
convolution. So does a bias that is added after a change of shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

from keras import ops

from vis.graph import Graph, Operation, Value

_MOVES = frozenset(["transpose", "expand_dims", "squeeze", "reshape"])
_SHIFTS = frozenset(["add", "subtract"])
_SCALES = frozenset(["multiply", "divide", "negative"])


@dataclass(frozen=True, eq=False)
class Link:
    """An operation that follows a kernel.

    Args:
        operation: the operation.
        before: what it takes from the kernel.
        other: its other operand, if it has one.
        own, axes: the axes of what it takes, and of its output, along which the channels of the kernel run;
            after a change of shape, those with more than one.
    """

    operation: Operation
    before: Value
    other: Value | None
    own: tuple[int, ...]
    axes: tuple[int, ...]

    @property
    def is_swapped(self) -> bool:
        """Whether the kernel's value is the second operand."""
        return self.other is not None and self.operation.operands[0] is self.other


@dataclass(frozen=True, eq=False)
class Kernel:
    """An affine site.

    Args:
        kind: `"conv"` or `"dense"`.
        operation: the convolution or the product.
        x, weights: its operands.
        slot: the index of the weights among them.
        own: the axes of its output along which only the weights run.
        aligned: the axes of the weights that these are, in order; None if they could not be told.
        links: what follows it.
    """

    kind: str
    operation: Operation
    x: Value
    weights: Value
    slot: int
    own: tuple[int, ...]
    aligned: tuple[int, ...] | None
    links: tuple[Link, ...] = ()

    @property
    def output(self) -> Value:
        return self.links[-1].operation.outputs[0] if self.links else self.operation.outputs[0]

    @property
    def operations(self) -> tuple[Operation, ...]:
        return (self.operation, *(link.operation for link in self.links))

    def undone(self, value: Any, like: Callable[[Value], Any]) -> Any:
        """Return a tensor in the layout of the kernel's output, given one in that of the site's.

        Args:
            value: the tensor.
            like: returns the tensor of a value.
        """
        for link in reversed(self.links):
            if link.operation.kind == "transpose":
                value = ops.transpose(value, _inverse(link.operation.attributes["permutation"]))
            elif link.operation.kind in _MOVES:
                value = ops.reshape(value, ops.shape(like(link.before)))
        return value

    def factors(self, like: Callable[[Value], Any]) -> tuple[Any, Any]:
        """Return the scale and the shift that follow the kernel, in the layout of its output.

        Each is None if there is none, otherwise it can be broadcast to the output of the kernel.
        """
        scale: Any = None
        shift: Any = None
        for link in self.links:
            kind = link.operation.kind
            other: Any = None if link.other is None else like(link.other)
            if other is not None:
                rank = len(link.operation.outputs[0].shape or ())
                other = ops.reshape(other, (*(1,) * (rank - len(other.shape)), *ops.shape(other)))
            if kind in _SHIFTS:
                if kind == "subtract" and link.is_swapped:
                    scale, shift = _negative(scale, one=True), _negative(shift)
                elif kind == "subtract":
                    other = -other
                shift = other if shift is None else shift + other
            elif kind == "negative":
                scale, shift = _negative(scale, one=True), _negative(shift)
            elif kind in _SCALES:
                by = other if kind == "multiply" else 1 / other
                scale = by if scale is None else scale * by
                shift = None if shift is None else shift * by
            elif kind in _MOVES:
                scale, shift = (_moved(link, each, like) for each in (scale, shift))
        for link in reversed(self.links):
            scale, shift = (_moved(link, each, like, back=True) for each in (scale, shift))
        return scale, shift

    def scaled(self, weights: Any, scale: Any) -> Any:
        """Return the weights multiplied by a scale of the kernel's output."""
        if scale is None:
            return weights
        sizes = [1] * len(weights.shape)
        if any(size != 1 for size in scale.shape):
            aligned = self.aligned or ()
            ahead = [axis for axis in range(len(scale.shape)) if axis not in self.own]
            places = self.own
            if len(places) == len(aligned):
                pairs = sorted(zip(aligned, places, strict=True))
                places = tuple(place for _, place in pairs)
                sizes_of = {axis: scale.shape[place] for axis, place in pairs}
            else:  # one axis of channels that several of the weights make
                sizes_of = {axis: weights.shape[axis] for axis in aligned}
            sizes = [sizes_of.get(axis, 1) for axis in range(len(sizes))]
            scale = ops.transpose(scale, (*ahead, *places))
        return weights * ops.reshape(scale, sizes)


def _negative(value: Any, one: bool = False) -> Any:
    if value is None:
        return ops.convert_to_tensor(-1.0) if one else None
    return -value


def _inverse(order: Sequence[int]) -> list[int]:
    return [order.index(axis) for axis in range(len(order))]


def _moved(link: Link, value: Any, like: Callable[[Value], Any], back: bool = False) -> Any:
    """Return a scale or a shift after a change of shape, or before it."""
    operation = link.operation
    if value is None or not len(value.shape) or operation.kind not in _MOVES:
        return value
    if operation.kind == "reshape":
        ends = [(link.before, link.own), (operation.outputs[0], link.axes)]
        ends = ends[::-1] if back else ends
        varies = {axis for axis, size in enumerate(value.shape) if size != 1}
        if varies <= {*ends[0][1]}:  # along channels only
            channels = [(end.shape or (), axes if varies else ()) for end, axes in ends]
            sizes = [[n if axis in own else 1 for axis, n in enumerate(shape)] for shape, own in channels]
        else:
            sizes = [ops.shape(like(end)) for end, _ in ends]
        return ops.reshape(ops.broadcast_to(value, sizes[0]), sizes[1])
    if operation.kind == "transpose":
        order = operation.attributes["permutation"]
        return ops.transpose(value, _inverse(order) if back else order)
    axes = operation.attributes["axes"]
    if (operation.kind == "expand_dims") is not back:
        return ops.expand_dims(value, tuple(axes))
    return ops.squeeze(value, tuple(axes))


def find_kernel(graph: Graph, operation: Operation, active: Set[Value], kept: Set[Value]) -> Kernel | None:
    """Return the affine site that begins with an operation, or None for anything else.

    Args:
        graph: the graph.
        operation: the operation.
        active: the values through which relevance flows.
        kept: values that end a site.
    """
    if operation.kind not in ("convolution", "product") or len(operation.operands) < 2:
        return None
    x, weights, slot = operation.operands[0], operation.operands[1], 1
    if operation.kind == "product" and x not in active:
        x, weights, slot = weights, x, 0
    if x not in active or weights in active:
        return None
    if operation.kind == "convolution":
        own: tuple[int, ...] = (operation.attributes["channels"],)
        aligned = operation.attributes.get("filters")
        kernel = Kernel("conv", operation, x, weights, slot, own, aligned)
    else:
        *given, out = operation.attributes["letters"]
        letters = [letter for letter in out if letter in given[slot] and letter not in given[1 - slot]]
        own = tuple(out.index(letter) for letter in letters)
        aligned = tuple(given[slot].index(letter) for letter in letters)
        kernel = Kernel("dense", operation, x, weights, slot, own, aligned)
    links = _links(graph, kernel, active, kept)
    return Kernel(kernel.kind, operation, x, weights, slot, own, kernel.aligned, tuple(links))


def _links(graph: Graph, kernel: Kernel, active: Set[Value], kept: Set[Value]) -> list[Link]:
    """Return what belongs to a kernel of the operations that follow it."""
    links: list[Link] = []
    length = 0
    value, axes = kernel.operation.outputs[0], kernel.own
    while value not in kept:
        users = [user for user in graph.users(value) if active & {*user.outputs}]
        if len(users) != 1:
            break
        (user,) = users
        others = [operand for operand in user.operands if operand is not value]
        if active & {*others} or user.outputs[0].shape is None or value.shape is None:
            break
        if user.kind in ("identity", "cast"):
            links.append(Link(user, value, None, axes, axes))
        elif user.kind in _MOVES:
            moved = _axes_after(user, value, axes)
            if moved is None:
                break
            links.append(Link(user, value, None, axes, moved))
            axes = moved
        elif user.kind in _SHIFTS | _SCALES and len(others) <= 1 and len(user.operands) <= 2:
            other = others[0] if others else None
            if len(user.operands) == 2 and other is None:
                break  # the value and itself
            varies = None if other is None else _varies(other, len(value.shape))
            if user.outputs[0].shape != value.shape or (other is not None and varies is None):
                break
            along_channels = not varies or set(varies) <= set(axes)
            if user.kind in _SCALES and (not along_channels or (kernel.aligned is None and varies)):
                break
            if user.kind == "divide" and user.operands[0] is not value:
                break
            links.append(Link(user, value, other, axes, axes))
            length = len(links)
        else:
            break
        value = user.outputs[0]
    return links[:length]


def _varies(value: Value, rank: int) -> list[int] | None:
    """Return the axes along which a value may vary when it is broadcast to a rank."""
    if value.shape is None or len(value.shape) > rank:
        return None
    ahead = rank - len(value.shape)
    return [axis + ahead for axis, size in enumerate(value.shape) if size != 1]


def _axes_after(user: Operation, value: Value, axes: Sequence[int]) -> tuple[int, ...] | None:
    """Return where axes are after a change of shape, or None if they cannot be followed."""
    before, after = value.shape or (), user.outputs[0].shape or ()
    if user.kind == "transpose":
        order = user.attributes["permutation"]
        return None if order is None else tuple(order.index(axis) for axis in axes)
    if user.kind == "expand_dims":
        added = user.attributes["axes"]
        kept = [axis for axis in range(len(after)) if axis not in added]
        return tuple(kept[axis] for axis in axes)
    if user.kind == "squeeze":
        kept = [axis for axis in range(len(before)) if axis not in user.attributes["axes"]]
        return tuple(kept.index(axis) for axis in axes) if set(axes) <= set(kept) else None
    return _reshaped(before, after, axes)


def _reshaped(
    before: Sequence[int | None], after: Sequence[int | None], axes: Sequence[int]
) -> tuple[int, ...] | None:
    """Return the axes that hold, in another shape, the numbers along some axes; None if they are mixed."""
    left, right = ([axis for axis, size in enumerate(shape) if size != 1] for shape in (before, after))
    wanted, found = {*axes} & {*left}, []
    while wanted and left and right:
        # From the last axis on, as few of both sides as hold the same numbers.
        own, others = [left.pop()], [right.pop()]
        one, other = before[own[0]], after[others[0]]
        while one != other:
            if one is None or other is None or not (left if one < other else right):
                return None
            if one < other:
                own.append(left.pop())
                size = before[own[-1]]
                one = None if size is None else one * size
            else:
                others.append(right.pop())
                size = after[others[-1]]
                other = None if size is None else other * size
        if not wanted.isdisjoint(own):
            if one is None or not wanted.issuperset(own):
                return None
            wanted -= {*own}
            found += others
    return None if wanted else tuple(sorted(found))
