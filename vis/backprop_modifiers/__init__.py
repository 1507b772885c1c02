"""Which derivative an activation has during backprop.

| name | the gradient that an activation passes on |
|---|---|
| `guided` | its true gradient of the positive part of what comes in |
| `rectified`, `relu`, `deconv` | the positive part of what comes in |
"""

from vis.backprop_modifiers.base import BackpropModifier, get, names, register
from vis.backprop_modifiers.guided import guided
from vis.backprop_modifiers.rectified import rectified

relu = deconv = rectified

__all__ = [
    "BackpropModifier",
    "deconv",
    "get",
    "guided",
    "names",
    "rectified",
    "register",
    "relu",
]
