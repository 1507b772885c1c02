"""Every exception and warning of the library, in one tree.

    VisError (ValueError)
    ├── ModelError           not a model that can be explained, or no symbolic graph to read
    ├── LayerError           no such layer, or one whose output is ambiguous
    ├── FilterError          a filter index outside the layer's filters
    ├── InputError           an input of the wrong structure, shape, type or value
    ├── ModifierError        an unknown name, a clash of names, or nothing that a modifier can modify
    └── GradientError        no path from the loss to what it is differentiated by, or not a finite number
    VisWarning (UserWarning)
    ├── SoftmaxWarning       a softmax stands under the loss
    ├── RandomWarning        a model draws random numbers
    ├── SharedInputWarning   a symbolic input stands for a model and for a modified one
    ├── PartialOverrideWarning   a backprop modifier reaches some activations and not others
    ├── EmptyMapWarning      a map that shows nothing
    ├── StretchedMapWarning  a class activation map whose positions cannot be followed to the input
    └── SkippedWarning       a sample that cannot be read

Messages say what was wrong, what was received and what to do.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable


class VisError(ValueError):
    """Base of all errors that this library raises on purpose."""


class ModelError(VisError):
    """The model cannot be explained as it is."""


class LayerError(VisError):
    """The layer does not exist or does not name one output."""


class FilterError(VisError, IndexError):
    """A filter index lies outside the filters of its layer."""


class InputError(VisError):
    """The input has the wrong structure, shape, type or values."""


class ModifierError(VisError):
    """A modifier is unknown, already registered, or finds nothing to modify."""


class GradientError(VisError):
    """The gradient does not exist or is not finite."""


class VisWarning(UserWarning):
    """Base of all warnings of this library."""


class SoftmaxWarning(VisWarning):
    """A softmax under the loss mixes the classes and saturates."""


class RandomWarning(VisWarning):
    """What is explained depends on random numbers that the model draws."""


class SharedInputWarning(VisWarning):
    """A symbolic input belongs to a model and to a modified one."""


class PartialOverrideWarning(VisWarning):
    """A backprop modifier could not reach every activation of the model."""


class EmptyMapWarning(VisWarning):
    """A map is zero everywhere."""


class StretchedMapWarning(VisWarning):
    """The positions of a layer could not be followed to the input, and its map is stretched over it."""


class SkippedWarning(VisWarning):
    """A sample could not be read, and was left out."""


def warn(message: str, category: type[VisWarning]) -> None:
    """Warn at the line that called the library, however deep inside it the reason was found."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] == __name__.split(".")[0]:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence with the known words nearest to `word`, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
