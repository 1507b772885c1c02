"""What the rest of the library needs from a tensor framework; no type of the framework leaves this package.

A backend is a package with these names:

    compile_gradient(forward, specs, rule)   the compiled gradient of a scalar, and what the rule reached
    compile_descent(forward, specs, ...)     compiled steps of gradient descent on the first input
    compile_call(forward, rule)              a compiled forward pass whose derivative follows the rule
    traced(forward, specs)                   what a forward pass computes, in the terms of `vis.graph`
    linearized(function, tensors)            what a function makes of tensors, and its gradients, in a flow
    skipping(forward, find)                  a forward pass without some of its steps
    noted(path, is_layer)                    a context in which a layer runs, so that `traced` records it
    is_noting(asked)                         whether layer calls are recorded now, if they are asked for
    note_operations(operations)              tells a recording what a model is made of
    where_positive(condition, value)         value where the condition is positive, otherwise 0; for rules
    widest_float()                           the data type in which sums are taken, such as "float64"
    compiles_sizes                           whether each batch size that is met is compiled for
    Spec, Traced, Evaluation, Rule, ...      see `vis/backend/contract.py`

`forward` is written in `keras` and `keras.ops` only. The backend follows `keras.config.backend()`.
"""

from vis.backend.chosen import (
    compile_call,
    compile_descent,
    compile_gradient,
    compiles_sizes,
    is_noting,
    leave,
    linearized,
    mask_of,
    masked,
    note_operations,
    noted,
    pulled,
    skipping,
    traced,
    where_positive,
    widest_float,
)
from vis.backend.contract import (
    CompiledCall,
    CompiledDescent,
    CompiledGradient,
    Coverage,
    DescentState,
    Evaluation,
    Find,
    Flow,
    FlowPlan,
    Forward,
    Replay,
    Rule,
    Spec,
    Steps,
    Traced,
    Way,
    hooks_of,
)

__all__ = [
    "CompiledCall",
    "CompiledDescent",
    "CompiledGradient",
    "Coverage",
    "DescentState",
    "Evaluation",
    "Find",
    "Flow",
    "FlowPlan",
    "Forward",
    "Replay",
    "Rule",
    "Spec",
    "Steps",
    "Traced",
    "Way",
    "compile_call",
    "compile_descent",
    "compile_gradient",
    "compiles_sizes",
    "hooks_of",
    "is_noting",
    "leave",
    "linearized",
    "mask_of",
    "masked",
    "note_operations",
    "noted",
    "pulled",
    "skipping",
    "traced",
    "where_positive",
    "widest_float",
]
