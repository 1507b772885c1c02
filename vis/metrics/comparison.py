"""A table that compares methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import InputError
from vis.metrics.causal import Curve
from vis.metrics.tables import Table, median, numbers


def table(results: Mapping[str, Mapping[str, Curve | npt.ArrayLike]]) -> Table:
    """Return a table with a row for each method and a column for each measure.

    A cell is the median over the samples, NaN left out, or how many of the samples are true.

    Args:
        results: by the name of the method, then by that of the measure: `(N,)` numbers or booleans, or a
            `Curve`, whose area counts. `{"vanilla": {"energy": energy_in_mask(maps, masks), "deletion":
            deletion(...)}, ...}`.

    Raises:
        InputError: if there are no results, the methods do not have the same measures, or a result does not
            have one value for each sample.
    """
    if not all(isinstance(row, Mapping) for row in results.values()):
        types = {name: type(row).__name__ for name, row in results.items()}
        raise InputError(
            f"Every method must have a mapping from measures to results. Received: {types}. Name the "
            'measure: {"vanilla": {"deletion": deletion(...)}}.'
        )
    measures = {tuple(row) for row in results.values()}
    if len(measures) != 1 or not (header := measures.pop()):
        found = {name: list(row) for name, row in results.items()}
        raise InputError(f"Every method must have the same measures. Received: {found}.")
    columns = [_column({name: row[measure] for name, row in results.items()}, measure) for measure in header]
    return Table(["method", *header], list(zip(results, *columns, strict=True)))


def _column(results: Mapping[str, Any], measure: str) -> list[str]:
    """Return the cells of one measure."""
    cells, medians = dict.fromkeys(results, ""), {}
    for method, result in results.items():
        what = f"{measure!r} of {method!r}"
        values = result.area if isinstance(result, Curve) else checks.real(result, what)
        if values.ndim != 1:
            raise InputError(
                "A result must have one value for each sample, (N,). "
                f"Received: {what}, of shape {values.shape}."
            )
        if values.dtype == bool:
            cells[method] = f"{np.count_nonzero(values)} of {len(values)}"
        else:
            medians[method] = median(values.astype(np.float64))
    return list((cells | dict(zip(medians, numbers([*medians.values()]), strict=True))).values())
