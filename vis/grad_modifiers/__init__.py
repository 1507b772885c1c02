"""Gradient modifiers: functions that change a gradient after backpropagation.

| name | formula |
|---|---|
| `absolute` | abs(g) |
| `negate` | -g |
| `relu` | max(g, 0) |
| `invert` | 1 / (g + sign(g) e) |
| `small_values` | 1 / (abs(g) + e) |
"""

from vis.grad_modifiers.absolute import absolute
from vis.grad_modifiers.base import GradModifier, applied, get, names, register
from vis.grad_modifiers.invert import invert
from vis.grad_modifiers.negate import negate
from vis.grad_modifiers.relu import relu
from vis.grad_modifiers.small_values import small_values

__all__ = [
    "GradModifier",
    "absolute",
    "applied",
    "get",
    "invert",
    "names",
    "negate",
    "register",
    "relu",
    "small_values",
]
