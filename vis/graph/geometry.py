"""Where the positions of a value lie in an input that it depends on.

On an axis of the input, the centre of a position's receptive field is an affine function of the position:
`offset + sum_k stride_k i_k`, over the indices `i_k` of the parts of the axes. Most axes have one part; a
token axis has two, the rows and columns of the grid that the tokens come from, and perhaps other tokens
before them. Each operation changes strides and offsets in its own way; after an operation that cannot be
followed, the parts are `UNKNOWN`.
"""

from __future__ import annotations

from dataclasses import replace

from vis.graph.activations import flowing
from vis.graph.elementwise import is_elementwise
from vis.graph.rules import RULES, pointwise
from vis.graph.sizes import Sizes
from vis.graph.views import UNKNOWN, Axis, Part, View, joined, plain
from vis.graph.words import Graph, Operation, Value

# Placeholders for unknown sizes, of the batch and others. No real size is likely to be a multiple of them.
_BATCH, _ANY = 15485863, (32452843, 49979687, 67867967, 86028121)


class Geometry:
    """How the values of a graph depend on one of them, position by position.

    Args:
        graph: the computation.
        source: the value that the others depend on, such as an input.

    Attributes:
        views: the views of the values that depend on it.
        spatial, channels: the axes of the source along which a window slides, and those that are used as
            channels.
    """

    def __init__(self, graph: Graph, source: Value) -> None:
        self.views: dict[Value, View] = {}
        self.spatial: set[int] = set()
        self.channels: set[int] = set()
        self._sizes = Sizes(graph, self.shape)
        sizes = [_size(size, axis) for axis, size in enumerate(source.shape or ())]
        self.views[source] = View(
            tuple(Axis(n, (Part(n, axis, 1.0),) if n != 1 else ()) for axis, n in enumerate(sizes)),
            (0.0,) * len(sizes),
            (0.0,) * len(sizes),
            tuple((0.0, n - 1.0) for n in sizes),
        )
        self.source = source
        # A value that depends on the source without a derivative, such as a mask, has no view of it.
        seen = flowing(graph, [source])
        for operation in graph.operations:
            views = [self.views.get(value) for value in operation.operands]
            if operation.kind == "shape" or not any(views):
                continue
            for index, output in enumerate(operation.outputs):
                if output.shape is not None and output in seen:
                    self.views.setdefault(output, self._followed(operation, views, index))

    def channel_axes(self, default: int = -1) -> set[int]:
        """Return the axes of the source that later operations use as channels.

        Args:
            default: the axis to use if no operation shows it.
        """
        shape = self.source.shape or ()
        others = [axis for axis in range(1, len(shape)) if axis not in self.spatial]
        single = [axis for axis in others if shape[axis] == 1]
        told = self.channels - self.spatial
        if not others or (told and (not single or single[-1] < len(shape) - 1)):
            return told
        # A single channel leaves no trace.
        return {single[-1]} if single else {default % len(shape)} & set(others)

    def shape(self, value: Value) -> tuple[int, ...] | None:
        """Return the sizes of a value, with placeholders for those that vary."""
        if value in self.views:
            return tuple(axis.size for axis in self.views[value].axes)
        if value.shape is None or None in value.shape:
            return None
        return tuple(size for size in value.shape if size is not None)

    def numbers(self, value: Value) -> tuple[int, ...] | None:
        """Return the integers that a value holds, if they follow from sizes."""
        return self._sizes.of(value)

    def _followed(self, operation: Operation, views: list[View | None], index: int) -> View:
        rule = pointwise if is_elementwise(operation) else RULES.get(operation.kind)
        try:
            view = None if rule is None else rule(self, operation, views, index)
        except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError):
            view = None  # an unknown attribute
        shape = operation.outputs[index].shape or ()
        if view is not None and len(view.axes) == len(shape):
            pairs = list(zip(shape, view.axes, strict=True))
            if all(size in (None, axis.size) for size, axis in pairs):
                if any(axis.is_unknown for axis in view.axes) and not view.lost:
                    return replace(view, lost=f"{operation.name} ({operation.kind})")
                return view
        return self._opaque(operation, views, index)

    def _opaque(self, operation: Operation, views: list[View | None], index: int) -> View:
        """Return the view of the output of an operation that cannot be followed."""
        shape = operation.outputs[index].shape or ()
        view = next(view for view in views if view is not None)
        sizes = [_size(size, axis) for axis, size in enumerate(shape)]
        axes = [plain(n, UNKNOWN) for n in sizes]
        if axes and view.axes and view.axes[0].size == sizes[0] and view.axes[0].sources <= {0}:
            axes[0] = view.axes[0]
        lost = next((each.lost for each in views if each is not None and each.lost), "")
        return replace(
            view,
            axes=tuple(axes),
            bounds=joined([each for each in views if each is not None]),
            everywhere=frozenset(range(len(view.offsets))),
            is_computed=True,
            lost=lost or f"{operation.name} ({operation.kind})",
        )


def _size(size: int | None, axis: int) -> int:
    if size is not None:
        return size
    return _BATCH if axis == 0 else _ANY[min(axis, len(_ANY)) - 1]
