"""Texts and their maps, read: words as they were given, as they are drawn, and with the value of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks, maps
from vis.errors import InputError
from vis.plotting.colors import finite

# Marks of subwords: what continues a word in WordPiece, and what begins one in SentencePiece and BPE.
_CONTINUES, _BEGINS = "##", ("▁", "Ġ")
# Control characters as the signs for them.
VISIBLE = str.maketrans(
    {chr(code): chr(0x2400 + code) for code in range(32)} | {"\x7f": "␡", "\n": "↵", "\t": "⇥"}
)


@dataclass(frozen=True)
class Token:
    """A word or a part of one, as it is drawn."""

    word: str  # as given
    text: str
    value: float
    apart: bool  # whether there is a space before it


def texts_of(words: Any, values: Any, reducer: str) -> Iterator[tuple[list[str], npt.NDArray[np.float64]]]:
    """Yield the words of each text with their values, `(T,)`."""
    if isinstance(words, str):
        raise InputError(
            f"words must be a list of words. Received: {words[:40]!r}. Pass text.split(), or its tokens."
        )
    given = list(words)
    if not given:
        raise InputError("A text must have at least one word. Received: no words.")
    if not all(isinstance(word, list | tuple | np.ndarray) for word in given):
        array = checks.real(values, "A map")
        while array.ndim > 1 and array.shape[0] == 1 and (array.ndim > 2 or len(given) != 1):
            array = array[0]
        yield _checked(given, array, np.shape(values), reducer)
        return
    rows = values if isinstance(values, list | tuple) else np.atleast_1d(checks.real(values, "A map"))
    if len(given) != len(rows):
        raise InputError(f"Pass one map for each text. Received: {len(given)} texts and {len(rows)} maps.")
    for text, found in zip(given, rows, strict=True):
        yield from texts_of(list(text), found, reducer)


def _checked(
    words: list[Any], array: npt.NDArray[Any], shape: tuple[int, ...], reducer: str
) -> tuple[list[str], npt.NDArray[np.float64]]:
    wrong = [word for word in words if not isinstance(word, str)]
    if wrong:
        raise InputError(
            f"Words must be strings. Received: {wrong[0]!r} of type {type(wrong[0]).__name__}. "
            "Pass what the tokens stand for: [vocabulary[token] for token in tokens]."
        )
    if array.ndim not in (1, 2) or len(array) != len(words):
        raise InputError(
            "Pass one value, or one row of channels, for each word. "
            f"Received: {len(words)} words and values of shape {shape}. Leave the padding out of both."
        )
    # Halves of surrogate pairs that stand alone cannot be written in any encoding.
    known = [word.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for word in words]
    return known, maps.reduce_channels(finite(array, array.ndim), reducer=reducer)


def tokens_of(words: list[str], values: npt.NDArray[np.float64], join: bool) -> list[Token]:
    starts = next((mark for mark in _BEGINS if any(word.startswith(mark) for word in words)), None)
    tokens = []
    for word, value in zip(words, values.tolist(), strict=True):
        text, apart = word, True
        if join and starts is not None:
            apart = word.startswith(starts)
            text = word.removeprefix(starts) or word
        elif join and word.startswith(_CONTINUES) and word != _CONTINUES:
            text, apart = word.removeprefix(_CONTINUES), False
        text = text.translate(VISIBLE) or "∅"
        tokens.append(Token(word, text.replace(" ", "␣") if text.isspace() else text, value, apart))
    return tokens
