"""Input modifiers: changes of the input before, in and after each step of the optimizer.

| class | before a step (`pre`) | in it (`transformation`) | after it (`post`) |
|---|---|---|---|
| `InputModifier` | nothing | nothing | nothing |
| `Jitter` | moves the image by random numbers of pixels, rolled around | nothing | nothing |
| `Rotate` | nothing | turns the image by a random angle | nothing |
| `Scale` | nothing | scales the image by a random factor | nothing |
"""

from vis.input_modifiers.affine import Rotate, Scale
from vis.input_modifiers.base import InputModifier
from vis.input_modifiers.jitter import Jitter

__all__ = ["InputModifier", "Jitter", "Rotate", "Scale"]
