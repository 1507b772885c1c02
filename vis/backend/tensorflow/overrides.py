"""Other derivatives for activations, in one graph only.

While a graph is traced, TensorFlow's `gradient_override_map` marks every operation that an activation may
consist of; the mark names one gradient function, registered once for the process, which looks up the rule
of the operation's graph. The forward pass is what it was, no layer is touched, and other graphs and threads
see nothing. Graphs within the graph (loop bodies, decorated calls) carry no mark: `sites` names them.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from vis.backend.contract import Coverage, Rule
from vis.backend.tensorflow.sites import ACTIVATIONS, RELAYS, Site, Sites, find_sites, main_index
from vis.errors import ModifierError

_MARK = "VisActivation"
_overrides: weakref.WeakKeyDictionary[Any, _Override] = weakref.WeakKeyDictionary()


class _Override:
    """The rule of one graph and the places where it acts."""

    def __init__(self, rule: Rule | None) -> None:
        # Held weakly: a trace lasts as long as its rule, so it must not be what keeps the rule.
        self.rule = (lambda: None) if rule is None else weakref.ref(rule)
        self.sites: Sites | None = None

    def finish(self, sources: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Find the activations between two sets of tensors, once the forward pass has been traced."""
        if self.rule() is not None:
            graph = tf.compat.v1.get_default_graph()
            self.sites = find_sites(graph, _MARK.encode(), sources, outputs)
            _overrides[graph] = self

    def coverage(self) -> Coverage | None:
        if self.sites is None:
            return None
        return Coverage(tuple(self.sites.heads), tuple(self.sites.missed))

    def gradient(self, op: Any, incoming: Any) -> Any:
        sites, rule = self.sites, self.rule()
        assert sites is not None and rule is not None  # noqa: S101 - set when the trace ended
        if op.name in sites.relays:
            gradients: list[Any] = [None] * len(op.inputs)
            gradients[sites.relays[op.name]] = incoming
            return gradients
        if op.name in sites.negative_parts:
            return None
        incoming = tf.convert_to_tensor(incoming)
        site = sites.heads.get(op.name)
        if site is None:
            return _true_gradient(op, incoming)
        output = op.graph.get_tensor_by_name(site.tail)
        gradient = rule(op.inputs[0], output, incoming, _site_gradient(op, site, incoming))
        shape = getattr(gradient, "shape", None)
        if shape is None or not op.inputs[0].shape.is_compatible_with(shape):
            raise ModifierError(
                "A backprop modifier's rule(x, y, incoming, true) returns a tensor of the shape of x. "
                f"Received from {rule!r} at {op.name}: {gradient!r} for the shape {op.inputs[0].shape}."
            )
        # A rule may return x itself: the identity makes it a tensor of the graph that differentiates.
        return tf.identity(tf.cast(gradient, op.inputs[0].dtype))


@contextlib.contextmanager
def overriding(rule: Rule | None) -> Iterator[_Override]:
    """Let the activations traced in the current graph differentiate by `rule`; None changes nothing."""
    marks = {} if rule is None else dict.fromkeys(ACTIVATIONS | RELAYS, _MARK)
    with tf.compat.v1.get_default_graph().gradient_override_map(marks):
        yield _Override(rule)


@tf.RegisterGradient(_MARK)  # type: ignore[untyped-decorator]
def _gradient(op: Any, incoming: Any) -> Any:
    return _overrides[op.graph].gradient(op, incoming)


def where_positive(condition: Any, value: Any) -> Any:
    """Return `value` where `condition`, a tensor of its shape and type, is positive, and 0 elsewhere."""
    # One operation, a third as long as a comparison and a choice.
    return tf.raw_ops.ReluGrad(gradients=value, features=condition)


def _site_gradient(head: Any, site: Site, incoming: Any) -> Any:
    """Return the true gradient of the whole activation that starts at `head`."""
    passed = incoming
    for name in reversed(site.relays):
        relay = head.graph.get_operation_by_name(name)
        if relay.type == "SelectV2":  # elu: the negative half is scaled by alpha
            alpha = next(i for i in relay.inputs[2].op.inputs if i is not head.outputs[0])
            passed = tf.where(relay.inputs[0], passed, alpha * passed)
        else:
            main = main_index(relay)
            value, bound = relay.inputs[main], relay.inputs[1 - main]
            inside = value <= bound if relay.type == "Minimum" else value >= bound
            passed = tf.where(inside, passed, tf.zeros_like(passed))
    gradient = _true_gradient(head, passed)
    if site.slope is not None:
        slope = site.slope_sign * head.graph.get_tensor_by_name(site.slope)
        below = tf.less(head.inputs[0], tf.zeros_like(head.inputs[0]))
        gradient += tf.where(below, slope * incoming, tf.zeros_like(incoming))
    return gradient


def _true_gradient(op: Any, incoming: Any) -> Any:
    """Return the gradient that TensorFlow itself defines for `op`."""
    match op.type:
        case "Relu":
            return tf.raw_ops.ReluGrad(gradients=incoming, features=op.outputs[0])
        case "Relu6":
            return tf.raw_ops.Relu6Grad(gradients=incoming, features=op.outputs[0])
        case "LeakyRelu":
            alpha = op.get_attr("alpha")
            return tf.raw_ops.LeakyReluGrad(gradients=incoming, features=op.inputs[0], alpha=alpha)
        case "Elu":
            return tf.raw_ops.EluGrad(gradients=incoming, outputs=op.outputs[0])
        case "Selu":
            return tf.raw_ops.SeluGrad(gradients=incoming, outputs=op.outputs[0])
    # The rest broadcast their operands: run the operation again, unmarked, and differentiate that.
    again = {"Minimum": tf.minimum, "Maximum": tf.maximum, "SelectV2": tf.where}[op.type]
    inputs = list(op.inputs)
    differentiable = [tensor for tensor in inputs if tensor.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(differentiable)
        output = again(*inputs)
    found = iter(tape.gradient(output, differentiable, output_gradients=incoming))
    return [next(found) if tensor.dtype.is_floating else None for tensor in inputs]
