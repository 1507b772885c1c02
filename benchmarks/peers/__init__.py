"""The same maps by other packages, called as their documentation says; each backend of Keras has its own.

On JAX there is none that explains a Keras model.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import keras

_NAME = f"peers.{keras.config.backend()}"
_chosen: Any = importlib.import_module(_NAME) if importlib.util.find_spec(_NAME) else None
VERSIONS: dict[str, str] = getattr(_chosen, "VERSIONS", {})


def of(method: str, *args: Any) -> dict[str, Callable[..., Any]]:
    """Return the calls of a method by the packages that have it, by the name of the package.

    Args:
        method: a function of `peers.tensorflow`.
        args: what it takes.
    """
    make = getattr(_chosen, method, None)
    return {} if make is None else make(*args)
