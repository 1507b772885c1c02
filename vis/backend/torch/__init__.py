"""The PyTorch backend."""

from vis.backend.contract import leave, mask_of, masked
from vis.backend.torch.compiled import compile_call, compile_gradient, widest_float
from vis.backend.torch.descent import compile_descent
from vis.backend.torch.overrides import where_positive
from vis.backend.torch.recording import is_noting, note_operations, noted
from vis.backend.torch.replay import linearized
from vis.backend.torch.skipping import skipping
from vis.backend.torch.tracing import traced

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
