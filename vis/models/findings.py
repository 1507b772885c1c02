"""Facts about a model, cached as long as its settings do not change."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from vis.models.find import held_operations
from vis.models.settings import Settings, Written
from vis.weak import WeakTable

T = TypeVar("T")


class Findings(Generic[T]):
    """Values about models, each computed again when a setting of its model has changed.

    A value must not hold its model, which would never be freed.

    Args:
        decides: tells whether the values depend on the settings of an operation.
    """

    def __init__(self, decides: Callable[[Any], bool] = lambda _: True) -> None:
        self._decides = decides
        self._table: WeakTable[tuple[T, Settings]] = WeakTable()

    def get(
        self, model: Any, make: Callable[[Written], T], about: Sequence[Any] = (), key: Hashable = None
    ) -> T:
        """Return the value for a model, computed if there is no valid one.

        Args:
            model: the model. make: computes the value, given a set that receives what the model writes
            meanwhile, see `Probe.written`. about: other objects that the value refers to. key: what else
            distinguishes it.
        """
        known = self._table.get([model, *about], key)
        if known is None or not known[1].hold():
            written: Written = set()
            settings = Settings(filter(self._decides, [model, *held_operations(model).values()]))
            known = self._table.put([model, *about], (make(written), settings), key)
            settings.settle(written)
        return known[0]
