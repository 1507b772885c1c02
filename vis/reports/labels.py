"""The names of classes, read from a file or given directly."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vis.errors import InputError

Labels = Mapping[int, str] | Sequence[str] | str | os.PathLike[str]

_FORMS = (
    "Labels are a file or a sequence with one name for each class, from class 0 on, or a mapping from class "
    "to name; as JSON also that of keras.applications, imagenet_class_index.json."
)


def read_labels(labels: Labels) -> dict[int, str]:
    """Return the names of classes by their number.

    Args:
        labels: a text file with one name per line, from class 0 on; a JSON file with a list of names, an
            object of names by class (`{"0": "tench"}`), the one of keras.applications
            (`{"0": ["n01440764", "tench"]}`), or one of classes by name (`{"tench": 0}`, the `class_indices`
            of a Keras data set); or the content of such a file, as a sequence or a mapping.

    Raises:
        InputError: if the file cannot be read, or contains something else.
    """
    held: Any = _in_file(Path(labels)) if isinstance(labels, str | os.PathLike) else labels
    try:
        pairs = held.items() if isinstance(held, Mapping) else enumerate(held)
        found = dict(_pair(key, value) for key, value in pairs)
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(f"{_FORMS} Received: {type(held).__name__}, {error}.") from None
    if not found:
        raise InputError(f"{_FORMS} Received: none.")
    return found


def check_labels(labels: Mapping[int, str], classes: Sequence[int]) -> None:
    """Raise `InputError` unless each of some classes has a name.

    Args:
        labels: names by class.
        classes: those that occur, sorted.
    """
    missing = [number for number in classes if number not in labels]
    if missing:
        raise InputError(
            "Each class that occurs has a name. Received: names for the classes "
            f"{min(labels)} to {max(labels)} ({len(labels)} in all), and none for class {missing[0]}; the "
            f"largest class that occurs is {classes[-1]}. Pass the names of this model's classes."
        )


def _in_file(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise InputError(f"The labels in {str(path)!r} cannot be read: {reason}.") from error
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise InputError(f"The labels in {str(path)!r} are no JSON: {error}.") from error
    return text.rstrip().split("\n") if text.strip() else []


def _pair(key: Any, value: Any) -> tuple[int, str]:
    """Return a class and its name, whichever of both the key is."""
    if isinstance(value, list | tuple):  # an identifier of WordNet, and the name
        value = value[-1]
    if isinstance(value, int) and not isinstance(value, bool):
        key, value = value, key
    if not isinstance(value, str):
        raise ValueError(f"with {value!r} in place of a name")
    number = int(key)
    if number < 0:
        raise ValueError(f"with the class {number}")
    return number, value.strip()
