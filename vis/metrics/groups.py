"""Groups of positions of an input, such as superpixels or patches, that change together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError
from vis.metrics.samples import Samples, laid

Groups: TypeAlias = int | npt.ArrayLike | Callable[[npt.NDArray[Any]], npt.ArrayLike]


def group_ids(groups: Groups | None, samples: Samples) -> npt.NDArray[Any]:
    """Return the number of the group of each position, from 0 for each sample; it broadcasts to the inputs.

    Args:
        groups: see `vis.metrics.deletion`; None for a group for each value of a map.
        samples: a batch.
    """
    array, channels = samples.array, samples.channels
    if groups is None:
        each = np.arange(samples.maps[0].size).reshape(samples.maps.shape[1:])
        return np.broadcast_to(each, samples.maps.shape)
    if isinstance(groups, int | np.integer):
        side = checks.whole("groups", groups)
        shape = [1 if axis == channels and array.ndim > 3 else size for axis, size in enumerate(array.shape)]
        numbers = np.indices(shape[1:]) // side
        ids = np.ravel_multi_index(tuple(numbers), tuple(-(-size // side) for size in shape[1:]))
        return np.broadcast_to(ids, (len(array), *ids.shape))
    if callable(groups):
        given = np.stack([checks.real(groups(one), "Groups") for one in array])
        forms = [given]
    else:
        given = checks.real(groups, "Groups")
        forms = [given[None], *([given[samples.rows]] if given.shape[:1] == (samples.total,) else [])]
    fitting = [over for form in forms if (over := laid(form, array, channels)) is not None]
    fitting = [over for over in fitting if len(over) in (1, len(array))]
    if not fitting or given.dtype.kind not in "iub":
        raise InputError(
            "Groups must be integers in the shape of one input, with or without its channels, or as many as "
            f"inputs; the side of a patch; or a function of one input. Received: {given.dtype} of shape "
            f"{given.shape} for inputs of shape {array.shape}."
        )
    compact = [np.unique(ids, return_inverse=True)[1].reshape(ids.shape) for ids in fitting[0]]
    return np.broadcast_to(np.stack(compact), (len(array), *compact[0].shape))


def sums_by_group(values: npt.NDArray[Any], ids: npt.NDArray[Any]) -> list[npt.NDArray[np.float64]]:
    """Return the sum of the values of each group, `(groups,)`, for each sample."""
    pairs = zip(*np.broadcast_arrays(values, ids), strict=True)
    found = (np.bincount(numbers.ravel(), weights=part.ravel()) for part, numbers in pairs)
    return [each.astype(np.float64) for each in found]
