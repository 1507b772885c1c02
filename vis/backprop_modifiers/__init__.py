"""Backprop modifiers: rules that change the derivative of activations during backpropagation.

| name | gradient by the input of an activation `y = f(x)`, given the gradient by its output, `grad` |
|---|---|
| `guided` | `f'(x) max(grad, 0)` |
| `rectified`, `relu`, `deconv` | `max(grad, 0)` |

| name | what is passed back |
|---|---|
| those of `vis.relevance.composites`, such as `epsilon_plus` | relevance, by a rule for each operation |

A custom rule is a function `rule(x, y, grad, true_grad)` of tensors, with `true_grad = f'(x) grad`.
"""

from vis.backprop_modifiers.base import BackpropModifier, get, names, register
from vis.backprop_modifiers.guided import guided
from vis.backprop_modifiers.rectified import rectified
from vis.relevance import composites

relu = deconv = rectified
for _name in composites.NAMES:
    register(_name)(composites.get(_name))

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
