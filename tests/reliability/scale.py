"""How many cases the long tests try: a part of them at each run, all of them at night."""

from __future__ import annotations

import os

import keras

NIGHTLY = bool(os.environ.get("NIGHTLY"))


def count(usual: int, nightly: int) -> int:
    """Return the number of cases for this run; `make test-nightly` sets the environment variable NIGHTLY."""
    return nightly if NIGHTLY else usual


def compiled(usual: int, nightly: int) -> int:
    """Return the number of cases that are compiled one by one: half as many on JAX, which takes longest."""
    return count(usual // 2 if keras.config.backend() == "jax" else usual, nightly)
