"""Arrays row by row."""

from __future__ import annotations

from typing import Any

import keras


class Rows:
    """The rows of an array, or of each array in a structure of them."""

    def __init__(self, parts: Any) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return len(keras.tree.flatten(self.parts)[0])

    def __getitem__(self, number: int) -> Any:
        return keras.tree.map_structure(lambda part: part[number], self.parts)
