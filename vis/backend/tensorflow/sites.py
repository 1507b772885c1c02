"""Where the activations of a traced graph are, read off its operations.

An activation is usually one operation. Keras composes some of several, and overriding each of those would be
wrong: in `relu(x) - slope * relu(-x)` the second ReLU would let gradients through with the wrong sign. So
each activation is one `Site`: the *head* takes the activation's input, the *tail* is its output, *relays* lie
between them, and a negative part beside them contributes through the slope. A `relu6(x + 3) / 6` is a gate
(hard sigmoid) and no site. What acts like a rectifier but has no such operation is listed as missed.

Only names are stored: an operation would keep its graph alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

ACTIVATIONS = frozenset({"Relu", "Relu6", "LeakyRelu", "Elu", "Selu"})
RELAYS = frozenset({"Minimum", "Maximum", "SelectV2"})
_BARRIERS = frozenset({"Shape", "ZerosLike", "OnesLike", "StopGradient"})


@dataclass(frozen=True)
class Site:
    """One activation: its output, the operations up to there, and the slope of its negative part."""

    tail: str
    relays: tuple[str, ...] = ()
    slope: str | None = None
    slope_sign: float = 1.0


@dataclass
class Sites:
    """The activations of a graph by the name of their head, and what belongs to them."""

    heads: dict[str, Site] = field(default_factory=dict)
    relays: dict[str, int] = field(default_factory=dict)
    negative_parts: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)

    def add(self, head: Any, relays: list[Any], site: Site) -> None:
        """Add the activation that starts at the operation `head`."""
        self.heads[head.name] = replace(site, relays=tuple(op.name for op in relays))
        for op in relays:
            self.relays[op.name] = 1 if op.type == "SelectV2" else main_index(op)

    def miss(self, op: Any, label: str) -> None:
        """Note that the activation at `op` keeps its true derivative."""
        self.left.add(op.name)
        self.missed.append(f"{op.name} ({label})")


def find_sites(graph: Any, mark: bytes, sources: Sequence[Any], outputs: Sequence[Any]) -> Sites:
    """Read the sites on the way from some tensors of a traced graph to others.

    Args:
        graph: the graph, before any gradient is added to it.
        mark: the gradient's name that marks an operation whose derivative can be chosen.
        sources: what will be differentiated by.
        outputs: what will be differentiated.
    """
    sites = Sites()
    before = _reach(outputs, lambda op: op.inputs)
    differentiated = _reach(outputs, _differentiated_inputs)
    after = _reach(sources, lambda op: [tensor for user in _users(op) for tensor in user.outputs])
    operations = [op for op in graph.get_operations() if op.name in before and op.name in after]
    for op in operations:
        if op.type == "Relu":
            _read_negative_part(op, sites)
    for op in operations:
        if op.type in ACTIVATIONS:
            if op.name in sites.heads or op.name in sites.negative_parts or op.name in sites.left:
                continue
            if _is_gate(op):
                if _gates_its_input(op):
                    sites.miss(op, "hard SiLU")
            elif op.name not in differentiated:
                sites.miss(op, f"{op.type} inside a custom gradient")
            elif _mark(op) != mark:
                sites.miss(op, op.type)
            else:
                relays = _relays(op)
                sites.add(op, relays, Site((relays[-1] if relays else op).outputs[0].name))
    for op in operations:
        if label := _composed_without_relu(op, sites):
            sites.miss(op, label)
    sites.missed += _in_called_functions(graph, operations, mark)
    return sites


def _reach(tensors: Sequence[Any], following: Callable[[Any], Iterable[Any]]) -> set[str]:
    """Return the names of all operations met on the way from `tensors`, where gradients can flow."""
    reached: set[str] = set()
    pending = [tensor.op for tensor in tensors]
    while pending:
        op = pending.pop()
        if op.name not in reached and op.type not in _BARRIERS:
            reached.add(op.name)
            pending += [tensor.op for tensor in following(op)]
    return reached


def _differentiated_inputs(op: Any) -> list[Any]:
    """Return the inputs that the gradient of `op` flows to."""
    if op.type == "IdentityN" and (_mark(op) or b"").startswith(b"CustomGradient"):
        # It takes the results, which go on, and the arguments, which get the gradient.
        pairs = zip(op.inputs, op.outputs, strict=True)
        return [argument for argument, result in pairs if not result.consumers()]
    return list(op.inputs)


def _users(op: Any) -> list[Any]:
    return [user for output in op.outputs for user in output.consumers()]


def _relays(head: Any) -> list[Any]:
    """Return the operations that complete an activation: a clip after a ReLU, a scaled half after an ELU."""
    output = head.outputs[0]
    users = output.consumers()
    if head.type == "Elu":
        for op in users:
            scaled = op.inputs[2].op if op.type == "SelectV2" else None
            if scaled is None or op.inputs[1] is not output or not _takes(scaled, "Mul", output):
                continue
            only_these = len(users) == 2 and len(scaled.outputs[0].consumers()) == 1
            if only_these and _constant_index(scaled) is not None:
                return [op]
        return []
    relays: list[Any] = []
    if head.type == "Relu" and len(users) == 1 and _bounds(users[0], "Minimum"):
        relays.append(users[0])
        users = users[0].outputs[0].consumers()
        if len(users) == 1 and _bounds(users[0], "Maximum", at_most=0.0):
            relays.append(users[0])
    return relays


def _read_negative_part(op: Any, sites: Sites) -> None:
    """Recognise `P(x) - slope * relu(-x)` and `P(x) + (-slope) * relu(-x)`, P a rectifier of the same x."""
    source = op.inputs[0].op
    shifted = source.type == "AddV2" and source.inputs[0].op.type == "Neg"
    negation = source.inputs[0].op if shifted else source
    if negation.type != "Neg":
        return
    x = negation.inputs[0]
    for product in op.outputs[0].consumers():
        for join in product.outputs[0].consumers() if product.type == "Mul" else ():
            if join.type not in ("Sub", "AddV2") or join.inputs[0] is product.outputs[0]:
                continue
            head = join.inputs[0].op
            relays: list[Any] = []
            while _bounds(head, "Minimum") or _bounds(head, "Maximum", at_most=0.0):
                relays.insert(0, head)
                head = head.inputs[main_index(head)].op
            chain = [head, *relays, op, product]
            fits = join.outputs[0].shape.as_list() == x.shape.as_list()
            if not fits or any(len(part.outputs[0].consumers()) > 1 for part in chain):
                sites.miss(op, "leaky ReLU whose parts are used elsewhere too")
            elif not shifted and head.type in ("Relu", "Relu6") and head.inputs[0] is x:
                slope = next(tensor for tensor in product.inputs if tensor is not op.outputs[0])
                sign = 1.0 if join.type == "Sub" else -1.0
                sites.add(head, relays, Site(join.outputs[0].name, (), slope.name, sign))
                sites.negative_parts.add(op.name)
            elif any(tensor is x for tensor in head.inputs):
                sites.miss(op, "leaky ReLU with a threshold")


def _is_gate(op: Any) -> bool:
    """Tell whether `op` is the ReLU6 of a hard sigmoid, `relu6(x + 3) / 6`."""
    source = op.inputs[0].op
    if op.type != "Relu6" or source.type != "AddV2" or _constant(source) != 3.0:
        return False
    return any(
        (user.type == "RealDiv" and _constant(user) == 6.0) or (user.type == "Mul" and _is_near(user, 1 / 6))
        for user in op.outputs[0].consumers()
    )


def _gates_its_input(gate: Any) -> bool:
    shifted = gate.inputs[0].op
    x = shifted.inputs[main_index(shifted)]
    return any(_multiplies(user, x) for user in gate.outputs[0].consumers())


def _composed_without_relu(op: Any, sites: Sites) -> str | None:
    """Return what a rectifier-like activation without a ReLU operation is called, or None."""
    match op.type:
        case "Erf" | "Erfc":
            return "GELU"
        case "Tanh":
            if op.inputs[0].op.type == "Softplus":
                return "Mish"
            return "GELU" if _is_near(op.inputs[0].op, 0.7978845608) else None
        case "Softplus":
            # Before a tanh it is part of Mish, before a minus of a log-sigmoid.
            mirrored = op.inputs[0].op.type == "Neg" and any(user.type == "Neg" for user in _users(op))
            return None if mirrored or any(user.type == "Tanh" for user in _users(op)) else "softplus"
        case "Sigmoid":
            scaled = op.inputs[0].op
            x = scaled.inputs[main_index(scaled)] if _constant_index(scaled) is not None else op.inputs[0]
            return "SiLU" if _multiplies(op, x) else None
        case "Greater":
            return "ReLU with a threshold" if _thresholds(op) else None
        case "Maximum" if op.name not in sites.relays and _constant(op) == 0.0:
            # After a minimum it is a clip to a range, such as that of pixels.
            return None if op.inputs[main_index(op)].op.type == "Minimum" else "maximum(x, 0)"
    return None


def _thresholds(op: Any) -> bool:
    """Tell whether the comparison `x > t` selects or multiplies the same x."""
    x = op.inputs[0]
    users = op.outputs[0].consumers() if _constant_index(op) is not None else ()
    return any(
        (user.type == "SelectV2" and user.inputs[1] is x) or (user.type == "Cast" and _multiplies(user, x))
        for user in users
    )


def _in_called_functions(graph: Any, operations: list[Any], mark: bytes) -> Iterator[str]:
    """Yield the activations in functions that the operations call: loop bodies, decorated calls."""
    library = {function.signature.name: function for function in graph.as_graph_def().library.function}
    called: set[str] = set()
    pending = [op.node_def for op in operations]
    while pending:
        node = pending.pop()
        attributes = node.attr.values()
        names = {a.func.name for a in attributes} | {f.name for a in attributes for f in a.list.func}
        for name in (names & library.keys()) - called:
            called.add(name)
            body = library[name].node_def
            pending += body
            for inner in body:
                if inner.op in ACTIVATIONS and inner.attr["_gradient_op_type"].s != mark:
                    yield f"{inner.name} ({inner.op} inside {name})"


def _mark(op: Any) -> bytes | None:
    try:
        mark: bytes = op.get_attr("_gradient_op_type")
    except ValueError:
        return None
    return mark


def main_index(op: Any) -> int:
    """Return the index of the operand of a binary operation that is not its constant scalar."""
    constant = _constant_index(op)
    return 0 if constant is None else 1 - constant


def _constant_index(op: Any) -> int | None:
    if len(op.inputs) != 2:
        return None
    for index in (1, 0):
        value = tf.get_static_value(op.inputs[index])
        if value is not None and value.ndim == 0:
            return index
    return None


def _constant(op: Any) -> float | None:
    index = _constant_index(op)
    return None if index is None else float(tf.get_static_value(op.inputs[index]))


def _is_near(op: Any, value: float) -> bool:
    constant = _constant(op)
    return constant is not None and abs(constant - value) < 1e-3


def _bounds(op: Any, kind: str, at_most: float = float("inf")) -> bool:
    """Tell whether `op` is a minimum or maximum with a constant scalar that is at most `at_most`."""
    if op.type != kind:
        return False
    value = _constant(op)
    return value is not None and value <= at_most


def _takes(op: Any, kind: str, tensor: Any) -> bool:
    return op.type == kind and any(operand is tensor for operand in op.inputs)


def _multiplies(op: Any, x: Any) -> bool:
    return any(_takes(user, "Mul", x) for user in _users(op))
