"""How each kind of operation moves positions: from the views of its operands to the view of its output.

A rule is a function of the geometry, the operation, the views of its operands (None for those that do not
depend on the source) and the index of the output; it returns None if it cannot follow.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vis.graph.views import (
    COPIES,
    INNER,
    MIXED,
    UNKNOWN,
    Axis,
    Part,
    View,
    changed,
    joined,
    merged,
    plain,
    runs_along,
)
from vis.graph.words import Operation

if TYPE_CHECKING:
    from vis.graph.geometry import Geometry

Rule = Callable[["Geometry", Operation, list[View | None], int], View | None]
RuleOfOne = Callable[["Geometry", Operation, View, int], View | None]


# ---- several operands -------------------------------------------------------------------------------------


def pointwise(g: Geometry, op: Operation, views: list[View | None], index: int) -> View | None:
    if op.kind == "identity":
        return views[index] if index < len(views) else None
    rank = len(op.outputs[index].shape or ())
    known = [view for view in views if view is not None]
    wide = [replace(v, axes=(Axis(1),) * (rank - len(v.axes)) + v.axes) for v in known]
    view = merged(wide)
    # An operand that does not depend on the source may be larger.
    for value, seen in zip(op.operands, views, strict=True):
        shape = None if seen is not None else g.shape(value)
        for axis, size in enumerate(reversed(shape or ())):
            if view.axes[rank - 1 - axis].size == 1 and size != 1:
                view = view.mixed(rank - 1 - axis, COPIES, size)
    return view


def _concatenate(g: Geometry, op: Operation, views: list[View | None], _: int) -> View | None:
    a = op.attributes["axis"]
    sizes = [
        _known((value.shape or ())[a]) if view is None else view.axes[a].size
        for value, view in zip(op.operands, views, strict=True)
    ]
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    pieces = [(view, start) for view, start in zip(views, starts, strict=True) if view is not None]
    pieces.sort(key=lambda piece: not piece[0].axes[a].is_followed)
    followed = [(view.axes[a], start) for view, start in pieces if view.axes[a].is_followed]
    row = _row(pieces, a)
    if row is not None:
        axis, seen = row
    else:
        seen = [view for view, _ in pieces]
        if len(followed) == 1:
            ((axis, start),) = followed
            axis = replace(axis, start=axis.start + start)  # others, such as class tokens, have no position
        else:
            lost = followed or any(view.axes[a].is_unknown for view in seen)
            seen = [view.mixed(a) for view in seen]
            axis = plain(sum(sizes), UNKNOWN if lost else MIXED)
    view = merged([view.with_axis(a, Axis(1)) for view in seen])
    return view.with_axis(a, replace(axis, size=sum(sizes)))


def _row(pieces: list[tuple[View, int]], a: int) -> tuple[Axis, list[View]] | None:
    """Return the axis of pieces that are adjacent in the source, and the pieces as if each began where the
    first one does; None if they are not adjacent.
    """
    first, origin = pieces[0]
    if len(pieces) < 2 or not first.axes[a].is_followed or len(first.axes[a].parts) > 1:
        return None
    (part,) = first.axes[a].parts
    begin = min(start for _, start in pieces)
    begins_at = first.offsets[part.source] + part.stride * (begin - origin)
    moved, count = [], 0
    for view, start in pieces:
        axis, offset = view.axes[a], view.offsets[part.source]
        if axis.parts not in ((), (replace(part, size=axis.size),)) or not axis.is_whole:
            return None
        if not math.isclose(offset, begins_at + part.stride * (start - begin), abs_tol=1e-6):
            return None
        moved.append(replace(view, offsets=changed(view.offsets, part.source, begins_at - offset)))
        count += axis.size
    ends = max(start + view.axes[a].size for view, start in pieces)
    if count != ends - begin:
        return None
    return Axis(count, (replace(part, size=count),), begin), moved


def _stack(g: Geometry, op: Operation, views: list[View | None], _: int) -> View | None:
    a, count = op.attributes["axis"], len(op.operands)
    known = [view for view in views if view is not None]
    axis = plain(count)
    if len(known) == count > 1:
        # Frames that were split: they differ in position.
        steps = [second - first for first, second in zip(known[0].offsets, known[1].offsets, strict=True)]
        apart = [source for source, step in enumerate(steps) if step]
        if len(apart) == 1 and not any(runs_along(view, apart[0]) for view in known):
            axis = Axis(count, (Part(count, apart[0], steps[apart[0]]),))
            by = steps[apart[0]]
            known = [
                replace(view, offsets=changed(view.offsets, apart[0], -by * index))
                for index, view in enumerate(known)
            ]
    if any(not _alike_offsets(view, known[0]) for view in known):
        axis = plain(count, UNKNOWN if axis.is_followed else MIXED)
    view = merged(known)
    return replace(view, axes=(*view.axes[:a], axis, *view.axes[a:]))


def _alike_offsets(one: View, other: View) -> bool:
    return all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(one.offsets, other.offsets, strict=True))


def _product(g: Geometry, op: Operation, views: list[View | None], _: int) -> View | None:
    *sides, out = op.attributes["letters"]
    known = [(view, letters) for view, letters in zip(views, sides, strict=False) if view is not None]
    kept = [
        sum(axis.is_followed for axis, letter in zip(view.axes, letters, strict=True) if letter in out)
        for view, letters in known
    ]
    # The positions of the other operand, such as keys in an attention matrix, are not followed further.
    base = kept.index(max(kept))
    view, letters = known[base]
    everywhere = set(view.everywhere)
    for index, (each, own) in enumerate(known):
        for axis, letter in zip(each.axes, own, strict=True):
            if letter not in out or (index != base and letter not in letters):
                everywhere |= axis.sources
    sizes: dict[str, int] = {}
    for value, own in zip(op.operands, sides, strict=False):
        for letter, size in zip(own, g.shape(value) or (), strict=False):
            sizes[letter] = max(size, sizes.get(letter, 1))
    axes = {
        letter: axis for letter, axis in zip(letters, view.axes, strict=True) if axis.size == sizes[letter]
    }
    return replace(
        view,
        axes=tuple(axes.get(letter, plain(sizes[letter])) for letter in out),
        bounds=joined([each for each, _ in known]),
        everywhere=frozenset(everywhere),
        is_computed=True,
    )


def _gather(g: Geometry, op: Operation, views: list[View | None], _: int) -> View | None:
    a = op.attributes["axis"]
    x, indices = views[0], views[1]
    if indices is not None and x is None:
        shape = op.outputs[0].shape or ()
        rest = len(shape) - len(indices.axes)
        g.spatial |= set().union(*(axis.sources for axis in indices.axes[1:])) - {0}
        others = [plain(n) for n in map(_known, shape[:a] + shape[len(shape) - rest + a :])]
        return replace(indices, axes=(*others[:a], *indices.axes, *others[a:]), is_computed=True)
    taken = None if indices is not None or x is None else g.numbers(op.operands[1])
    if x is None or taken is None:
        return None
    scalar = op.operands[1].shape == ()
    step = taken[1] - taken[0] if len(taken) > 1 else 1
    if any(after - before != step for before, after in itertools.pairwise(taken)) or step == 0:
        return None
    size = x.axes[a].size
    view = x.moved(a, len(taken), step, taken[0] % size)
    return _without(view, (a,)) if scalar else view


def _without(view: View, dropped: Sequence[int]) -> View:
    return replace(view, axes=tuple(axis for i, axis in enumerate(view.axes) if i not in dropped))


def _widened(view: View, added: Sequence[int]) -> View:
    """Return the view with new axes of length 1."""
    axes = list(view.axes)
    for axis in added:
        axes.insert(axis, Axis(1))
    return replace(view, axes=tuple(axes))


def _known(size: int | None) -> int:
    if size is None:
        raise ValueError
    return size


def _softmax(g: Geometry, op: Operation, views: list[View | None], _: int) -> View | None:
    (view,) = [view for view in views if view is not None]
    return replace(view, everywhere=view.everywhere | view.axes[op.attributes["axis"]].sources)


# ---- one operand ------------------------------------------------------------------------------------------


def _reduce(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    axes = op.attributes["axes"]
    if axes is None:
        return None
    for axis in axes:
        view = view.mixed(axis, size=1)
    return view if op.attributes["keepdims"] else _without(view, axes)


def _window(g: Geometry, op: Operation, view: View, index: int) -> View | None:
    channels = op.attributes["channels"]
    shape = op.outputs[index].shape or ()
    rows = zip(*(op.attributes[name] for name in ("window", "strides", "dilations", "padding")), strict=True)
    turned = op.attributes.get("transposed", False)
    for axis, (window, stride, dilation, padding) in enumerate(rows):
        if axis == channels:
            g.channels |= view.axes[axis].sources - {0}
        elif axis > 0 and (channels is not None or window > 1 or stride > 1):
            g.spatial |= view.axes[axis].sources - {0}
        if axis in (0, channels) or (window == 1 and stride == 1 and padding in ((0, 0), None)):
            continue
        half = (window - 1) * dilation / 2
        before = padding[0] if padding else 0.0
        size, old = shape[axis], view.axes[axis].size
        if size is None and turned:
            longer = stride - 1 if padding is None else (window - 1) * dilation - sum(padding)
            size = (old - 1) * stride + 1 + longer
        elif size is None and padding is None:
            size = -(-old // stride)
        elif size is None:
            size = (old + sum(padding) - (window - 1) * dilation - 1) // stride + 1
        if turned:
            view = view.moved(axis, size, 1 / stride, (before - half) / stride, half / stride)
        else:
            view = view.moved(axis, size, stride, half - before, half)
    if op.kind == "convolution":
        size = shape[channels]
        view = view.mixed(channels, size=view.axes[channels].size if size is None else size)
    return replace(view, is_computed=True)


def _resize(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    sizes = [axis.size for axis in view.axes]
    asked = g.numbers(op.operands[1])
    for axis, new in zip(op.attributes["axes"], asked or (), strict=True):
        old = sizes[axis]
        if old == new:
            continue
        if op.attributes["half_pixel_centers"]:
            scale, shift = old / new, old / new / 2 - 0.5
        elif op.attributes["align_corners"]:
            scale, shift = (old - 1) / max(new - 1, 1), 0.0
        else:
            scale, shift = old / new, 0.0
        view = view.moved(axis, new, scale, shift, max(scale, 1) / 2)
    return view


def _transpose(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    order = op.attributes["permutation"]
    return None if order is None else _turned(view, order)


def _turned(view: View, order: Sequence[int]) -> View:
    return replace(view, axes=tuple(view.axes[i] for i in order))


def _reshape(g: Geometry, op: Operation, view: View, index: int) -> View | None:
    shape = op.outputs[index].shape
    if op.kind == "expand_dims":
        return _widened(view, sorted(op.attributes["axes"]))
    if op.kind == "squeeze":
        return _without(view, op.attributes["axes"])
    asked = g.numbers(op.operands[1]) if len(op.operands) > 1 else None
    total = math.prod(axis.size for axis in view.axes)
    sizes = list(asked if asked is not None else [-1 if size is None else size for size in shape or ()])
    if sizes.count(-1) > 1:
        return None
    if -1 in sizes:
        sizes[sizes.index(-1)] = total // -math.prod(sizes)
    return _reshaped(view, sizes) if math.prod(sizes) == total else None


def _reshaped(view: View, sizes: Sequence[int]) -> View:
    """Return the view after a reshape, which splits and joins axes."""
    pending: list[Part] = []
    for axis in view.axes:
        pending += axis.parts if axis.is_whole else [Part(axis.size, INNER, inner=axis)]
    axes: list[Axis] = []
    for size in sizes:
        parts: list[Part] = []
        need = size
        while need > 1 and pending:
            part = pending.pop(0)
            if need % part.size == 0:
                need //= part.size
            elif part.size % need == 0 and part.inner is None:
                rest = part.size // need
                pending.insert(0, replace(part, size=rest))
                part, need = replace(part, size=need, stride=part.stride * rest), 1
            else:
                return _all_unknown(view, sizes)
            parts.append(part)
        if need != 1:
            return _all_unknown(view, sizes)
        axis, view = _joined_parts(parts, view)
        axes.append(axis)
    return replace(view, axes=tuple(axes))


def _all_unknown(view: View, sizes: Sequence[int]) -> View:
    """Return the view after a reshape that cannot be followed; an unchanged first axis is kept."""
    for index in range(len(view.axes)):
        view = view.mixed(index, UNKNOWN) if index else view
    same = view.axes and sizes and view.axes[0].size == sizes[0]
    axes = [plain(n, UNKNOWN) for n in sizes]
    return replace(
        view, axes=(view.axes[0], *axes[1:]) if same else tuple(axes), lost=view.lost or "a reshape"
    )


def _joined_parts(parts: Sequence[Part], view: View) -> tuple[Axis, View]:
    """Return the axis made of parts, joining adjacent ones."""
    if len(parts) == 1 and parts[0].inner is not None:
        return parts[0].inner, view
    made: list[Part] = []
    for part in parts:
        last = made[-1] if made else None
        if last is None:
            made.append(part)
        elif last.source == part.source and (
            part.source in (MIXED, COPIES, UNKNOWN) or math.isclose(last.stride, part.stride * part.size)
        ):
            made[-1] = replace(part, size=last.size * part.size)
        elif part.source == COPIES and last.source >= 0:
            # Each position is repeated several times in a row.
            half = abs(last.stride) * (part.size - 1) / (2 * part.size)
            made[-1] = Part(last.size * part.size, last.source, last.stride / part.size)
            view = replace(
                view,
                offsets=changed(view.offsets, last.source, -math.copysign(half, last.stride)),
                reach=changed(view.reach, last.source, half),
            )
        else:
            made.append(part)
    return Axis(math.prod(part.size for part in made), tuple(made)), view


def _slice(g: Geometry, op: Operation, view: View, index: int) -> View | None:
    attributes = op.attributes
    rows = zip(attributes["begin"], attributes["end"], attributes["strides"], strict=True)
    for axis, (begin, end, step) in enumerate(rows):
        size = view.axes[axis].size
        if axis in attributes["open"]:
            end = size
        if begin is None or end is None or step is None:
            view = view.mixed(axis, UNKNOWN)
            continue
        count = max(-((begin - end) // step) if step > 0 else -(-(begin - end) // -step), 0)
        view = view.moved(axis, count, step, begin)
    return _widened(_without(view, attributes["dropped"]), attributes["added"])


def _split(g: Geometry, op: Operation, view: View, index: int) -> View | None:
    a = op.attributes["axis"]
    if op.kind == "unstack":
        return _without(view.moved(a, 1, 1, index), (a,))
    sizes = [(output.shape or ())[a] for output in op.outputs]
    return view.moved(a, _known(sizes[index]), 1, sum(map(_known, sizes[:index])))


def _pad(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    return _padded(view, op.attributes["paddings"])


def _padded(view: View, paddings: Sequence[tuple[int, int]], first: int = 0, sign: int = 1) -> View:
    """Return the view after a padding of the axes from `first` on; with the sign -1, after a crop."""
    for axis, (before, behind) in enumerate(paddings, start=first):
        view = view.moved(axis, view.axes[axis].size + sign * (before + behind), 1, -sign * before)
    return view


def _tile(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    times = g.numbers(op.operands[1])
    if times is None:
        return None
    if op.kind == "broadcast":
        view = _widened(view, op.attributes.get("axes", range(len(times) - len(view.axes))))
        # A size of -1 stays as it is.
        times = tuple(max(size // axis.size, 1) for size, axis in zip(times, view.axes, strict=True))
    for index, count in enumerate(times):
        axis = view.axes[index]
        if count != 1:
            kind = COPIES if axis.size == 1 else UNKNOWN if axis.is_followed or axis.is_unknown else MIXED
            view = view.mixed(index, kind, axis.size * count)
    return view


def _repeat(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    a, times = op.attributes["axis"], op.attributes["times"]
    half = (times - 1) / (2 * times)
    return view.moved(a, view.axes[a].size * times, 1 / times, -half, half)


def _reverse(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    for axis in op.attributes["axes"]:
        view = view.moved(axis, view.axes[axis].size, -1, view.axes[axis].size - 1)
    return view


def _one_hot(g: Geometry, op: Operation, view: View, index: int) -> View | None:
    shape = op.outputs[index].shape or ()
    a = op.attributes["axis"] % len(shape)
    g.spatial |= set().union(*(axis.sources for axis in view.axes[1:])) - {0}
    size = _known(shape[a])
    return replace(view, axes=(*view.axes[:a], plain(size), *view.axes[a:]))


def _blocks(g: Geometry, op: Operation, view: View, _: int) -> View | None:
    """Follow the parts of a dilated convolution: every second position, for example, as a separate sample."""
    block = op.attributes["block"]
    count = len(block)
    # Behind the samples and the two parts of each of the axes with blocks.
    others = range(2 * count + 1, len(view.axes) + count)
    sizes = [axis.size for axis in view.axes]
    if op.kind == "space_to_batch":
        view = _padded(view, op.attributes["paddings"], 1)
        sizes = [axis.size for axis in view.axes]
        pairs = [n for size, b in zip(sizes[1:], block, strict=False) for n in (size // b, b)]
        apart = _reshaped(view, [sizes[0], *pairs, *sizes[count + 1 :]])
        turned = _turned(apart, [*range(2, 2 * count + 1, 2), 0, *range(1, 2 * count, 2), *others])
        near = [size // b for size, b in zip(sizes[1:], block, strict=False)]
        return _reshaped(turned, [sizes[0] * math.prod(block), *near, *sizes[count + 1 :]])
    apart = _reshaped(view, [*block, sizes[0] // math.prod(block), *sizes[1:]])
    turned = _turned(apart, [count, *(i for k in range(count) for i in (count + 1 + k, k)), *others])
    far = [size * b for size, b in zip(sizes[1:], block, strict=False)]
    view = _reshaped(turned, [sizes[0] // math.prod(block), *far, *sizes[count + 1 :]])
    return _padded(view, op.attributes["paddings"], 1, -1)


def _of_first(rule: RuleOfOne) -> Rule:
    """Return a rule for operations that follow only their first operand, and not, say, a kernel."""

    def followed(g: Geometry, op: Operation, views: list[View | None], index: int) -> View | None:
        return None if views[0] is None else rule(g, op, views[0], index)

    return followed


_OF_FIRST: dict[str, RuleOfOne] = {
    **dict.fromkeys(["reduce_sum", "reduce_mean", "reduce_max", "reduce_min", "reduce_prod"], _reduce),
    **dict.fromkeys(["convolution", "max_pool", "average_pool"], _window),
    **dict.fromkeys(["reshape", "expand_dims", "squeeze"], _reshape),
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    **dict.fromkeys(["split", "unstack"], _split),
    **dict.fromkeys(["tile", "broadcast"], _tile),
    "repeat": _repeat,
    "reverse": _reverse,
    "resize": _resize,
    "one_hot": _one_hot,
    **dict.fromkeys(["space_to_batch", "batch_to_space"], _blocks),
}
RULES: dict[str, Rule] = {
    **dict.fromkeys(["softmax", "log_softmax"], _softmax),
    "product": _product,
    "concatenate": _concatenate,
    "stack": _stack,
    "gather": _gather,
    **{kind: _of_first(rule) for kind, rule in _OF_FIRST.items()},
}
