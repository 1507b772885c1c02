"""Running a model and reading values from inside it, without changing it.

A probe runs twins of the layers on the path to what it reads. The twin of a nested model calls the twins of
its layers, and the twin of a layer that is read records its output, or returns a given value instead. The
user's objects gain no attribute and no node, and two probes do not affect each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from vis import backend
from vis.errors import LayerError
from vis.models.addresses import addresses, call_of
from vis.models.attributes import attributes_of
from vis.models.calls import Call, node_of, operation_of
from vis.models.find import held_operations, input_tensors, runs_graph, sublayers, upstream
from vis.models.folding import folded
from vis.models.masks import MaskMakers, Masks, makes_masks, mask_makers
from vis.models.settings import Written
from vis.models.twins import derived, exchanged, exchanged_methods, twin

# How a functional model runs its graph; Keras has no public name for it.
_GRAPH = "_run_through_graph"


@dataclass
class Known:
    """What runs of a model find out for those after them, with the same settings.

    Attributes:
        doubled: the ids of the operations that have twins, from the first run on.
        skipped: what each graph need not run, see `_skipped`, by the id of its model.
    """

    doubled: frozenset[int] | None = None
    skipped: dict[int, Mapping[int, Any]] = field(default_factory=dict)


class Probe:
    """Reads the values of layers and symbolic tensors while a model runs.

    Args:
        model: a built Keras model.
        points: what to read: layers (at any depth), calls of them, and symbolic tensors of the model's graph.
        start: a layer, or a call of one, whose output `run` may replace.
        fold: whether batch normalizations and zero paddings are folded into the layers beside them.
        note: whether the trace records which layer runs which operations, see `vis.backend.noted`.
    """

    def __init__(
        self, model: Any, points: Sequence[Any], start: Any = None, fold: bool = False, note: bool = False
    ) -> None:
        self.model = model
        self._points = points
        self._start = start
        self._fold = fold
        self._note = note
        # The attributes that layers set on themselves when they are called: the layer's id and the name.
        self.written: Written = set()
        self.known = Known()

    def __call__(self, inputs: Any) -> list[Any]:
        """Run the model in inference mode on a structure of tensors and return the value of each point.

        Raises:
            LayerError: if a point has no value, or more than one.
        """
        return self.run(inputs)[1]

    def run(
        self, inputs: Any, value: Any = None, kernels: Sequence[Any] | None = None, masks: Masks | None = None
    ) -> tuple[Any, list[Any]]:
        """Run the model like a call, and return its outputs and the values.

        Args:
            inputs: a structure of tensors.
            value: the output of the layer `start`; None for what it computes.
            kernels: the result of `models.scaled_kernels`; None for the present kernels.
            masks: records the masks that layers make, or provides those of another run; None for neither.
        """
        records: dict[int, list[Any]] = {id(operation_of(point)): [] for point in self._points}
        told = {} if value is None else {id(operation_of(self._start)): (self._start, value)}
        others: dict[int, Any] = {}
        if self._fold:
            kept = [operation_of(point) for point in self._points]
            kept += [] if self._start is None else [operation_of(self._start)]
            others = folded(self.model, kept, kernels)
        backend.note_operations(lambda: [self.model, *held_operations(self.model).values()])
        paths = paths_of(self.model) if backend.is_noting(self._note) else {}
        known = Known() if paths else self.known
        run = _recording(self.model, records, told, others, self.written, masks, paths, known)
        outputs = run(inputs, training=False)
        flat = keras.tree.flatten(inputs)
        return outputs, [self._value(point, records, flat, outputs) for point in self._points]

    def _value(self, point: Any, records: dict[int, list[Any]], inputs: list[Any], outputs: Any) -> Any:
        if point is self.model:
            return _single(outputs, point)
        for symbol, value in zip(input_tensors(self.model), inputs, strict=False):
            if point is symbol or point is symbol._keras_history.operation:
                return value
        operation = operation_of(point)
        calls = records[id(operation)]
        if not calls:
            raise LayerError(
                f"The layer {operation.name!r} gave no output when the model {self.model.name!r} ran: it is "
                "not on a path from the input to the output, or another layer runs it in a way that cannot "
                "be observed. Choose the layer that contains it, or a later one."
            )
        found = call_of(self.model, point) if isinstance(point, keras.KerasTensor) else point
        index, part = (found.index, found.part) if isinstance(found, Call) else (0, None)
        if index >= len(calls) or (len(calls) > 1 and not isinstance(found, Call)):
            raise LayerError(
                f"The layer {operation.name!r} is called {len(calls)} times in the model {self.model.name!r}."
                f" Received: {found.name!r}. Name the layer with its call number, in the order in "
                f"which the model runs: {addresses(self.model, operation, len(calls))}."
            )
        return _single(calls[index], operation, part)


def _single(output: Any, operation: Any, part: int | None = None) -> Any:
    tensors = keras.tree.flatten(output)
    if part is not None and part < len(tensors):
        return tensors[part]
    if len(tensors) != 1:
        raise LayerError(
            f"The layer {operation.name!r} has {len(tensors)} outputs. Name one with its call number and "
            f"output number, from '{operation.name}:0:0' to "
            f"'{operation.name}:0:{len(tensors) - 1}', or pass the symbolic tensor."
        )
    return tensors[0]


def paths_of(model: Any) -> dict[int, str]:
    """Return the paths of all operations inside a model, by id; the path of the model itself is empty."""
    paths = {id(model): ""}
    pending = [(model, "")]
    while pending:
        holder, prefix = pending.pop()
        for _, held in sublayers(holder):
            if id(held) not in paths:
                paths[id(held)] = f"{prefix}{held.name}"
                pending.append((held, f"{paths[id(held)]}/"))
    return paths


def noting(model: Any, written: Written) -> Any:
    """Return a function that calls a model while the trace records which layer runs which operations.

    Args:
        model: a model.
        written: see `Probe.written`.
    """
    return _recording(model, {}, {}, {}, written, None, paths_of(model), Known())


def _recording(
    root: Any,
    records: dict[int, list[Any]],
    told: dict[int, tuple[Any, Any]],
    others: dict[int, Any],
    written: Written,
    masks: Masks | None,
    paths: Mapping[int, str],
    known: Known,
) -> Any:
    """Return `root`, or its twin.

    Args:
        root: a model.
        records: the lists that outputs are added to, by the ids of the operations.
        told: the given outputs of operations, by their ids: the layer or its call, and the value.
        others: the replacements of operations, by their ids.
        written: receives the ids of operations with the attributes that they set when they are called.
        masks: the masks of layers, or None.
        paths: the paths of the operations whose runs are recorded, by their ids.
        known: receives what later runs may know, or has that of an equal run.
    """
    done = dict(others)
    makers = MaskMakers([], [], []) if masks is None else mask_makers(root)
    made = {id(each) for each in makers.operations}
    own = made.union(map(id, makers.layers))
    if not (own or records or told or others or paths):
        return root

    before = known.doubled
    # A mask would be lost with the layers that make it or pass it on.
    skips = bool(told) and not paths and masks is None and not makes_masks(root)

    def skipped(operation: Any) -> Mapping[int, Any]:
        if not skips or not runs_graph(operation):
            return {}
        ((key, (_, value)),) = told.items()
        if id(operation) not in known.skipped:
            known.skipped[id(operation)] = _skipped(operation, key, records)
        return {each: ops.cast(value, dtype) for each, dtype in known.skipped[id(operation)].items()}

    def visit(operation: Any) -> Any:
        if before is not None and id(operation) not in before:
            return operation
        if id(operation) not in done:
            done[id(operation)] = operation
            inner = () if before == frozenset({id(operation)}) else sublayers(operation)
            twins = {id(held): visit(held) for _, held in inner}
            twins = {key: double for key, double in twins.items() if id(double) != key}
            key, cls = id(operation), type(operation)
            known_values = skipped(operation)
            if twins or known_values or key in own.union(records, told, paths):
                if masks is not None and key in own:
                    cls = masks.twin_class(cls, key in made)
                record, value, path = records.get(key), told.get(key), paths.get(key)
                done[key] = _recorder(
                    operation, cls, twins, record, value, masks, written, path, known_values
                )
        return done[id(operation)]

    double = visit(root)
    found = frozenset(key for key, made in done.items() if id(made) != key)
    if before is not None and before != found:  # Keras has put another model inside of one
        known.doubled = None
        return _recording(root, records, told, others, written, masks, paths, known)
    known.doubled = found
    return double


def _recorder(
    operation: Any,
    cls: Any,
    twins: dict[int, Any],
    record: list[Any] | None,
    told: tuple[Any, Any] | None,
    masks: Masks | None,
    written: Written,
    path: str | None,
    known_values: Mapping[int, Any],
) -> Any:
    key, numbers = id(operation), itertools.count()

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(attributes_of(self))
        if path is None:
            output = cls.__call__(self, *args, **kwargs)
        else:
            with backend.noted(path, isinstance(operation, keras.Layer)) as returned:
                output = cls.__call__(self, *args, **kwargs)
                returned(output)
        after = attributes_of(self)
        written.update((key, name) for name, held in after.items() if before.get(name) is not held)
        if told is not None and next(numbers) == (told[0].index if isinstance(told[0], Call) else 0):
            output = _in_place_of(output, *told)
        if record is not None:
            tensors = [] if masks is None else keras.tree.flatten(output)
            backend.leave((output, list(map(backend.mask_of, tensors))), keep)
        return output

    def keep(found: tuple[Any, list[Any]]) -> None:
        """Record an output, with its masks before a later layer removes them, as attention does."""
        assert record is not None  # noqa: S101 - it is kept only then
        record.append(found[0])
        if masks is not None:
            masks.note(*found)

    def run_graph(
        self: Any, inputs: Any, operation_fn: Callable[[Any], Any], *args: Any, **kwargs: Any
    ) -> Any:
        def called(op: Any) -> Any:
            if id(op) in known_values:
                return lambda *args, **kwargs: known_values[id(op)]
            return operation_fn(twins.get(id(op), op))

        return getattr(cls, _GRAPH)(self, inputs, called, *args, **kwargs)

    methods: dict[str, Any] = {"__call__": __call__}
    if hasattr(cls, _GRAPH):
        methods[_GRAPH] = run_graph
    methods |= exchanged_methods(operation, twins)
    return twin(operation, exchanged(operation, twins), derived(cls, methods))


def _skipped(model: Any, start: int, records: Mapping[int, Any]) -> dict[int, str]:
    """Return which operations of a graph need not run if the output of one of them is given.

    These are the operation itself, and those whose outputs nothing else needs; none if it has several calls
    or outputs, or is read. What stands for their outputs is the given value, which nothing reads.

    Args:
        model: runs the graph.
        start: the id of the operation.
        records: the operations that are read, by their ids.

    Returns:
        the type of the given output, by the ids of the operations.
    """
    nodes = upstream(list(model.outputs))
    given = [tensor for node in nodes if id(node.operation) == start for tensor in node.output_tensors]
    if len(given) != 1 or start in records:
        return {}
    by_operation: dict[int, list[Any]] = {}
    for node in nodes:
        by_operation.setdefault(id(node.operation), []).append(node)
    read = [node.output_tensors[0] for node in nodes if id(node.operation) in records]
    pending = [node_of(tensor) for tensor in (*model.outputs, *read)]
    needed = {start}
    while pending:
        operation = pending.pop().operation
        if id(operation) not in needed:
            needed.add(id(operation))
            # Whatever calls it, it runs: its other calls need their inputs, too.
            calls = by_operation[id(operation)]
            pending += [node_of(tensor) for call in calls for tensor in call.input_tensors]
    dtype = keras.backend.standardize_dtype(given[0].dtype)
    entries = {id(tensor._keras_history.operation) for tensor in model.inputs}
    return {key: dtype for key in (by_operation.keys() - needed - entries) | {start}}


def _in_place_of(output: Any, start: Any, value: Any) -> Any:
    """Return the output of the layer `start`, or of a call of it, with the meant tensor replaced."""
    tensors = keras.tree.flatten(output)
    index = (start.part or 0) if isinstance(start, Call) else 0
    told = backend.masked(ops.cast(value, tensors[index].dtype), backend.mask_of(tensors[index]))
    return keras.tree.pack_sequence_as(output, [*tensors[:index], told, *tensors[index + 1 :]])
