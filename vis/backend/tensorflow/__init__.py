"""The TensorFlow backend."""

from vis.backend.contract import leave, mask_of, masked, note_operations
from vis.backend.tensorflow.compiled import compile_call, compile_gradient, widest_float
from vis.backend.tensorflow.descent import compile_descent
from vis.backend.tensorflow.overrides import where_positive
from vis.backend.tensorflow.reading import is_noting, noted, traced
from vis.backend.tensorflow.replay import linearized
from vis.backend.tensorflow.skipping import skipping

compiles_sizes = False

__all__ = [
    "compile_call",
    "compile_descent",
    "compile_gradient",
    "compiles_sizes",
    "is_noting",
    "leave",
    "linearized",
    "mask_of",
    "masked",
    "note_operations",
    "noted",
    "skipping",
    "traced",
    "where_positive",
    "widest_float",
]
