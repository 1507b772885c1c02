"""What a user gives, checked."""

from typing import Any

import numpy as np
import pytest

from vis import checks
from vis.errors import InputError, VisError


@pytest.mark.parametrize("values", [3, [1, 2.5], np.ones((2, 3), np.uint8), [True], np.float16(1), []])
def test_numbers_come_as_an_array(values: Any) -> None:
    found = checks.real(values, "A map")
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ("a.png", "str of type <U5"),
        (None, "NoneType of type object"),
        ([[1], [2, 3]], "list, "),
        (np.array([1j]), "ndarray of type complex128"),
        ({1, 2}, "set of type object"),
    ],
)
def test_what_is_no_array_of_numbers(values: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"^A map must be an array of real numbers. Received: {words}"):
        checks.real(values, "A map")


def test_seeds() -> None:
    assert checks.generator(3).random() == np.random.default_rng(3).random()
    own = np.random.default_rng(1)
    assert checks.generator(own) is own
    assert checks.generator(None).random() != checks.generator(None).random()
    for wrong in ("a", -1, 1.5):
        with pytest.raises(InputError, match=f"seed must be a non-negative integer.* Received: {wrong!r}"):
            checks.generator(wrong)


def test_lists() -> None:
    assert checks.listed(None, int, "numbers") == []
    given = [1, 2]
    found = checks.listed(given, int, "numbers")
    assert found == given and found is not given
    assert checks.listed((), int, "numbers") == []
    for wrong in (3, print, [1, "a"], {1}, "ab"):
        with pytest.raises(
            InputError, match=r"errors must be a list of vis.errors.VisError objects. Received:"
        ):
            checks.listed(wrong, VisError, "errors")
