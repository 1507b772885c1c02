"""The framework that Keras computes with: which one it is, and what to type where it is missing.

Nothing here imports Keras or a framework: a message must not take as long as what it says is missing.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

# The backends of Keras that this library runs on, and what they are called.
NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
# What is imported without Keras, so that the command line answers at once.
_WITHOUT_KERAS = frozenset(
    "checks cli errors frameworks listing maps methods plotting version wording words".split()
)


def configured() -> str:
    """Return the backend that Keras runs on, or will run on when it is imported."""
    return _configured()[0]


def check() -> None:
    """Raise if Keras cannot run on the backend that it is configured for, or this library cannot.

    Raises:
        ImportError: with what is missing, and what to type.
    """
    backend, where = _configured()
    if backend not in NAMES:
        raise unsupported()
    if "keras" not in sys.modules and not _is_installed(backend):
        raise ImportError(
            f"Keras is configured for {NAMES[backend]} ({where}), which cannot be imported: {backend!r} is "
            f'not installed. Install it: pip install "keras-vis3[{backend}]". {_way_out(backend)}'
        )


def unsupported() -> ImportError:
    """Return the error for a backend that this library does not run on."""
    backend, where = _configured()
    *some, last = NAMES.values()
    return ImportError(
        f"vis runs on Keras with {', '.join(some)} or {last}. Received: the backend {backend!r} ({where}). "
        f"{_way_out(backend)}"
    )


def check_when_needed() -> None:
    """Check as soon as a module of this library is imported that imports Keras.

    The message is then that of `check`, and not what Keras raises from within.
    """
    sys.meta_path.insert(0, _Check())


class _Check:
    """A finder that finds nothing: Python asks it before it imports a module."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        library, _, inside = name.partition(".")
        if library == __name__.split(".")[0] and inside and inside.split(".")[0] not in _WITHOUT_KERAS:
            check()
            sys.meta_path.remove(self)


def _configured() -> tuple[str, str]:
    """Return the backend of Keras, and what says so."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return keras.config.backend(), "which is already imported"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], "by KERAS_BACKEND"
    base = Path("~").expanduser()
    folder = base if os.access(base, os.W_OK) else Path("/tmp")
    file = Path(os.environ.get("KERAS_HOME") or folder / ".keras").expanduser() / "keras.json"
    try:
        return str(json.loads(file.read_text())["backend"]), f"by {file}"
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow", "as it is unless KERAS_BACKEND is set"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # someone forbids it
        return False


def _way_out(backend: str) -> str:
    """Return how Keras runs on another backend: one that is installed, or else any."""
    others = [other for other in NAMES if other != backend]
    found = [other for other in others if _is_installed(other)]
    if found:
        names, are = " and ".join(NAMES[other] for other in found), "is" if len(found) == 1 else "are"
        what = f"{' or '.join(f'KERAS_BACKEND={other}' for other in found)} before Keras is imported"
        return f"{'Or set' if backend in NAMES else 'Set'} {what}: {names} {are} installed."
    lines = [f'pip install "keras-vis3[{other}]" with KERAS_BACKEND={other}' for other in others]
    return f"{'Or another' if backend in NAMES else 'Install one'}: {', or '.join(lines)}."
