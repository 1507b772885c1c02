"""The inputs of a model, in any form that users have them, as arrays with a batch axis."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, models
from vis.errors import InputError, ModelError

Arrays = list[npt.NDArray[Any]]


def one_input(symbols: Any, seed_input: Any) -> Arrays:
    """Return the arrays of one input, in the flat order of a model's inputs.

    Args:
        symbols: the model's symbolic inputs: a tensor, or a list or dict of them.
        seed_input: one input in the same structure (or a dict by the names of the inputs), each array
            with or without its batch axis and of any real type.

    Returns:
        For each input an array `(1, ...)` of the type that the model takes. If the model has a fixed
        batch size, the input is repeated to that size.

    Raises:
        InputError: if the structure, a shape, a type or a value is wrong, or several inputs are given.
    """
    flat, nested = keras.tree.flatten(symbols), _nested(symbols, seed_input)
    if nested is None:
        _check_dict(symbols, seed_input)
    return _all_checked(flat, names(symbols), seed_input if nested is None else nested, several=False)


def batch_of_inputs(symbols: Any, inputs: Any) -> Arrays:
    """Return the arrays of a batch of inputs, in the flat order of a model's inputs.

    Args:
        symbols: the model's symbolic inputs: a tensor, or a list or dict of them.
        inputs: the batch in the same structure (or a dict by the names of the inputs), each array with its
            batch axis and of any real type, or of strings where the model takes those. A last axis of 1 may
            be left out, as for `Model.predict`.

    Returns:
        For each input an array `(batch, ...)` of the type that the model takes.

    Raises:
        InputError: if the structure, a shape, a type or a value is wrong, or the inputs differ in number.
    """
    flat, known = keras.tree.flatten(symbols), names(symbols)
    nested = _nested(symbols, inputs)
    if nested is None:
        _check_dict(symbols, inputs)
    arrays = _all_checked(flat, known, inputs if nested is None else nested, several=True)
    if len({len(array) for array in arrays}) > 1:
        sizes = ", ".join(f"{len(array)} of {name!r}" for array, name in zip(arrays, known, strict=True))
        raise InputError(f"All inputs of a batch must have the same number of samples. Received: {sizes}.")
    return arrays


def _all_checked(flat: list[Any], names: list[str], given: Any, several: bool) -> Arrays:
    values = _in_order(names, flat, given, several)
    # Some of several inputs may be empty, if the model can do without them, but not all.
    arrays = [
        _checked(value, tuple(symbol.shape), symbol.dtype, name, several, optional=len(flat) > 1)
        for value, symbol, name in zip(values, flat, names, strict=True)
    ]
    if all(0 in array.shape[1:] for array in arrays):
        raise InputError(
            f"At least one of the inputs {', '.join(map(repr, names))} must have values. Received: the "
            f"shapes {', '.join(str(array.shape) for array in arrays)}."
        )
    return arrays


def _check_dict(symbols: Any, given: Any) -> None:
    """Raise `InputError` if a model takes several inputs in a dict and is given something else."""
    if isinstance(symbols, dict) and len(symbols) > 1 and not isinstance(given, dict):
        raise InputError(
            f"The model takes a dict of inputs with the keys {', '.join(map(repr, symbols))}. Received: "
            f"{type(given).__name__}. Pass a dict, so that no input is mistaken for another."
        )


def in_order(symbols: Any, given: Any) -> list[Any]:
    """Return what a list, or a dict by the names of inputs, gives for each input, in their flat order.

    Raises:
        InputError: if it has another structure.
    """
    nested = _nested(symbols, given)
    if nested is not None:
        return nested
    return _in_order(names(symbols), keras.tree.flatten(symbols), given, more=True)


def packed(symbols: Any, values: list[Any], seed_input: Any) -> Any:
    """Return one value per input, in the structure in which the input was given."""
    if isinstance(seed_input, dict) and _nested(symbols, seed_input) is None:
        return dict(zip(names(symbols), values, strict=True))
    if len(values) == 1:
        return values[0]
    return keras.tree.pack_sequence_as(symbols, values)


def unbuilt_input(model: Any, seed_input: Any) -> npt.NDArray[Any]:
    """Return the one input, with its batch axis, of a model without a symbolic input.

    The shape that the model was built with, or else the input of its first layer, tells whether the batch
    axis is there; if neither is known, a first axis of length 1 is the batch axis.

    Raises:
        InputError: as `one_input`.
        ModelError: for a structure of several arrays.
    """
    several = isinstance(seed_input, list | tuple) and all(hasattr(x, "shape") for x in seed_input)
    if isinstance(seed_input, dict) or (several and len(seed_input) > 1):
        raise ModelError(
            f"The model {model.name!r} is subclassed, so its inputs are only known once it is called. "
            f"Received: several input arrays. Wrap it: inputs = [keras.Input(...), ...]; "
            "keras.Model(inputs, model(inputs))."
        )
    value = checks.array(seed_input)
    axes = rank(model)
    if axes is None:
        axes = value.ndim if value.shape[:1] == (1,) else value.ndim + 1
    # Integers are tokens if a layer looks them up, and pixels otherwise.
    tokens = value.dtype.kind in "iu" and any(
        isinstance(layer, keras.layers.Embedding) for _, layer in models.walk(model)
    )
    dtype = str(value.dtype) if tokens else keras.config.floatx()
    return _checked(value, (None,) * axes, dtype, model.name)


def unbuilt_batch(model: Any, inputs: Any, dtype: str | None = None) -> npt.NDArray[Any]:
    """Return a batch for a model without a symbolic input; its first axis is the batch axis.

    Args:
        model: the model.
        inputs: a batch.
        dtype: of the numbers that the model takes; None for `keras.config.floatx()`.

    Raises:
        InputError: as `batch_of_inputs`.
    """
    array = checks.array(inputs)
    dtype = "string" if array.ndim and _is_text(array) else dtype or keras.config.floatx()
    return _checked(array, (None,) * max(array.ndim, 1), dtype, model.name, several=True)


def rank(model: Any) -> int | None:
    """Return the number of input axes of a model without a symbolic input, or None if it is not known."""
    shape = (model.get_build_config() or {}).get("input_shape")
    if shape:
        return len(shape)
    first = next((layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)), None)
    spec = getattr(first, "input_spec", None)
    return getattr(spec, "ndim", None) or getattr(spec, "min_ndim", None)


def names(symbols: Any) -> list[str]:
    """Return the name of each input in flat order: its key in a dict, or that of the symbolic tensor."""
    keys = {id(symbol): key for key, symbol in symbols.items()} if isinstance(symbols, dict) else {}
    return [keys.get(id(symbol), symbol.name) for symbol in keras.tree.flatten(symbols)]


class _Leaf:
    """The value of one input, which may be a list of numbers."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _nested(symbols: Any, given: Any) -> list[Any] | None:
    """Return the value of each input of a model with lists or dicts inside others; None for others.

    Also None for values in another structure, such as a flat list.
    """
    held = list(symbols.values()) if isinstance(symbols, dict) else symbols
    if not isinstance(held, list | tuple) or not any(isinstance(each, list | tuple | dict) for each in held):
        return None
    try:
        leaves = keras.tree.map_structure_up_to(symbols, lambda _, each: _Leaf(each), symbols, given)
    except (TypeError, ValueError, KeyError):
        return None
    return [leaf.value for leaf in keras.tree.flatten(leaves)]


def _in_order(names: list[str], flat: list[Any], seed_input: Any, more: bool) -> list[Any]:
    if isinstance(seed_input, dict):
        # A data set may have more in its dicts than the model takes, as for `Model.predict`.
        if not (set(names) <= set(seed_input) if more else set(names) == set(seed_input)):
            raise InputError(
                f"The model takes the inputs {', '.join(map(repr, names))}. "
                f"Received a dict with the keys {', '.join(map(repr, seed_input))}. Name each input once."
            )
        return [seed_input[name] for name in names]
    if len(names) == 1:
        rank = len(flat[0].shape)
        wrapped = isinstance(seed_input, list | tuple) and len(seed_input) == 1
        if wrapped and hasattr(seed_input[0], "shape") and len(seed_input[0].shape) == rank:
            return [seed_input[0]]
        return [seed_input]
    if not isinstance(seed_input, list | tuple) or len(seed_input) != len(names):
        got = (
            f"{len(seed_input)} items" if isinstance(seed_input, list | tuple) else type(seed_input).__name__
        )
        raise InputError(
            f"The model takes {len(names)} inputs: {', '.join(map(repr, names))}. Received: {got}. "
            "Pass a list in this order, or a dict by these names."
        )
    return list(seed_input)


def lacks_last_axis(given: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    """Tell whether the shape of a batch is the model's without its last axis of 1."""
    # A picture without its batch axis does not count; for a single number the two are the same.
    return shape[-1] == 1 and _fits(given, shape[:-1]) and (given == (1,) or not _fits(given, shape[1:]))


def _fits(given: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(given) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, given, strict=True)
    )


def _advice(given: tuple[int, ...], shape: tuple[int | None, ...], several: bool) -> str:
    """Return how an array becomes what a model takes, if only an axis is missing."""
    if several and _fits(given, shape[1:]):
        return " Add the batch axis: array[None]."
    if not several and shape[-1] == 1 and given and _fits(given, shape[1:-1]):
        return " Add the axis of channels: array[..., None]."
    return ""


def _is_text(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind in "US" or (
        array.dtype.kind == "O" and all(isinstance(item, str | bytes) for item in array.flat)
    )


def _checked(
    value: Any,
    shape: tuple[int | None, ...],
    dtype: str,
    name: str,
    several: bool = False,
    optional: bool = False,
) -> npt.NDArray[Any]:
    """Return the value of one input as an array of the model's type, with its batch axis.

    Args:
        value: anything that NumPy can turn into an array.
        shape: the input's shape, with its batch axis.
        dtype: the input's type.
        name: the input's name, for messages.
        several: whether `value` is a batch; otherwise it is one sample, with or without its batch axis.
        optional: whether an axis may be empty.
    """
    sizes = tuple("any" if size is None else size for size in shape[1:])
    wanted = f"{sizes}, with {'its' if several else 'or without a'} batch axis{'' if several else ' of 1'}"
    try:
        array = checks.array(value)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise InputError(
            f"The input {name!r} is not an array: {error}. Pass one of shape {wanted}."
        ) from error
    text = dtype == "string"
    numbers = array.dtype.kind in "fiub"
    if not (_is_text(array) if text else numbers):
        raise InputError(
            f"The input {name!r} must hold {'strings' if text else 'real numbers'}. Received: "
            f"{type(value).__name__} of type {array.dtype}. Pass an array of shape {wanted}."
        )
    if several and lacks_last_axis(array.shape, shape):
        array = array[..., None]
    if array.ndim == len(shape) - 1 and not several:
        array = array[None]
    if array.ndim == len(shape) and array.shape[0] > 1 and not several:
        raise InputError(
            f"This function takes one input at a time. Received: a batch of {array.shape[0]} for "
            f"{name!r}, shape {array.shape}. For a batch make an explainer, "
            "vis.attributions.Saliency(model).explain(batch), or call once per input: the gradient is "
            "compiled only once."
        )
    fits = _fits(array.shape[1:], shape[1:]) and array.ndim == len(shape)
    if not fits or (0 in array.shape[1:] and not optional) or (not several and not len(array)):
        advice = _advice(np.shape(value), shape, several)
        raise InputError(
            f"The input {name!r} must have shape {wanted}. Received: shape {np.shape(value)}.{advice}"
        )
    if text:
        cast = array.astype(object)
        return np.repeat(cast, shape[0], axis=0) if shape[0] and not several else cast
    with np.errstate(over="ignore"):
        cast = array.astype(np.float32 if dtype == "bfloat16" else dtype, copy=False)
    same = array.dtype == cast.dtype
    given = array if same else array.astype(np.float64)
    finite = np.isfinite(given)
    if not same:
        finite &= np.isfinite(cast.astype(np.float64))
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0][1:])
        raise InputError(
            f"The input {name!r} has {np.count_nonzero(~finite)} values that are NaN or infinite, the first "
            f"at {where}, as {dtype}. Replace or remove them, for example with numpy.nan_to_num."
        )
    if cast.dtype.kind in "iu" and not np.array_equal(cast, given):
        raise InputError(
            f"The input {name!r} takes integers ({dtype}). Received: {array.dtype} with values that are not "
            f"integers or out of range. Pass token or category numbers."
        )
    return np.repeat(cast, shape[0], axis=0) if shape[0] and not several else cast
