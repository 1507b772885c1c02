"""The JAX backend."""

from vis.backend.contract import note_operations
from vis.backend.jax.compiled import compile_call, compile_gradient, widest_float
from vis.backend.jax.descent import compile_descent
from vis.backend.jax.leaving import leave
from vis.backend.jax.masks import mask_of, masked
from vis.backend.jax.noted import is_noting, noted
from vis.backend.jax.overrides import where_positive
from vis.backend.jax.replay import linearized
from vis.backend.jax.skipping import skipping
from vis.backend.jax.words import traced

compiles_sizes = True

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
