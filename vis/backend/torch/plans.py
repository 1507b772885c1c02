"""What a rule reaches in a computation, planned once for each way that the computation can go."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from vis.backend.torch.nodes import Nodes
from vis.backend.torch.overrides import Keeping, Plan, override
from vis.errors import ModifierError

T = TypeVar("T")
Behind = Callable[[Any], tuple[Nodes, tuple[str, ...]]]


class Plans(Generic[T]):
    """The plans for a forward pass, by the nodes of autograd that it leaves behind.

    Args:
        behind: returns the nodes behind what the forward pass returns.

    Attributes:
        keeps: whether the inputs and outputs of activations are kept for the rule.
    """

    def __init__(self, behind: Behind) -> None:
        self.keeps = False
        self._behind = behind
        self._known: dict[tuple[str, ...], Plan] = {}

    def add(self, names: tuple[str, ...], plan: Plan) -> None:
        """Take over the plan for a computation with these nodes."""
        self._known[names] = plan

    def run(self, forward: Callable[[], T], rule: Callable[..., Any], examine: Callable[[], None]) -> T:
        """Run a forward pass whose derivative follows a rule.

        Args:
            forward: runs it.
            rule: the rule.
            examine: adds the plan for the computation that it makes.

        Raises:
            ModifierError: if it makes another one each time.
        """
        guess = next(reversed(self._known.values()))
        for _ in range(4):
            keeping = Keeping(guess) if self.keeps else None
            with keeping or contextlib.nullcontext():
                made = forward()
            nodes, names = self._behind(made)
            if not nodes:  # nothing is differentiated by
                return made
            known = self._known.get(names)
            fits = keeping is None or (known is guess and keeping.matches)
            if known is not None and fits:
                override(known, nodes, rule, None if keeping is None else keeping.found)
                return made
            if known is None or known is guess:
                examine()
                known = self._known.get(names)
                # Some operations run in another way while they are watched.
                self.keeps = self.keeps or known is None
            guess = known or next(reversed(self._known.values()))
        raise ModifierError(
            "The model computes something else each time it runs, so a backprop modifier cannot be applied. "
            "Take backprop_modifier=None."
        )
