"""The names of ImageNet's classes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis.errors import InputError
from vis.utils.helpers import listify

_CLASSES = 1000


def lookup_imagenet_labels(indices: int | Sequence[int] | npt.NDArray[np.integer[Any]]) -> list[str]:
    """Return the names of ImageNet classes, such as `"tabby"` for 281.

    They are those of `keras.applications`, whose list (35 KB) is downloaded on first use.

    Args:
        indices: an index from 0 to 999, or several.

    Raises:
        InputError: if an index is not an integer from 0 to 999, or the list cannot be downloaded.
    """
    try:
        chosen = [operator.index(index) for index in listify(indices)]
    except TypeError:
        chosen = [-1]
    if not all(0 <= index < _CLASSES for index in chosen):
        raise InputError(
            f"The classes of ImageNet must be integers from 0 to {_CLASSES - 1}. Received: {indices!r}."
        )
    try:
        decoded = keras.applications.imagenet_utils.decode_predictions(np.eye(_CLASSES)[chosen], top=1)
    except Exception as error:  # whatever a download ends in
        raise InputError(
            f"The names of ImageNet's classes could not be downloaded: {error}. Connect to the internet "
            "once, or put imagenet_class_index.json in the folder 'models' of Keras's home folder."
        ) from error
    return [name for ((_, name, _),) in decoded]
