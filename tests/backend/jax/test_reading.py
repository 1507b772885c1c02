"""What JAX's primitives are in the terms of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from jax import lax
from keras import layers, ops

from vis import backend, models
from vis.backend.jax.reading import index_of
from vis.backend.jax.resizes import interpolation
from vis.graph import Geometry, Graph, Operation, constant

Function = Callable[..., Any]
BATCH = (None, 6, 8, 4)


def read(function: Function, *shapes: Any, dtype: str = "float32") -> Graph:
    specs = [backend.Spec(shape, dtype) for shape in shapes or (BATCH,)]
    return backend.traced(lambda tensors: function(*tensors), specs)


def told(function: Function, *shapes: Any, dtype: str = "float32") -> list[Operation]:
    """Return the operations that depend on the inputs, in order."""
    graph = read(function, *shapes, dtype=dtype)
    return list(graph.between(graph.inputs, graph.outputs))


def one(function: Function, *shapes: Any, dtype: str = "float32") -> Operation:
    (operation,) = told(function, *shapes, dtype=dtype)
    return operation


# ---- single equations ------------------------------------------------------------------------------------


def convolved(x: Any, layout: str = "NHWC", kernel: tuple[int, ...] = (3, 2, 4, 5), **options: Any) -> Any:
    names = (layout, "HWIO", layout)
    settings = {"window_strides": (1, 1), "padding": ((1, 0), (2, 3)), **options}
    return lax.conv_general_dilated(x, np.ones(kernel, "float32"), dimension_numbers=names, **settings)


def test_convolutions() -> None:
    found = one(lambda x: convolved(x, window_strides=(2, 1), rhs_dilation=(1, 2)))
    assert found.kind == "convolution" and len(found.operands) == 2
    assert found.attributes == {
        "window": [1, 3, 2, 1],
        "strides": [1, 2, 1, 1],
        "dilations": [1, 1, 2, 1],
        "padding": [(0, 0), (1, 0), (2, 3), (0, 0)],
        "channels": 3,
        "groups": 1,
        "transposed": False,
        "filters": (3,),
    }
    first = one(lambda x: convolved(x, "NCHW", (3, 3, 3, 12), feature_group_count=2))
    assert first.attributes["channels"] == 1 and first.attributes["groups"] == 2
    assert first.attributes["window"] == [1, 1, 3, 3]
    # The same layout as its input, or there is no word for it.
    assert one(lambda x: convolved(x, "HWNC", (1, 1, 4, 1))).kind == "conv_general_dilated"


def test_a_transposed_convolution_has_the_strides_of_the_one_that_it_transposes() -> None:
    layer = layers.Conv2DTranspose(5, (3, 2), strides=(2, 3), padding="valid")
    layer.build(BATCH)
    found = one(layer.call, BATCH) if not layer.use_bias else told(layer.call)[0]
    assert found.kind == "convolution" and found.attributes["transposed"]
    assert found.attributes["strides"] == [1, 2, 3, 1]
    assert [sum(pair) for pair in found.attributes["padding"]] == [0, 0, -1, 0]  # windows that leave a gap
    assert found.outputs[0].shape == (None, 13, 24, 5)


@pytest.mark.parametrize(
    ("make", "kind", "padding", "channels"),
    [
        (lambda: layers.MaxPooling2D(3, 2, "same"), "max_pool", [(0, 0), (0, 1), (0, 1), (0, 0)], 3),
        (lambda: layers.AveragePooling2D(3, 2), "average_pool", [(0, 0)] * 4, 3),
        # Divided by how many positions there are.
        (lambda: layers.AveragePooling2D(3, 2, "same"), "average_pool", [(0, 0), (0, 1), (0, 1), (0, 0)], 3),
        (lambda: layers.AveragePooling2D((1, 2), 1), "average_pool", [(0, 0)] * 4, None),
    ],
)
def test_pools(make: Any, kind: str, padding: Any, channels: int | None) -> None:
    found = one(make())
    assert (found.kind, found.attributes["padding"]) == (kind, padding)
    assert found.attributes["channels"] == channels


def test_other_sums_of_windows_are_no_average() -> None:
    window = {"window_dimensions": (1, 2, 2, 1), "window_strides": (1, 2, 2, 1), "padding": "VALID"}
    total = lambda x: lax.reduce_window(x, 0.0, lax.add, **window)  # noqa: E731
    assert [each.kind for each in told(lambda x: total(x) / 3.0)] == ["reduce_window_sum", "divide"]
    assert [each.kind for each in told(lambda x: total(x) / 4.0)] == ["average_pool"]


def test_products_by_letters() -> None:
    letters = one(lambda x, y: ops.einsum("bhwc,bkc->bhwk", x, y), BATCH, (None, 7, 4)).attributes["letters"]
    sizes = dict(zip(letters[0] + letters[1], (2, 6, 8, 4, 2, 7, 4), strict=True))
    x, y = (np.random.default_rng(0).random([sizes[each] for each in side]) for side in letters[:2])
    found = np.einsum(f"{letters[0]},{letters[1]}->{letters[2]}", x, y)
    np.testing.assert_allclose(found, np.einsum("bhwc,bkc->bhwk", x, y))


SINGLE: dict[str, tuple[Function, str, dict[str, Any]]] = {
    "sum": (lambda x: jnp.sum(x, 1), "reduce_sum", {"axes": (1,), "keepdims": False}),
    "mean": (lambda x: jnp.mean(x, (1, 2)), "reduce_mean", {"axes": (1, 2), "keepdims": False}),
    "mean, axes kept": (
        lambda x: jnp.mean(x, (1, 2), keepdims=True),
        "reduce_mean",
        {"axes": (1, 2), "keepdims": True},
    ),
    "mean of one's own": (lambda x: jnp.sum(x, 3) * 0.25, "reduce_mean", {"axes": (3,), "keepdims": False}),
    "maximum": (lambda x: jnp.max(x, 3), "reduce_max", {"axes": (3,), "keepdims": False}),
    "transpose": (lambda x: jnp.swapaxes(x, 1, 3), "transpose", {"permutation": (0, 3, 2, 1)}),
    "reverse": (lambda x: lax.rev(x, (1, 2)), "reverse", {"axes": (1, 2)}),
    "new axes": (lambda x: x[:, None, :, None], "expand_dims", {"axes": (1, 3)}),
    "new axes by a reshape": (lambda x: x.reshape(x.shape[0], 6, 1, 8, 4), "expand_dims", {"axes": (2,)}),
    "join": (lambda x: jnp.concatenate([x, x], 2), "concatenate", {"axis": 2}),
    "stack": (lambda x: jnp.stack([x, x], 1), "stack", {"axis": 1}),
    "repeat": (lambda x: jnp.repeat(x, 3, axis=2), "repeat", {"axis": 2, "times": 3}),
    "tile": (lambda x: lax.tile(x, (1, 2, 1, 1)), "tile", {}),
    "pad": (
        lambda x: lax.pad(x, 0.0, [(0, 0, 0), (1, 2, 0), (-1, 0, 0), (0, 0, 0)]),
        "pad",
        {"paddings": [(0, 0), (1, 2), (-1, 0), (0, 0)], "mode": "constant"},
    ),
    "pad between": (lambda x: lax.pad(x, 0.0, [(0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)]), "pad", {}),
    "cast": (lambda x: x.astype("float16"), "cast", {"dtype": "float16"}),
    "broadcast": (
        lambda x: lax.broadcast_in_dim(x, (x.shape[0], 6, 8, 5, 4), (0, 1, 2, 4)),
        "broadcast",
        {"axes": (3,)},
    ),
    "take": (lambda x: jnp.take(x, jnp.array([0, 3, 4]), axis=2), "gather", {"axis": 2}),
    "order": (lambda x: jnp.cumsum(x, axis=1), "cumsum", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_single_operations(name: str) -> None:
    function, kind, attributes = SINGLE[name]
    found = one(function)
    assert (found.kind, found.attributes) == (kind, attributes)


@pytest.mark.parametrize(
    ("function", "begin", "end", "strides", "dropped"),
    [
        (lambda x: x[:, 1:4], [0, 1, 0, 0], [None, 4, 8, 4], 1, ()),
        (lambda x: x[:, -1], [0, 5, 0, 0], [None, 6, 8, 4], 1, (1,)),
        (lambda x: x[..., 1:], [0, 0, 0, 1], [None, 6, 8, 4], 1, ()),
        (lambda x: lax.slice_in_dim(x, 1, 6, 2, axis=1), [0, 1, 0, 0], [None, 6, 8, 4], 2, ()),
        (lambda x: lax.dynamic_slice_in_dim(x, 7, 2, axis=2), [0, 0, 6, 0], [None, 6, 8, 4], 1, ()),
        (lambda x: x[:, 1::2, ::3], [0, 1, 0, 0], [None, 6, 7, 4], 2, ()),
        (lambda x: x[:, ::2, 3:4], [0, 0, 3, 0], [None, 5, 4, 4], 2, ()),
        (lambda x: x[:, ::3, 3], [0, 0, 3, 0], [None, 4, 4, 4], 3, (2,)),
        (lambda x: x[:, 2:4, ::7], [0, 2, 0, 0], [None, 4, 8, 4], 1, ()),
        (lambda x: jnp.take(x, jnp.array([4, 2, 0]), axis=1), [0, 4, 0, 0], [None, -1, 8, 4], -2, ()),
    ],
)
def test_slices(function: Function, begin: Any, end: Any, strides: int, dropped: Any) -> None:
    found = one(function)
    assert found.kind == "slice" and found.attributes["open"] == (0,)
    assert (found.attributes["begin"], found.attributes["end"]) == (begin, end)
    assert found.attributes["strides"][1] == strides and found.attributes["dropped"] == dropped


def test_a_slice_at_an_unknown_place_is_told_by_its_own_name() -> None:
    shift = lambda x, at: lax.dynamic_slice_in_dim(x, at.astype("int32")[0], 2, axis=1)  # noqa: E731
    found = told(shift, BATCH, (1,))[-1]
    assert found.kind == "dynamic_slice" and not found.attributes


def test_an_embedding_looks_up_tokens() -> None:
    layer = layers.Embedding(7, 3)
    layer.build()
    *_, found = told(layer, (None, 5), dtype="int32")
    assert (found.kind, found.attributes) == ("gather", {"axis": 0})
    assert [value.shape for value in found.operands] == [(7, 3), (None, 5)]


def test_one_hot() -> None:
    found = one(lambda x: ops.one_hot(x, 9), (None, 5), dtype="int32")
    assert (found.kind, found.attributes) == ("one_hot", {"axis": 2})
    assert found.outputs[0].shape == (None, 5, 9)
    kinds = [
        each.kind
        for each in told(lambda x: (x[:, :, None] == jnp.array([0, 2])).astype("float32"), (None, 5))
    ]
    assert kinds == ["expand_dims", "equal", "cast"]


def test_operands_are_in_the_order_of_the_words() -> None:
    select = told(lambda x: jnp.where(x > 0, x, 2 * x))[-1]
    assert [value.name.split("/")[-1].split(":")[0] for value in select.operands] == ["gt", "input", "mul"]
    clip = one(lambda x: lax.clamp(np.float32(-1), x, np.float32(2)))
    assert [constant(value) for value in clip.operands] == [None, -1, 2]
    power = one(lambda x: x**3)
    assert (power.kind, constant(power.operands[1])) == ("power", 3)
    power = one(lambda x: jnp.exp2(x))
    assert (power.kind, constant(power.operands[0])) == ("power", 2)


def test_what_is_run_elsewhere() -> None:
    assert one(lambda x: lax.fori_loop(0, 3, lambda _, y: jnp.sin(y), x)).kind == "loop"
    graph = read(lambda x: x + jax.random.normal(jax.random.key(0), x.shape[1:]))
    assert "random" in [operation.kind for operation in graph.operations]


def test_a_derivative_of_ones_own() -> None:
    @jax.custom_vjp
    def function(x: Any) -> Any:
        return jnp.sin(x)

    function.defvjp(lambda x: (jnp.sin(x), x), lambda x, gradient: (3 * gradient,))
    sine, found = told(function)
    assert sine.kind == "sine" and found.kind == "identity"
    assert found.attributes == {"differentiated": (1,)} and found.operands[0] is sine.outputs[0]


def test_the_sum_of_exponentials_is_positive() -> None:
    kinds = [each.kind for each in told(lambda x: jax.nn.logsumexp(x, axis=-1))]
    assert "absolute" not in kinds and "identity" in kinds


# ---- resizes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos3"])
@pytest.mark.parametrize("size", [(3, 8), (12, 8), (6, 12), (4, 5), (9, 20), (1, 8)])
def test_a_resize_is_told_by_its_weights(method: str, size: tuple[int, int], antialias: bool) -> None:
    found = one(lambda x: jax.image.resize(x, (x.shape[0], *size, 4), method, antialias))
    assert found.kind == "resize"
    changed = [axis for axis, (old, new) in enumerate(zip((6, 8), size, strict=True), 1) if old != new]
    assert found.attributes["axes"] == tuple(changed)
    assert found.attributes["half_pixel_centers"] and not found.attributes["align_corners"]


@pytest.mark.parametrize("new", [3, 4, 5, 7, 12])
def test_a_resize_to_the_nearest_position(new: int) -> None:
    found = one(lambda x: jax.image.resize(x, (x.shape[0], new, 8, 4), "nearest"))
    if new == 3:
        assert found.kind == "slice" and found.attributes["begin"][1] == 1  # at equal steps
    else:
        assert found.kind == "resize" and found.attributes["method"] == "nearest"


def test_where_the_first_position_lies() -> None:
    def weights(places: Any) -> Any:
        return np.maximum(0, 1 - np.abs(np.arange(5)[:, None] - np.asarray(places)))

    assert interpolation(weights(np.linspace(0, 4, 9))) == ("linear", "align_corners")
    assert interpolation(weights(np.clip(np.arange(10) / 2, 0, 4))) == ("linear", "")
    assert interpolation(weights(np.clip((np.arange(10) + 0.5) / 2 - 0.5, 0, 4))) == (
        "linear",
        "half_pixel_centers",
    )
    assert interpolation(np.eye(4)) == ("nearest", "half_pixel_centers")


@pytest.mark.parametrize(
    "weights",
    [np.ones((5, 5)), np.full((40, 40), 1 / 40), np.eye(4)[::-1], np.random.default_rng(0).random((4, 8))],
)
def test_other_products_are_no_resize(weights: Any) -> None:
    assert interpolation(weights) == ("", "")
    rows = len(weights)
    product = told(lambda x: jnp.einsum("bhc,hk->bkc", x, weights.astype("float32")), (None, rows, 2))[0]
    assert product.kind == "product"


# ---- what is known ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "number"),
    [
        (lambda x: jnp.full((2, 3), 0.1), 0.1),
        (lambda x: jnp.full_like(x, 0.1), 0.1),  # of an unknown size
        (lambda x: jnp.broadcast_to(jnp.float32(2) ** 3 - 1, (4,)), 7),
        (lambda x: jnp.where(jnp.zeros(3) > 0, 1.0, jnp.full(3, 5.0)), 5),
        (lambda x: jnp.sum(jnp.ones((3, 4))), 12),
        (lambda x: jnp.full(3, 0.5, "bfloat16"), 0.5),
        (lambda x: jnp.arange(3.0), None),
        (lambda x: x[0, 0, 0, 0], None),
    ],
)
def test_numbers(function: Function, number: float | None) -> None:
    (output,) = read(function).outputs
    assert constant(output) == (None if number is None else pytest.approx(number))


def test_arrays() -> None:
    graph = read(
        lambda x: [jnp.arange(6).reshape(2, 3)[::-1], jnp.concatenate([jnp.arange(2), jnp.arange(3)])]
    )
    np.testing.assert_array_equal(graph.outputs[0].constant, [[3, 4, 5], [0, 1, 2]])
    np.testing.assert_array_equal(graph.outputs[1].constant, [0, 1, 0, 1, 2])


def test_integers_are_divided_towards_zero() -> None:
    (output,) = read(lambda x: lax.div(jnp.array([-7, 7]), jnp.array([2, 2]))).outputs
    np.testing.assert_array_equal(output.constant, [-3, 3])


def test_sizes_that_vary() -> None:
    """What is computed from them is followed: a reshape has the number of tokens."""

    def tokens(x: Any) -> Any:
        y = layers.Conv2D(8, 4, strides=4)(x)
        return layers.Reshape((-1, 8))(layers.GroupNormalization(2)(y))

    inputs = keras.Input((None, None, 3))
    graph = models.read(keras.Model(inputs, tokens(inputs)))
    view = Geometry(graph, graph.inputs[0]).views[graph.outputs[0]]
    assert not view.lost
    assert [(part.source, part.stride) for part in view.axes[1].parts] == [(1, 4), (2, 4)]


@pytest.mark.parametrize(
    ("build", "stride", "offset"),
    [
        (lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x), 0.5, -0.25),
        (lambda x: x[:, 1::2, 1::2], 2, 1),
        (lambda x: layers.MaxPooling2D(3, 2, "same")(x), 2, 1),
        (lambda x: layers.Conv2DTranspose(2, 4, strides=2, padding="valid")(x), 0.5, -0.75),
    ],
)
def test_positions_of_sizes_that_vary(build: Function, stride: float, offset: float) -> None:
    inputs = keras.Input((None, None, 3))
    graph = models.read(keras.Model(inputs, build(inputs)))
    view = Geometry(graph, graph.inputs[0]).views[graph.outputs[0]]
    assert not view.lost
    assert [part.stride for axis in view.axes[1:3] for part in axis.parts] == [stride] * 2
    assert view.offsets[1:3] == (offset, offset)


# ---- layers ----------------------------------------------------------------------------------------------


def test_layers_and_their_operations() -> None:
    """Where several equations are one operation too."""
    inputs = keras.Input((6, 8, 3))
    y = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    y = layers.GlobalAveragePooling2D(name="mean")(y)
    model = keras.Model(inputs, layers.Dense(2, name="last")(y))
    graph = models.read(model)
    ran = {call.path: graph.operations[call.first : call.stop] for call in graph.calls if call.is_layer}
    assert [each.kind for each in ran["mean"]] == ["reduce_mean"]
    assert [each.kind for each in ran["first"]] == ["convolution", "expand_dims", "add", "maximum"]
    made = {call.path: call.outputs for call in graph.calls}
    assert made["mean"] == ran["mean"][-1].outputs and made["last"] == ran["last"][-1].outputs
    names = [each.name for each in graph.operations]
    assert len(set(names)) == len(names) and "first" in ran["first"][-1].name
    indices = [index_of(each) for path, part in ran.items() if path for each in part]
    assert len(set(indices)) == len(indices)
