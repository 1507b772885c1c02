"""The text file beside a group of explanations, whose lines are the names of its rows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vis.errors import InputError


def beside(group: str | os.PathLike[str]) -> Path:
    """Return the path of the file that belongs to a group."""
    path = Path(group)
    return path.with_name(f"{path.name}.txt")


def encoded(names: Sequence[str]) -> bytes:
    """Return what the file holds: a line for each name, UTF-8, and file names that are no text byte by byte.

    Raises:
        InputError: if a name has a line break.
    """
    broken = [name for name in names if "\n" in name]
    if broken:
        raise InputError(
            f"The name {broken[0]!r} has a line break, and the list beside the maps has a line for each "
            "name. Rename the file."
        )
    return "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape")


def decoded(content: bytes) -> list[str]:
    """Return the names that a file holds."""
    lines = content.decode("utf-8", "surrogateescape").replace(os.linesep, "\n").split("\n")
    return lines[:-1] if not lines[-1] else lines
