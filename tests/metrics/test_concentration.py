"""Complexity and sparseness: known values, loops and properties."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis.errors import EmptyMapWarning, InputError
from vis.metrics import complexity, sparseness

QUICK = settings(max_examples=30, deadline=None, phases=(Phase.explicit, Phase.generate))
MAPS = arrays.arrays(
    float, st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)), elements=st.floats(-1e3, 1e3)
).map(lambda maps: np.where(np.abs(maps) < 1e-3, 1, maps))


def test_known_values() -> None:
    one = np.zeros((2, 3, 4, 1))
    one[0, 1, 2], one[1] = -5, 0.25
    np.testing.assert_allclose(complexity(one), [0, math.log(12)], atol=1e-12)
    np.testing.assert_allclose(sparseness(one), [11 / 12, 0], atol=1e-12)
    np.testing.assert_allclose(complexity([[3, 1]]), [-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))])
    np.testing.assert_allclose(sparseness([[3, 1]]), [(3 - 1) / (2 * 4)])
    np.testing.assert_allclose(complexity(3e307 * one), [0, math.log(12)], atol=1e-12)


@QUICK
@given(MAPS)
def test_by_loops(maps: Any) -> None:
    for values, entropy, gini in zip(maps, complexity(maps), sparseness(maps), strict=True):
        sizes = [abs(value) for value in values.ravel().tolist()]
        total, n = sum(sizes), len(sizes)
        assert entropy == pytest.approx(-sum(s / total * math.log(s / total) for s in sizes), abs=1e-9)
        # Half the mean difference of two values, by the mean.
        differences = sum(abs(a - b) for a in sizes for b in sizes)
        assert gini == pytest.approx(differences / (2 * n * total), abs=1e-9)


@QUICK
@given(MAPS, st.floats(0.1, 100))
def test_what_does_not_change_them(maps: Any, scale: float) -> None:
    n = maps[0].size
    for measure, low, high in ((complexity, 0, math.log(n)), (sparseness, 0, (n - 1) / n)):
        found = measure(maps)
        assert (found >= low - 1e-9).all() and (found <= high + 1e-9).all()
        for other in (-maps, scale * maps, maps[:, ::-1], np.abs(maps)):
            np.testing.assert_allclose(measure(other), found, atol=1e-9)


@pytest.mark.parametrize("measure", [complexity, sparseness])
def test_maps_of_zeros_and_what_is_refused(measure: Any) -> None:
    with pytest.warns(EmptyMapWarning, match="of 1 of 2 samples is NaN: 0. Their maps are zero everywhere"):
        assert np.isnan(measure([[0, 0], [1, 0]])).tolist() == [True, False]
    for wrong in ([1, 2], np.ones((2, 0)), [[np.nan, 1]]):
        with pytest.raises(InputError, match="Maps must be finite"):
            measure(wrong)
