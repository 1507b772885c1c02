"""The inputs of a model: how each is shown, which is read from its type and axes, and written by a person."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from vis import inputs, models
from vis.errors import InputError, LayerError, did_you_mean

Kind = Literal["picture", "volume", "series", "words", "features"]
Array = npt.NDArray[Any]
# Two axes without one for channels are a picture if both are at least this long.
_SIDE = 14
# Of a series, as each has a panel of its own.
MOST_CHANNELS = 8
# Longer inputs are not written out as text.
_MOST_TYPED = 512


@dataclass(frozen=True)
class Slot:
    """An input of a model.

    Args:
        name: its name, or its key in a dict of inputs.
        kind: how it is shown.
        shape: without the batch axis.
        dtype: of its values.
        layer: for values that have no gradient: the path of the layer whose output has one.
        over: whether that output has a value, or several, for each value of the input.
        names: of the words by their number, or of the features.
        splits: the layer that splits a text into words.
    """

    name: str
    kind: Kind
    shape: tuple[int | None, ...]
    dtype: str
    layer: str | None = None
    over: bool = False
    names: Mapping[int, str] | None = None
    splits: Any = None

    @property
    def is_wide(self) -> bool:
        """Whether it is a series with more channels than are drawn."""
        series = self.kind == "series" and self.layer is None
        return series and len(self.shape) == 2 and (self.shape[1] or 0) > MOST_CHANNELS

    @property
    def typed(self) -> bool:
        """Whether a person can write its values."""
        size = (self.shape or (1,))[0]
        return self.kind in ("words", "features") and (size is None or size <= _MOST_TYPED)

    def told(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": " x ".join("?" if size is None else str(size) for size in self.shape) or "one number",
            "typed": self.typed,
            "layer": self.layer,
        }

    def words(self, value: Array) -> tuple[list[str], list[int]]:
        """Return the words of a sample, `(T,)`, and their positions; those that are padding are left out.

        The words of a text are those that it was split into: as they are written if there are as many, and
        otherwise as the vocabulary of the layer has them.
        """
        names, written = self.names, None
        if value.dtype.kind not in "fiub":
            written = self.text(value).split()
            if self.splits is None:
                return written, [*range(len(written))]
            names = dict(enumerate(self.splits.get_vocabulary()))
            value = np.asarray(keras.ops.convert_to_numpy(self.splits(value[None])))[0]
        found = [
            str(int(each)) if names is None else names.get(int(each), f"#{int(each)}")
            for each in value.ravel()
        ]
        kept = [position for position, word in enumerate(found) if word.strip()]
        if written is not None and len(written) == len(kept):
            return written, kept
        return [found[position] for position in kept], kept

    def text(self, value: Array) -> str:
        """Return the values of a sample, without its batch axis, as a person writes them."""
        if value.dtype.kind not in "fiub":
            return " ".join(map(_text, value.ravel().tolist()))
        if self.kind == "words":
            return " ".join(self.words(value)[0])
        return ", ".join(map(_exact, value.ravel()))

    def preview(self, value: Array) -> str:
        """Return a short text that tells samples apart."""
        if self.kind in ("words", "features"):
            text = self.text(value)
            if self.kind == "features":
                text = ", ".join(f"{float(each):.6g}" for each in value.ravel())
            return text if len(text) <= 60 else f"{text[:59]}…"
        return f"{value.min():.3g} to {value.max():.3g}"

    def parsed(self, text: str) -> Array:
        """Return the values that a person has written, without the batch axis.

        Raises:
            InputError: if they are not numbers, words are unknown, or their count is not the input's.
        """
        if self.dtype == "string":
            return np.array([text], object).reshape([1] * len(self.shape))
        parts = text.split() if self.kind == "words" else text.replace(",", " ").split()
        if self.kind == "words" and self.names is not None:
            numbers = {word: number for number, word in reversed([*self.names.items()])}
            # As those are written that the vocabulary does not have.
            numbers |= {word: int(word[1:]) for word in parts if re.fullmatch(r"#\d{1,9}", word)} | numbers
            for word in parts:
                if word not in numbers and word.lower() not in numbers:
                    raise InputError(
                        f"The vocabulary has no word {word[:50]!r}.{did_you_mean(word[:50], numbers)} "
                        f"Received: {len(parts)} words. Write words of the vocabulary with spaces between."
                    )
            values: list[float] = [numbers.get(word, numbers.get(word.lower(), 0)) for word in parts]
        else:
            try:
                values = [float(part) for part in parts]
            except ValueError as error:
                raise InputError(
                    f"{self.name} takes numbers with spaces or commas between. Received: {text[:100]!r}."
                ) from error
        count = int(np.prod([size or len(values) for size in self.shape], dtype=int))
        if self.kind == "words" and len(values) < count:
            values += [0] * (count - len(values))
        if len(values) != count or not np.isfinite(values).all():
            raise InputError(
                f"{self.name} takes {count} values. Received: {len(values)}"
                f"{'' if np.isfinite(values).all() else ', with some that are not finite'}."
            )
        return np.array(values).reshape([size or len(values) for size in self.shape])


def slots_of(
    model: keras.Model, words: Mapping[int, str] | None = None, features: Sequence[str] | None = None
) -> list[Slot]:
    """Return the inputs of a model.

    Args:
        model: a model with symbolic inputs.
        words: of the inputs that are words, by their number.
        features: the names of the features, for the inputs that have as many.

    Raises:
        InputError: for an input that cannot be drawn, and for features that no input has.
    """
    found: list[Slot] = []
    if features is not None:
        features = _checked_features(features)
    known = inputs.names(models.input_structure(model))
    splitting = [each for _, each in models.walk(model) if isinstance(each, keras.layers.TextVectorization)]
    for number, symbol in enumerate(models.input_tensors(model)):
        shape, dtype = tuple(symbol.shape[1:]), symbol.dtype
        layer = _first_float_call(model, number)
        over, more = _lies_over(model, layer, shape, dtype)
        names: Mapping[int, str] | None = None
        if len(shape) <= 1:
            numbers = dtype != "string" and not more and (layer is None or words is None)
            kind: Kind = "features" if numbers else "words"
            names = words if not numbers else None
            if numbers and features is not None and shape and shape[0] == len(features):
                names = dict(enumerate(features))
        elif len(shape) == 2:
            sides, series = [_SIDE if size is None else size for size in shape], models.is_series(symbol)
            if series is None:
                series = min(sides) < _SIDE or shape[1] is None
            kind = "series" if series or more else "picture"
        elif len(shape) in (3, 4):
            kind = "picture" if len(shape) == 3 else "volume"
        else:
            raise InputError(
                f"The input {symbol.name!r} has {len(shape)} axes. Received: shape {shape}. Inputs of one to "
                "four axes are drawn; explain others by vis.attributions."
            )
        splits = splitting[0] if dtype == "string" and over and len(splitting) == 1 else None
        found.append(Slot(known[number], kind, shape, dtype, layer, over, names, splits))
    counts = [slot.shape[0] for slot in found if slot.kind == "features" and slot.shape]
    if features is not None and len(features) not in counts:
        raise InputError(
            f"features must have a name for each feature of a table. Received: {len(features)} names for "
            f"{' and '.join(map(str, counts)) or 'no'} features."
        )
    return found


def _checked_features(features: Any) -> list[str]:
    """Return the names of features.

    Raises:
        InputError: if they are not a sequence of names.
    """
    if isinstance(features, str) or not isinstance(features, Iterable):
        raise InputError(
            f"features must be a sequence of names, one for each feature. Received: {features!r}. "
            'Pass ["age", "height"].'
        )
    return [*map(str, features)]


def _first_float_call(model: keras.Model, number: int) -> str | None:
    """Return what `vis.models.first_float_layer` does, with the call of an input if the layer has several."""
    layer = models.first_float_layer(model, number)
    calls: list[Any] = []
    with contextlib.suppress(LayerError):
        while layer is not None:
            calls.append(models.find_layer(model, f"{layer}:{len(calls)}"))
    symbol = models.input_tensors(model)[number]
    own = [at for at, call in enumerate(calls) if any(each is symbol for each in _made_of(call))]
    return f"{layer}:{own[0]}" if len(calls) > 1 and own else layer


def _made_of(call: Any) -> list[Any]:
    """Return the symbolic tensors that a call of a layer is given."""
    tensor = getattr(call, "tensor", None)
    if tensor is None:
        return []
    operation, node, _ = tensor._keras_history
    return list(operation._inbound_nodes[node].input_tensors)


def _lies_over(
    model: keras.Model, layer: str | None, shape: tuple[int | None, ...], dtype: str
) -> tuple[bool, bool]:
    """Tell whether a layer's output has values for each value of an input, and whether several."""
    try:
        made = None if layer is None else models.output_shape(models.find_layer(model, layer))
    except LayerError:  # it is called several times
        return False, False
    if made is None:
        return False, False
    if dtype == "string":
        return len(made) == 3, True
    over = tuple(made[1 : 1 + len(shape)]) == shape
    return over, over and len(made) > 1 + len(shape)


def _exact(value: Any) -> str:
    """Return a number in as few digits as tell it from all others of its type."""
    if value.dtype.kind in "iub":
        return str(int(value))
    text = ""
    for digits in range(6, 18):
        text = f"{float(value):.{digits}g}"
        if value.dtype.type(text) == value:
            break
    return text


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
