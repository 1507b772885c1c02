"""A compiled gradient with its forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vis import backend


class Compiled:
    """A compiled gradient that holds its forward pass, as its callers do."""

    def __init__(self, forward: backend.Forward, specs: Sequence[backend.Spec], rule: Any = None) -> None:
        self.gradient = backend.compile_gradient(forward, specs, rule)
        self.forward = forward
        self.coverage: Any = self.gradient.coverage

    def __call__(self, arrays: Sequence[Any]) -> backend.Evaluation:
        return self.gradient(arrays, self.forward)
