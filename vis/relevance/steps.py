"""The sites of a traced computation: the steps on which relevance flows back, found by what they compute.

| kind | what it is |
|---|---|
| `conv`, `dense` | an affine map: a kernel, with the bias and the scale per channel that follow it |
| `scale` | elementwise arithmetic with constants that follows no kernel |
| `activation` | an elementwise function of one value |
| `sum` | of several values |
| `pooling` | a sum or an average over positions, or an interpolation |
| `maximum` | a selection by size |
| `route` | numbers that move: a reshape, a slice, padding, a concatenation |
| `gate` | a product of a signal with factors between 0 and 1, or with the inverse of a norm |
| `attention` | a product of a signal with a softmax |
| `product` | any other product of several values |
| `softmax` | a softmax |
| `unknown` | anything else |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vis.graph import Graph, Operation, Squashings, Value, find_activations
from vis.graph.activations import flowing
from vis.graph.elementwise import is_elementwise
from vis.relevance.kernels import Kernel, find_kernel
from vis.relevance.signs import Signs

_SUMS = frozenset(["add", "subtract"])
_POOLING = frozenset(["reduce_sum", "reduce_mean", "average_pool", "resize"])
_MAXIMA = frozenset(["max_pool", "reduce_max", "reduce_min", "maximum", "minimum"])
KINDS = (
    "conv",
    "dense",
    "scale",
    "activation",
    "sum",
    "pooling",
    "maximum",
    "route",
    "gate",
    "attention",
    "product",
    "softmax",
    "unknown",
)
_ROUTES = frozenset(
    "reshape expand_dims squeeze transpose slice pad concatenate stack split unstack tile broadcast reverse "
    "gather repeat space_to_batch batch_to_space select identity cast".split()
)
# What passes on the numbers of one value, scaled, shifted or moved.
_KEEPING = _ROUTES | _SUMS | {"multiply", "divide", "negative"}
_PRODUCTS = frozenset(["multiply", "product", "convolution"])
_QUOTIENTS = frozenset(["divide", "divide_no_nan"])


@dataclass(frozen=True, eq=False)
class Step:
    """A site in a graph.

    Args:
        kind: see above.
        operations: what it computes, in order.
        inputs: what relevance is passed on to, an entry for each use of a value.
        outputs: what relevance arrives at.
        layer: the path of the layer that computes it; empty if none does.
        name: the name of the operation.
        kernel: how an affine site computes its output.
        signals: which of the inputs are no gates.
        is_first, is_last: whether no other kernel lies between it and the inputs, or the explained output.
        is_nonnegative: whether its inputs are known to be at least zero.
        is_shifted: whether constants are added that take no share, as they take none elsewhere.
    """

    kind: str
    operations: tuple[Operation, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    layer: str
    name: str
    kernel: Kernel | None = None
    signals: tuple[bool, ...] = ()
    is_first: bool = False
    is_last: bool = False
    is_nonnegative: bool = False
    is_shifted: bool = False

    @property
    def path(self) -> str:
        """The path of the layer, and the name of the operation behind a colon."""
        return f"{self.layer}:{self.name}"

    @property
    def operation(self) -> Operation:
        return self.operations[-1]

    @property
    def slots(self) -> tuple[int, ...]:
        """The indices of the inputs among the operands of its first operation."""
        wanted = set(self.inputs)
        return tuple(place for place, value in enumerate(self.operations[0].operands) if value in wanted)


def find_steps(graph: Graph, sources: Sequence[Value], ends: Sequence[Value]) -> list[Step]:
    """Return the sites between some values and others, from the last to the first."""
    return _Search(graph, sources, ends).steps()


@dataclass
class _Search:
    graph: Graph
    sources: Sequence[Value]
    ends: Sequence[Value]
    _taken: set[Operation] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph = self.graph
        self.active = flowing(graph, self.sources) & graph.before(self.ends)
        self.kept = {*self.sources, *self.ends}
        self.signs = Signs(graph)
        self.squashings = Squashings(graph)
        found = find_activations(graph, self.sources, self.ends).found
        self.regions = {region.end: region for region in found}
        self.kernels = {}
        for operation in graph.operations:
            if any(output in self.active for output in operation.outputs):
                kernel = find_kernel(graph, operation, self.active, self.kept)
                if kernel is not None:
                    self.kernels[kernel.output] = kernel
        made = [kernel.output for kernel in self.kernels.values()]
        taken = [kernel.x for kernel in self.kernels.values()]
        self.behind = graph.after(made)
        self.before = graph.before(taken)

    def steps(self) -> list[Step]:
        found = []
        for operation in reversed(self.graph.operations):
            if operation in self._taken or not any(output in self.active for output in operation.outputs):
                continue
            if any(output in self.sources for output in operation.outputs):
                continue
            step = self._step(operation)
            if step is not None:
                self._taken.update(step.operations)
                found.append(step)
        return found

    def _step(self, operation: Operation) -> Step | None:
        outputs = operation.outputs
        end = next(output for output in outputs if output in self.active)
        kernel = self.kernels.get(end)
        if kernel is not None:
            return self._made(kernel.kind, kernel.operations, (kernel.x,), (end,), kernel=kernel)
        region = self.regions.get(end)
        if region is not None and region.start in self.active:
            return self._made("activation", region.operations, (region.start,), (end,))
        softmax = self._softmax(end)
        if softmax is not None:
            return self._made("softmax", softmax[0], (softmax[1],), (end,))
        inputs = tuple(value for value in operation.operands if value in self.active)
        if not inputs:
            return None
        if "differentiated" in operation.attributes and outputs[0].dtype == operation.operands[0].dtype:
            # What a function with a derivative of its own returns, and then what it is differentiated by.
            count = len(outputs)
            results = tuple(value for value in operation.operands[:count] if value in self.active)
            if len(results) == count:
                return self._made("route", (operation,), results, outputs)
        kind = self._kind(operation, inputs)
        if kind == "sum":
            operations, inputs = self._summands(operation)
            shifted = len(operations) > 1
            return replace(self._made(kind, operations, inputs, outputs), is_shifted=shifted)
        signals: tuple[bool, ...] = ()
        if operation.kind in _QUOTIENTS and kind == "product":
            operands = enumerate(operation.operands)
            kind, signals = "gate", tuple(place == 0 for place, value in operands if value in self.active)
        elif kind == "product":
            kind, signals = self._roles(inputs)
        return self._made(kind, (operation,), inputs, outputs, signals=signals)

    def _made(
        self,
        kind: str,
        operations: Sequence[Operation],
        inputs: tuple[Value, ...],
        outputs: tuple[Value, ...],
        kernel: Kernel | None = None,
        signals: tuple[bool, ...] = (),
    ) -> Step:
        owner = self.graph.owner(operations[0])
        return Step(
            kind,
            tuple(operations),
            inputs,
            outputs,
            "" if owner is None else owner.path,
            operations[-1].name.rsplit("/", 1)[-1],
            kernel,
            signals or (True,) * len(inputs),
            kernel is not None and kernel.x not in self.behind,
            kernel is not None and kernel.output not in self.before,
            all(value in self.signs.nonnegative for value in inputs),
        )

    def _summands(self, operation: Operation) -> tuple[list[Operation], tuple[Value, ...]]:
        """Return the operations of a sum, and what it sums, without the constants that summands contain."""
        operations, inputs = [operation], []
        for value in operation.operands:
            if value not in self.active:
                continue
            maker = self.graph.maker(value)
            parts = [each for each in maker.operands if each in self.active]
            users = [user for user in self.graph.users(value) if self.active & {*user.outputs}]
            alone = len(users) == 1 and value not in self.kept and value not in self.kernels
            if alone and maker.kind in _SUMS and len(parts) == 1 and parts[0].shape == value.shape:
                operations.insert(0, maker)
                value = parts[0]
            inputs.append(value)
        if len({*inputs}) < len(inputs):
            return [operation], tuple(value for value in operation.operands if value in self.active)
        return operations, tuple(inputs)

    def _kind(self, operation: Operation, inputs: tuple[Value, ...]) -> str:
        kind = operation.kind
        several = len(inputs) > 1
        if kind in _MAXIMA and (several or not is_elementwise(operation)):
            return "maximum"
        if kind in _ROUTES:
            return "route"
        if kind in _POOLING:
            return "pooling"
        if several:
            if kind in _SUMS:
                return "sum"
            return "product" if kind in _PRODUCTS | _QUOTIENTS else "unknown"
        if is_elementwise(operation):
            return "scale" if kind in _SUMS | _PRODUCTS | _QUOTIENTS | {"negative"} else "activation"
        return "unknown"

    def _roles(self, inputs: tuple[Value, ...]) -> tuple[str, tuple[bool, ...]]:
        """Return the kind of a product, and which of its inputs are signals."""
        weights = [self._is_softmax(value) for value in inputs]
        if any(weights) and not all(weights):
            return "attention", tuple(not weight for weight in weights)
        gates = [self._is_gate(value) for value in inputs]
        if any(gates) and not all(gates):
            return "gate", tuple(not gate for gate in gates)
        return "product", (True,) * len(inputs)

    def _origin(self, value: Value) -> Value:
        """Return the value that another one holds the numbers of, scaled, moved or copied."""
        while value in self.active and value not in self.sources and value not in self.regions:
            operation = self.graph.maker(value)
            inputs = [each for each in operation.operands if each in self.active]
            numerator = operation.kind != "divide" or inputs == [operation.operands[0]]
            if len(inputs) != 1 or not numerator or operation.kind not in _KEEPING:
                break
            value = inputs[0]
        return value

    def _softmax(self, value: Value) -> tuple[tuple[Operation, ...], Value] | None:
        """Return the operations of a softmax that ends in a value, and what it is taken of."""
        found = self.squashings.softmax(value)
        if found is None or found not in self.active:
            return None
        after = self.graph.after([found])
        between = self.graph.before([value]) & after
        operations = tuple(
            operation
            for operation in self.graph.operations
            if not between.isdisjoint(operation.outputs)
            and not after.isdisjoint(operation.operands)
            and found not in operation.outputs
        )
        return operations, found

    def _is_softmax(self, value: Value) -> bool:
        origin = self._origin(value)
        return origin in self.active and self._softmax(origin) is not None

    def _is_gate(self, value: Value) -> bool:
        """Tell whether a factor says how much of a signal goes on: bounded by 0 and 1, or an inverse."""
        origin = self._origin(value)
        if origin not in self.active or origin in self.sources:
            return False
        operation = self.graph.maker(origin)
        if operation.kind in ("reciprocal_square_root", "reciprocal"):
            return True
        if operation.kind in _QUOTIENTS and operation.operands[0] not in self.active:
            return True
        region = self.regions.get(origin)
        if region is not None:
            return self.signs.is_fraction(region.operations, region.start, origin)
        inputs = [each for each in operation.operands if each in self.active]
        if len(inputs) != 1 or not is_elementwise(operation):
            return False
        return self.signs.is_fraction((operation,), inputs[0], origin)
