"""keras-vis's small helpers: lists, defaults, random arrays, and indices for both data formats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Reversible, Sized
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from vis.errors import InputError

__all__ = ["add_defaults_to_kwargs", "listify", "random_array", "reverse_enumerate", "slicer"]

T = TypeVar("T")


def listify(value: Any) -> list[Any]:
    """Return `value` as a new list.

    A list, tuple, range or array gives a list of its items, None an empty list, and anything else (a string,
    a dict, a number, an array without axes) a list of one item.
    """
    if value is None:
        return []
    if isinstance(value, list | tuple | range) or (isinstance(value, np.ndarray) and value.ndim):
        return list(value)
    return [value.item() if isinstance(value, np.ndarray) else value]


def reverse_enumerate(iterable: Iterable[T]) -> Iterator[tuple[int, T]]:
    """Yield `(index, item)` from the last item to the first: `"ab"` gives (1, "b"), (0, "a").

    A sequence is not copied; anything else, such as a generator, is read first.
    """
    if isinstance(iterable, Sized) and isinstance(iterable, Reversible):
        return zip(reversed(range(len(iterable))), reversed(iterable), strict=True)
    return reverse_enumerate(list(iterable))


def add_defaults_to_kwargs(defaults: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Return a new dict of `kwargs`, with the `defaults` for missing names."""
    return {**defaults, **kwargs}


def random_array(
    shape: int | tuple[int, ...],
    mean: float = 128.0,
    std: float = 20.0,
    seed: int | np.random.Generator | None = None,
) -> npt.NDArray[np.float64]:
    """Return uniform noise with a given mean and standard deviation.

    `x = mean + std (u - mean(u)) / std(u)` with `u` uniform: the array itself, not just its distribution, has
    this mean and standard deviation, and its values lie between about `mean - 1.8 std` and `mean + 1.8 std`.
    An array of one value is the mean.

    Args:
        shape: the shape; no size may be None.
        mean: the mean, in the units of the input.
        std: the standard deviation, at least 0.
        seed: a seed or a NumPy generator, for the same array each time; None for a new one.

    Raises:
        InputError: if the shape is not a tuple of sizes, or `std` is negative.
    """
    if not isinstance(std, int | float | np.number) or not std >= 0:
        raise InputError(f"std must be a standard deviation >= 0. Received: std={std!r}.")
    try:
        noise = np.random.default_rng(seed).random(shape)
    except (TypeError, ValueError):
        raise InputError(
            f"shape must be a tuple of sizes. Received: {shape!r}. Replace None by a number."
        ) from None
    if noise.size < 2:
        return np.full_like(noise, mean)
    return np.asarray(mean + std * (noise - noise.mean()) / noise.std())


class _Slicer:
    """Indices written as (samples, channels, image axes...), for both data formats.

    `array[slicer[:, 3, 1:, :-1]]` is channel 3 of an array whose axes have the order of
    `keras.config.image_data_format()`: the index is `(:, 3, 1:, :-1)` for channels_first and
    `(:, 1:, :-1, ..., 3)` for channels_last. Axes that the index leaves out are kept whole.

    Raises:
        InputError: if an Ellipsis stands for the channels.
    """

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        items = index if isinstance(index, tuple) else (index,)
        dots = [position for position, item in enumerate(items) if item is Ellipsis]
        if dots and dots[0] < 2 and len(items) > dots[0] + 1:
            raise InputError(
                "slicer needs the samples first and the channels second. Received: an Ellipsis at position "
                f"{dots[0] + 1} of {len(items)}. Write slicer[:, channel, ...]."
            )
        if len(items) < 2 or dots == [1] or keras.config.image_data_format() == "channels_first":
            return items
        samples, channels, *image = items
        # The channels are the last axis, however many image axes are indexed before them.
        return (samples, *image, *(() if dots else (Ellipsis,)), channels)


slicer = _Slicer()
