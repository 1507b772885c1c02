"""Shared by the readers of files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def first_line(error: Exception) -> str:
    """Return the first line of a library's error, or the cause of one that shows a configuration."""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, Exception) and "config={" in str(error):
        return first_line(cause)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].split(". ")[0] if lines else type(error).__name__


def dicts_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the dicts in what JSON holds, at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item
