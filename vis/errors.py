"""Every exception and warning of the library, in one tree.

    VisError (ValueError)
    ├── ModelError           the model cannot be explained, or has no symbolic graph to read
    ├── LayerError           the layer does not exist, or its output is ambiguous
    ├── FilterError          a filter index is out of range
    ├── InputError           an input has the wrong structure, shape, type or values
    ├── ModifierError        a modifier is unknown, its name is taken, it fails, or it finds nothing to modify
    └── GradientError        the loss does not depend on the input, or a value is not finite
    VisWarning (UserWarning)
    ├── SoftmaxWarning       the loss sees the output of a softmax
    ├── RandomWarning        a model draws random numbers
    ├── SharedInputWarning   a symbolic input belongs to a model and to a modified copy
    ├── PartialOverrideWarning   a backprop modifier reaches only some of the activations
    ├── ChannelAxisWarning   the computation does not show which axis of an output holds the classes
    ├── EmptyMapWarning      a map shows nothing
    ├── SignWarning          the sign of relevance is dropped
    ├── StretchedMapWarning  a class activation map is stretched, because its layer's
    │                        positions cannot be traced to the input
    └── SkippedWarning       a sample cannot be read

Each message says what was wrong, what was received and what to do.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable

__all__ = [
    "ChannelAxisWarning",
    "EmptyMapWarning",
    "FilterError",
    "GradientError",
    "InputError",
    "LayerError",
    "ModelError",
    "ModifierError",
    "PartialOverrideWarning",
    "RandomWarning",
    "SharedInputWarning",
    "SignWarning",
    "SkippedWarning",
    "SoftmaxWarning",
    "StretchedMapWarning",
    "VisError",
    "VisWarning",
]


class VisError(ValueError):
    """Base class of all errors that this library raises on purpose."""


class ModelError(VisError):
    """The model cannot be explained as it is."""


class LayerError(VisError):
    """The layer does not exist, or has more than one output."""


class FilterError(VisError, IndexError):
    """A filter index is out of range for its layer."""


class InputError(VisError):
    """The input has the wrong structure, shape, type or values."""


class ModifierError(VisError):
    """A modifier is unknown, its name is taken, it fails, or it finds nothing to modify."""


class GradientError(VisError):
    """The gradient does not exist or is not finite."""


class VisWarning(UserWarning):
    """Base class of all warnings of this library."""


class SoftmaxWarning(VisWarning):
    """The loss sees the output of a softmax, which mixes the classes and saturates."""


class RandomWarning(VisWarning):
    """The explained value depends on random numbers that the model draws."""


class SharedInputWarning(VisWarning):
    """A symbolic input belongs to a model and to a modified copy of it."""


class PartialOverrideWarning(VisWarning):
    """A backprop modifier could not reach every activation of the model."""


class ChannelAxisWarning(VisWarning):
    """The computation does not show which axis of an output holds its filters or classes."""


class EmptyMapWarning(VisWarning):
    """A map is zero everywhere.

    The score does not depend on the input there (a filter whose ReLU is dead, a saturated softmax), or the
    positive part that the method keeps is empty: Grad-CAM on a layer before `Flatten` and `Dense` is a common
    case, for which `HiResCAM` is made.
    """


class SignWarning(VisWarning):
    """The sign of relevance is dropped."""


class StretchedMapWarning(VisWarning):
    """The positions of a layer could not be traced to the input, so its map is stretched over the input."""


class SkippedWarning(VisWarning):
    """A sample could not be read and was skipped."""


def warn(message: str, category: type[VisWarning]) -> None:
    """Warn at the line that called the library, however deep inside the library the reason was found."""
    level = 2
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] == __name__.split(".")[0]:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a sentence that suggests the known words most like `word`, or an empty string."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
