"""Input modifiers: changes of the input before and after each step of the optimizer.

| class | before a step (`pre`) | after it (`post`) |
|---|---|---|
| `InputModifier` | nothing | nothing |
| `Jitter` | moves the image by random numbers of pixels, rolled around | nothing |
"""

from vis.input_modifiers.base import InputModifier
from vis.input_modifiers.jitter import Jitter

__all__ = ["InputModifier", "Jitter"]
