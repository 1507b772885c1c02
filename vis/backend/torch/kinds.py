"""The kinds of PyTorch's operations, in the terms of `vis.graph.words`."""

from __future__ import annotations

import torch

from vis.backend.torch.arithmetic import ARITHMETIC
from vis.backend.torch.attributes import ATTRIBUTES
from vis.backend.torch.products import PRODUCTS
from vis.backend.torch.statistics import STATISTICS
from vis.backend.torch.telling import Telling
from vis.backend.torch.windows import WINDOWS

# By the name of the operation, without the underscore of those that write into their first operand. The
# operands are the arguments in their order.
KINDS = {
    **dict.fromkeys(["alias", "clone", "lift", "lift_fresh", "lift_fresh_copy", "contiguous"], "identity"),
    **dict.fromkeys(["detach", "detach_copy"], "stop_gradient"),
    "mul": "multiply",
    "floor_divide": "floor_divide",
    "remainder": "remainder",
    "pow": "power",
    **dict.fromkeys(["maximum", "fmax", "clamp_min"], "maximum"),
    **dict.fromkeys(["minimum", "fmin", "clamp_max"], "minimum"),
    **dict.fromkeys(["hardtanh", "clip"], "clip"),
    **dict.fromkeys(["atan2", "arctan2"], "arctan2"),
    "neg": "negative",
    "abs": "absolute",
    **dict.fromkeys(["sign", "sgn"], "sign"),
    "sqrt": "square_root",
    "rsqrt": "reciprocal_square_root",
    "reciprocal": "reciprocal",
    "exp": "exponential",
    "expm1": "exponential_minus_1",
    "log": "logarithm",
    "log1p": "logarithm_of_1_plus",
    "sin": "sine",
    "cos": "cosine",
    "tan": "tangent",
    "asin": "arcsine",
    "acos": "arccosine",
    "atan": "arctangent",
    "sinh": "hyperbolic_sine",
    "cosh": "hyperbolic_cosine",
    "tanh": "hyperbolic_tangent",
    "asinh": "inverse_hyperbolic_sine",
    **dict.fromkeys(["erf", "special_erf"], "error_function"),
    **dict.fromkeys(["erfc", "special_erfc"], "complementary_error_function"),
    "sigmoid": "sigmoid",
    "log_sigmoid_forward": "log_sigmoid",
    "hardsigmoid": "hard_sigmoid",
    "relu": "relu",
    "_prelu_kernel": "parametric_relu",
    "threshold": "threshold",
    "silu": "silu",
    "hardswish": "hard_silu",
    "mish": "mish",
    "floor": "floor",
    "ceil": "ceiling",
    "round": "round",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_not": "logical_not",
    "where": "select",
}
# The same, if the operands are booleans.
_OF_BOOLEANS = {"bitwise_and": "logical_and", "bitwise_or": "logical_or", "bitwise_not": "logical_not"}
_TELLERS = {**ATTRIBUTES, **WINDOWS, **ARITHMETIC, **STATISTICS, **PRODUCTS}
_LOOPS = frozenset("mkldnn_rnn_layer _cudnn_rnn miopen_rnn lstm gru rnn_tanh rnn_relu".split())


def tell(step: Telling, used: set[int]) -> None:
    """Tell a step.

    Args:
        step: the step.
        used: the numbers of the slots that are used later.
    """
    name = step.name
    if name in _TELLERS:
        _TELLERS[name](step)
    elif name in KINDS:
        step.end(KINDS[name], step.positional)
    elif name in _OF_BOOLEANS and step.x.dtype == "bool":
        step.end(_OF_BOOLEANS[name], step.positional)
    elif torch.Tag.nondeterministic_seeded in step.tags:
        step.ends("random", [] if step.is_written or name.endswith("_like") else step.operands)
    elif name in _LOOPS:
        step.ends("loop", step.operands)
    elif not step.operands:
        step.ends("constant", [])
    for place, slot in enumerate(step.outputs):
        if slot.number not in step.made and (place == 0 or slot.number in used):
            step.end(step.target, step.operands, place)
