"""A traced TensorFlow graph in the terms of `vis.graph`.

The operations of the graph itself have their shapes and constants. The functions that it calls (the body of a
loop, a call decorated with `@tf.function`) are returned one by one by `called_functions`, without shapes.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from vis.backend.contract import Spec, Traced
from vis.backend.tensorflow.attributes import attributes
from vis.graph import Graph, LayerCall, Operation, Value

# By TensorFlow operation type.
KINDS = {
    **dict.fromkeys(["Identity", "IdentityN", "Snapshot", "PreventGradient", "CheckNumerics"], "identity"),
    "StopGradient": "stop_gradient",
    **dict.fromkeys(["Add", "AddV2", "AddN", "BiasAdd"], "add"),
    "Sub": "subtract",
    **dict.fromkeys(["Mul", "MulNoNan"], "multiply"),
    **dict.fromkeys(["Div", "RealDiv", "TruncateDiv"], "divide"),
    "DivNoNan": "divide_no_nan",
    "FloorDiv": "floor_divide",
    "FloorMod": "remainder",
    **dict.fromkeys(["Mod", "TruncateMod"], "truncated_remainder"),
    "Pow": "power",
    "SquaredDifference": "squared_difference",
    "Maximum": "maximum",
    "Minimum": "minimum",
    "ClipByValue": "clip",
    "Atan2": "arctan2",
    "Neg": "negative",
    "Abs": "absolute",
    "Sign": "sign",
    "Square": "square",
    "Sqrt": "square_root",
    "Rsqrt": "reciprocal_square_root",
    **dict.fromkeys(["Reciprocal", "Inv"], "reciprocal"),
    "Exp": "exponential",
    "Expm1": "exponential_minus_1",
    "Log": "logarithm",
    "Log1p": "logarithm_of_1_plus",
    "Sin": "sine",
    "Cos": "cosine",
    "Tan": "tangent",
    "Asin": "arcsine",
    "Acos": "arccosine",
    "Atan": "arctangent",
    "Sinh": "hyperbolic_sine",
    "Cosh": "hyperbolic_cosine",
    "Tanh": "hyperbolic_tangent",
    "Asinh": "inverse_hyperbolic_sine",
    "Erf": "error_function",
    "Erfc": "complementary_error_function",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Relu": "relu",
    "Relu6": "relu6",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Selu": "selu",
    "Floor": "floor",
    "Ceil": "ceiling",
    **dict.fromkeys(["Round", "Rint"], "round"),
    "IsFinite": "is_finite",
    "Less": "less",
    "LessEqual": "less_equal",
    "Greater": "greater",
    "GreaterEqual": "greater_equal",
    "Equal": "equal",
    "NotEqual": "not_equal",
    "LogicalAnd": "logical_and",
    "LogicalOr": "logical_or",
    "LogicalNot": "logical_not",
    **dict.fromkeys(["Select", "SelectV2"], "select"),
    "ZerosLike": "zeros_like",
    "OnesLike": "ones_like",
    "Cast": "cast",
    "Placeholder": "input",
    "Const": "constant",
    "ReadVariableOp": "variable",
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sum": "reduce_sum",
    "Mean": "reduce_mean",
    "Max": "reduce_max",
    "Min": "reduce_min",
    "Prod": "reduce_prod",
    **dict.fromkeys(["MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum"], "product"),
    **dict.fromkeys(["Conv2D", "Conv3D", "DepthwiseConv2dNative"], "convolution"),
    **dict.fromkeys(["Conv2DBackpropInput", "Conv3DBackpropInputV2"], "convolution"),
    **dict.fromkeys(["MaxPool", "MaxPool3D"], "max_pool"),
    **dict.fromkeys(["AvgPool", "AvgPool3D"], "average_pool"),
    "Reshape": "reshape",
    "ExpandDims": "expand_dims",
    "Squeeze": "squeeze",
    "Transpose": "transpose",
    "StridedSlice": "slice",
    "Slice": "slice",
    **dict.fromkeys(["Pad", "PadV2", "MirrorPad"], "pad"),
    "ConcatV2": "concatenate",
    "Pack": "stack",
    "Unpack": "unstack",
    **dict.fromkeys(["Split", "SplitV"], "split"),
    "Tile": "tile",
    "BroadcastTo": "broadcast",
    "ReverseV2": "reverse",
    "SpaceToBatchND": "space_to_batch",
    "BatchToSpaceND": "batch_to_space",
    "OneHot": "one_hot",
    **dict.fromkeys(["ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"], "resize"),
    "ScaleAndTranslate": "resize",
    **dict.fromkeys(["GatherV2", "ResourceGather"], "gather"),
    **dict.fromkeys(["Shape", "ShapeN", "Size", "Rank"], "shape"),
    **dict.fromkeys(["PartitionedCall", "StatefulPartitionedCall"], "call"),
    **dict.fromkeys(["While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase"], "loop"),
}
# The operands in the order of `vis.graph.words`, if TensorFlow has another.
_OPERANDS = {
    "ConcatV2": slice(None, -1),
    **dict.fromkeys(["Conv2DBackpropInput", "Conv3DBackpropInputV2", "Split"], slice(None, None, -1)),
}
_notes: weakref.WeakKeyDictionary[Any, list[_Note]] = weakref.WeakKeyDictionary()


@dataclass
class _Note:
    """A layer call while a graph is traced: the range of its operations, and its outputs by name."""

    path: str
    is_layer: bool
    first: int
    stop: int = 0
    outputs: list[str] = field(default_factory=list)


def is_noting(asked: bool = True) -> bool:
    """Tell whether layer calls are recorded, given whether the caller needs that: while a graph is traced."""
    return asked and not tf.executing_eagerly()


@contextlib.contextmanager
def noted(path: str, is_layer: bool) -> Iterator[Callable[[Any], None]]:
    """Record which operations a layer call adds to the graph that is being traced.

    Args:
        path: the path of the layer.
        is_layer: whether it is a layer, not just a Keras operation.

    Yields:
        a function to call with the output of the layer.
    """
    if not is_noting():
        yield lambda _: None
        return
    graph = tf.compat.v1.get_default_graph()
    note = _Note(path, is_layer, len(graph.get_operations()))

    def returned(outputs: Any) -> None:
        tensors = [tensor for tensor in tf.nest.flatten(outputs) if tf.is_tensor(tensor)]
        note.outputs = [getattr(tensor, "name", "") for tensor in tensors]

    yield returned
    note.stop = len(graph.get_operations())
    _notes.setdefault(graph, []).append(note)


def traced(forward: Callable[[list[Any]], Any], specs: Sequence[Spec]) -> Graph:
    """Return what a forward pass computes.

    Args:
        forward: takes one tensor per spec, and returns a structure of tensors.
        specs: the specs of its inputs.
    """
    found: list[Graph] = []

    def trace(*tensors: Any) -> None:
        with keras.StatelessScope():
            outputs = keras.tree.flatten(forward(list(tensors)))
        found.append(read(tf.compat.v1.get_default_graph(), tensors, outputs))

    signature = [tf.TensorSpec(spec.shape, spec.dtype) for spec in specs]
    tf.function(trace, input_signature=signature, autograph=False).get_concrete_function()
    return found[0]


def asked(traced: Traced, inputs: Sequence[Any]) -> Graph | None:
    """Return what the current trace has computed, if it is asked for, see `Traced.read`."""
    if not traced.read:
        return None
    graph = tf.compat.v1.get_default_graph()
    # Inside a loop, what its body has not used yet belongs to the graph around it.
    return read(graph, [tensor for tensor in inputs if tensor.graph is graph], traced.read)


def read(graph: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Graph:
    """Return what a traced graph computes.

    Args:
        graph: the graph, before any gradient is added to it.
        inputs: its input tensors.
        outputs: its output tensors.
    """
    values: dict[str, Value] = {}
    operations = []
    returned = {tensor.name for tensor in outputs}
    for op in graph.get_operations():
        constants = _constants(op)
        for tensor, known in zip(op.outputs, constants, strict=True):
            values[tensor.name] = Value(tensor.name, _shape(tensor), tensor.dtype.base_dtype.name, known)
        operands = tuple(values[tensor.name] for tensor in op.inputs if tensor.name in values)
        operands = operands[_OPERANDS.get(op.type, slice(None))]
        made = tuple(values[tensor.name] for tensor in op.outputs)
        operations.append(
            Operation(op.name, KINDS.get(op.type, op.type), operands, made, _attributes(op, returned))
        )
    _tell_bodies(graph, operations)
    calls = []
    counts: dict[str, int] = {}
    for note in sorted(_notes.get(graph, ()), key=lambda note: note.first):
        index = counts.get(note.path, 0)
        counts[note.path] = index + 1
        made = tuple(values[name] for name in note.outputs if name in values)
        calls.append((note.stop, LayerCall(note.path, index, note.is_layer, note.first, note.stop, made)))
    # In the order in which they ended; the inner ones first if they ended together.
    calls.sort(key=lambda pair: (pair[0], -pair[1].first))
    return Graph(
        operations,
        [values[tensor.name] for tensor in inputs],
        [values[tensor.name] for tensor in outputs],
        [call for _, call in calls],
    )


def upstream(tensors: Sequence[Any], graph: Any, past: str = "") -> list[Any]:
    """Return the operations that tensors depend on, stopping at those of one type, in graph order."""
    reached: set[str] = set()
    pending = [tensor.op for tensor in tensors]
    while pending:
        op = pending.pop()
        if op.name not in reached and op.type != past:
            reached.add(op.name)
            pending += [operand.op for operand in op.inputs]
    return [op for op in graph.get_operations() if op.name in reached]


def functions_of(node: Any) -> list[str]:
    """Return the names of the functions that a node calls."""
    values = node.attr.values()
    return [v.func.name for v in values if v.func.name] + [f.name for v in values for f in v.list.func]


def words_order(op: Any) -> list[int]:
    """Return which inputs of an operation its operands are, in order."""
    return list(range(len(op.inputs)))[_OPERANDS.get(op.type, slice(None))]


def _tell_bodies(graph: Any, operations: Sequence[Operation]) -> None:
    """Give the operations that call a function the graph of its body."""
    called = [operation for operation in operations if operation.kind == "call"]
    if called:
        library = {function.signature.name: function for function in graph.as_graph_def().library.function}
        for operation in called:
            name = graph.get_operation_by_name(operation.name).get_attr("f").name
            operation.attributes["body"] = _function(library[name])


def _shape(tensor: Any) -> tuple[int | None, ...] | None:
    return None if tensor.shape.rank is None else tuple(tensor.shape.as_list())


def _constants(op: Any) -> list[Any]:
    """Return what is known about the outputs of an operation before it runs."""
    if op.type == "Fill":
        return [tf.get_static_value(op.inputs[1])]
    if any(True for _ in op.inputs) and not all(_is_small(tensor) for tensor in op.outputs):
        return [None] * len(op.outputs)
    return [tf.get_static_value(tensor) for tensor in op.outputs]


def _is_small(tensor: Any) -> bool:
    """Tell whether a tensor may be computed from constants: sizes, axes, paddings."""
    return tensor.shape.rank is not None and tensor.shape.rank <= 2 and tensor.dtype.is_integer


def _attributes(op: Any, returned: set[str]) -> dict[str, Any]:
    if not is_custom(op):
        return attributes(op)
    # Its inputs are the results, which are used, and the arguments, which receive the gradient.
    gone_on = [output.name in returned or bool(output.consumers()) for output in op.outputs]
    results = max((place + 1 for place, gone in enumerate(gone_on) if gone), default=1)
    return {"differentiated": tuple(range(results, len(op.inputs)))}


def is_custom(op: Any) -> bool:
    """Tell whether an operation represents a custom derivative."""
    return op.type == "IdentityN" and (mark(op) or b"").startswith(b"CustomGradient")


def mark(op: Any) -> bytes | None:
    """Return the name of the gradient function with which an operation is marked, or None."""
    try:
        name: bytes = op.get_attr("_gradient_op_type")
    except ValueError:
        return None
    return name


def called_functions(graph: Any, names: set[str]) -> Iterator[tuple[str, Graph]]:
    """Yield the functions that some operations of a graph call, directly or indirectly, by name.

    Args:
        graph: the graph.
        names: the names of the operations.
    """
    library = {function.signature.name: function for function in graph.as_graph_def().library.function}
    called: set[str] = set()
    pending = [op.node_def for op in graph.get_operations() if op.name in names] if library else []
    while pending:
        known = set(functions_of(pending.pop()))
        for name in (known & library.keys()) - called:
            called.add(name)
            pending += library[name].node_def
            yield name, _function(library[name])


def _function(function: Any) -> Graph:
    """Return what a function computes, as far as its definition shows; no shape is known."""
    values: dict[str, Value] = {}
    made: dict[str, list[Value]] = {}

    def value(name: str, dtype: str = "float32", known: Any = None) -> Value:
        if name not in values:
            values[name] = Value(name, None, dtype, known)
            made.setdefault(name.split(":")[0], []).append(values[name])
        return values[name]

    inputs = [value(arg.name, tf.as_dtype(arg.type).name) for arg in function.signature.input_arg]
    nodes = list(function.node_def)
    # An output has the name by which the next operation refers to it.
    taken = {name for node in nodes for name in node.input if name[0] != "^"} | set(function.ret.values())
    by_node = {node.name: node for node in nodes}
    for name in sorted(taken):
        node = by_node.get(name.split(":")[0])
        if node is not None:
            known = tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
            value(name, _dtype(node), known)
    operations = [Operation(item.name, "input", (), (item,)) for item in inputs]
    for node in nodes:
        operands = tuple(value(name) for name in node.input if name[0] != "^")
        attributes = {}
        if node.op == "Cast":
            attributes["dtype"] = tf.as_dtype(node.attr["DstT"].type).name
        if node.op == "LeakyRelu":
            attributes["slope"] = node.attr["alpha"].f
        kind = (
            "inside" if node.attr["_gradient_op_type"].s == b"VisActivation" else KINDS.get(node.op, node.op)
        )
        operations.append(Operation(node.name, kind, operands, tuple(made.get(node.name, ())), attributes))
    return Graph(operations, inputs, [value(name) for name in function.ret.values()])


def _dtype(node: Any) -> str:
    """Return the data type of the output of a function node, as far as its attributes show."""
    if node.op in ("Less", "LessEqual", "Greater", "GreaterEqual", "Equal", "NotEqual"):
        return "bool"
    for name in ("DstT", "dtype", "T"):
        if node.attr[name].type:
            return str(tf.as_dtype(node.attr[name].type).name)
    return "float32"
