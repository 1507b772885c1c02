"""What is found out about a model, kept as long as the model is as it was."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from vis.models.find import held_operations
from vis.models.settings import Settings
from vis.weak import WeakTable

T = TypeVar("T")


class Findings(Generic[T]):
    """Values about models, each made anew when a setting of its model has changed.

    A value must not hold its model, or that never goes.
    """

    def __init__(self) -> None:
        self._table: WeakTable[tuple[T, Settings]] = WeakTable()

    def get(
        self,
        model: Any,
        make: Callable[[set[tuple[int, str]]], T],
        about: Sequence[Any] = (),
        key: Hashable = None,
    ) -> T:
        """Return the value for a model, made if there is none that holds.

        Args:
            model: the model.
            make: makes the value, given what takes what the model writes meanwhile, see `Probe.written`.
            about: other objects that the value is about.
            key: what else distinguishes it.
        """
        known = self._table.get([model, *about], key)
        if known is None or not known[1].hold():
            written: set[tuple[int, str]] = set()
            settings = Settings([model, *held_operations(model).values()])
            known = self._table.put([model, *about], (make(written), settings), key)
            settings.settle(written)
        return known[0]
