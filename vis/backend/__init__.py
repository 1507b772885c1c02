"""What the rest of the library needs from a tensor framework; no type of the framework leaves this package.

A backend is a package with these names:

    compile_gradient(forward, specs, rule)   the compiled gradient of a scalar, and what the rule reached
    compile_descent(forward, specs, ...)     compiled steps of gradient descent on the first input
    compile_call(forward, rule)              a compiled forward pass whose derivative follows the rule
    traced(forward, specs)                   what a forward pass computes, in the terms of `vis.graph`
    skipping(forward, find)                  a forward pass without some of its steps
    noted(path, is_layer)                    a context in which a layer runs, so that `traced` records it
    where_positive(condition, value)         value where the condition is positive, otherwise 0; for rules
    widest_float()                           the data type in which sums are taken, such as "float64"
    image_log(folder)                        a log of pictures for TensorBoard
    Spec, Traced, Evaluation, Rule, ...      see `vis/backend/contract.py`

`forward` is written in `keras` and `keras.ops` only. The backend follows `keras.config.backend()`.
"""

from __future__ import annotations

import keras

from vis.backend.contract import (
    CompiledCall,
    CompiledDescent,
    CompiledGradient,
    Coverage,
    DescentState,
    Evaluation,
    Forward,
    ImageLog,
    Rule,
    Spec,
    Traced,
)

if keras.config.backend() == "tensorflow":
    from vis.backend.tensorflow import (
        compile_call,
        compile_descent,
        compile_gradient,
        image_log,
        noted,
        skipping,
        traced,
        where_positive,
        widest_float,
    )
else:
    raise ImportError(
        "vis runs on Keras with the TensorFlow backend. "
        f"Received: the {keras.config.backend()!r} backend. "
        'Set the environment variable KERAS_BACKEND="tensorflow" before keras is imported.'
    )

__all__ = [
    "CompiledCall",
    "CompiledDescent",
    "CompiledGradient",
    "Coverage",
    "DescentState",
    "Evaluation",
    "Forward",
    "ImageLog",
    "Rule",
    "Spec",
    "Traced",
    "compile_call",
    "compile_descent",
    "compile_gradient",
    "image_log",
    "noted",
    "skipping",
    "traced",
    "where_positive",
    "widest_float",
]
