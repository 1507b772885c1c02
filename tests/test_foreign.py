"""Functions that use the wrong array library: the error names the line and what to write."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tests import native
from vis.errors import GradientError, InputError, ModifierError, VisError
from vis.foreign import called, described, foreign_arrays

pytestmark = pytest.mark.usefixtures("as_users_have_it")


def traced(function: Callable[[Any], Any], library: str = "keras.ops") -> None:
    """Call a function with a tensor as the framework does that computes a gradient."""

    def run(x: Any) -> Any:
        with foreign_arrays("The operator", function, library=library):
            return function(x)

    native.traced(run)


def message(function: Callable[[Any], Any], given: Any = None, library: str = "keras.ops") -> str:
    with pytest.raises(ModifierError) as raised:
        if given is None:
            traced(function)
        else:
            with foreign_arrays("The loss", function, library=library):
                function(given)
    line = function.__code__.co_firstlineno + 1
    text = str(raised.value)
    assert f"{__file__}, line {line}: " in text
    assert called(function) in text
    assert raised.value.__cause__ is not None
    return text


def test_numpy_on_a_tensor_of_the_framework() -> None:
    def squares(x: Any) -> Any:
        return np.square(x) + 1

    text = message(squares)
    assert f"'return np.square(x) + 1', which calls NumPy on a tensor of {native.NAME}" in text
    assert text.endswith("Write keras.ops.square(x).")


def test_numpy_by_a_name_of_its_own() -> None:
    from numpy import abs as magnitude
    from numpy import clip

    def clipped(x: Any) -> Any:
        return clip(keras.ops.abs(x), 0, 1)

    assert message(clipped).endswith("Write keras.ops.clip(keras.ops.abs(x), 0, 1).")

    def unnamed(x: Any) -> Any:
        return magnitude(x)

    assert message(unnamed).endswith("Write it with the functions of keras.ops.")


def test_the_math_module_and_float() -> None:
    def root(x: Any) -> Any:
        return math.sqrt(x)

    assert message(root).endswith("Write keras.ops.sqrt(x).")

    def number(x: Any) -> Any:
        return float(x)

    assert f"calls Python on a tensor of {native.NAME}" in message(number)


def test_a_method_that_tensors_lack() -> None:
    def total(x: Any) -> Any:
        return x.expand_dims(axis=1)

    assert message(total).endswith("has no 'expand_dims'. Write keras.ops.expand_dims(x, axis=1).")

    def of_more(x: Any) -> Any:
        return (x + 1).power(2)

    assert message(of_more).endswith("has no 'power'. Write keras.ops.power(x + 1, 2).")


def test_a_function_of_the_old_backend() -> None:
    from keras import backend as K

    def squares(x: Any) -> Any:
        return K.mean(K.square(x))

    text = message(squares)
    assert text.endswith("where keras.backend has no 'mean'. Write keras.ops in place of K.")

    def unknown(x: Any) -> Any:
        return K.no_such_function(x)

    with pytest.raises(AttributeError, match="no_such_function"):
        traced(unknown)


def test_a_method_that_has_no_counterpart() -> None:
    def values(x: Any) -> Any:
        return x.numpy()

    text = message(values)
    assert text.endswith("Write it with the functions of keras.ops.")
    assert (
        "has no 'numpy'" in text or f"asks a tensor of {native.NAME} of shape (2, 3) for its values" in text
    )

    def items(x: Any) -> Any:
        return (x + 1).item()

    assert message(items).endswith("Write it with the functions of keras.ops.")


@pytest.mark.skipif(native.NAME != "PyTorch", reason="elsewhere they may be mixed")
def test_an_operator_between_an_array_and_a_tensor() -> None:
    scale = np.ones(3)

    def scaled(x: Any) -> Any:
        return scale * x

    text = message(scaled)
    assert "'return scale * x', which mixes NumPy with a tensor of PyTorch of shape (2, 3)" in text
    assert text.endswith("Write keras.ops.multiply(scale, x).")

    def product(x: Any) -> Any:
        return x @ np.ones((3, 2))

    assert message(product).endswith("Write keras.ops.matmul(x, np.ones((3, 2))).")


@pytest.mark.skipif(native.NAME == "PyTorch", reason="PyTorch knows the value")
def test_a_branch_on_a_value() -> None:
    def branch(x: Any) -> Any:
        return x if x[0, 0] > 0 else -x

    assert message(branch).endswith(
        "which asks for a value that is not known yet. Write keras.ops.where(condition, a, b)."
    )

    def statement(x: Any) -> Any:
        if keras.ops.any(x > 0):
            return x
        return -x

    assert "which asks for a value" in message(statement)


def test_a_branch_on_several_values() -> None:
    def branch(x: Any) -> Any:
        return x if x > 0 else -x

    asked = (
        "for a value that is not known yet"
        if native.NAME == "TensorFlow"
        else "whether several values are true"
    )
    assert message(branch).endswith(f"which asks {asked}. Write keras.ops.where(condition, a, b).")


@pytest.mark.skipif(native.NAME != "PyTorch", reason="a branch has a class of errors of its own elsewhere")
def test_a_failure_of_another_kind_in_a_branch_is_raised_as_it_is() -> None:
    def branch(x: Any) -> Any:
        return x if keras.ops.matmul(x, x) else -x

    with pytest.raises(RuntimeError) as raised:
        traced(branch)
    assert not isinstance(raised.value, VisError)


def test_writing_into_a_tensor() -> None:
    def write(x: Any) -> Any:
        x[0] = 0
        return x

    assert "which writes into a tensor. Write keras.ops.where" in message(write)


def test_a_modifier_in_numpy() -> None:
    def positive(g: Any) -> Any:
        return g.clamp(0)

    text = message(positive, np.ones((2, 3)), "numpy")
    assert "must be written in numpy. " in text
    assert text.endswith("an array of NumPy of shape (2, 3) has no 'clamp'. Write numpy.clip(g, 0).")


def test_the_innermost_line_of_the_user_counts() -> None:
    def helper(x: Any) -> Any:
        return np.exp(x)

    def operator(x: Any) -> Any:
        return helper(x)

    with pytest.raises(ModifierError) as raised:
        traced(operator)
    assert f"line {helper.__code__.co_firstlineno + 1}: 'return np.exp(x)'" in str(raised.value)


def test_other_failures_are_raised_as_they_are() -> None:
    def shapes(x: Any) -> Any:
        return keras.ops.matmul(x, keras.ops.ones((4, 4)))

    def own(x: Any) -> Any:
        raise KeyError("mine")

    def on_numbers(x: Any) -> Any:
        return x + np.reshape(np.arange(3), 4)

    def legal(x: Any) -> Any:
        return native.matmul(x, keras.ops.ones((4, 4)))

    def unnamed(x: Any) -> Any:
        return x if x.shape[-1] == 4 else undefined  # type: ignore[name-defined] # noqa: F821

    def unknown(x: Any) -> Any:
        return x if x.shape[0] > 4 else -x

    def beside(x: Any) -> Any:
        return (np.square(3), x, {}["key"])

    unsized = [unknown] if native.NAME == "TensorFlow" else []
    for function in (shapes, own, on_numbers, legal, unnamed, *unsized, beside):
        with pytest.raises((ValueError, KeyError, NameError, TypeError, RuntimeError)) as raised:
            traced(function)
        assert not isinstance(raised.value, ModifierError)


def test_an_error_of_the_library_passes() -> None:
    def raises(x: Any) -> Any:
        raise InputError(str(np.square(2)))

    with pytest.raises(InputError):
        traced(raises)


def test_the_class_of_the_error() -> None:
    class Root:
        def __call__(self, x: Any) -> Any:
            return np.sqrt(x)

    with (
        pytest.raises(GradientError, match=r"The loss 'Root' must be written"),
        foreign_arrays("The loss", Root(), GradientError),
    ):
        Root()(keras.Input((3,)))


def test_without_a_source_the_failure_is_raised_as_it_is() -> None:
    names: dict[str, Any] = {"np": np}
    exec("def unseen(x):\n    return np.square(x)", names)
    with pytest.raises(ValueError, match="KerasTensor"), foreign_arrays("The loss", names["unseen"]):
        names["unseen"](keras.Input((3,)))


def test_described() -> None:
    assert described(np.zeros((2, 3))) == "an array of NumPy of shape (2, 3)"
    assert described(keras.ops.zeros((2, 3))) == f"a tensor of {native.NAME} of shape (2, 3)"
    assert described(keras.Input((3,))) == "a symbolic tensor of Keras of shape (None, 3)"
    assert described(3) == "3 of type int"
