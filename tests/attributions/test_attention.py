"""Attention rollout and relevance against loops in NumPy with finite differences, by hand, and properties."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.attributions import AttentionRelevance, AttentionRollout
from vis.errors import InputError, LayerError, PartialOverrideWarning

KINDS = [AttentionRollout, AttentionRelevance]
# Where zeros are right, a warning about them is beside the point.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")
STYLES = [
    "einsum",
    "einsum, turned",
    "matmul",
    "exp over sum",
    "transposed",
    "scaled",
    "heads apart",
    "heads in the batch",
    "heads beside queries",
    "fused",
]


class SelfAttention(layers.Layer):
    """Self-attention without biases, written in different ways; kernels `(D, H, d)` and `(H, d, D)`."""

    def __init__(self, heads: int, style: str = "einsum", causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads, self.style, self.causal = heads, style, causal

    def build(self, shape: Any) -> None:
        features = shape[-1]
        each = features // self.heads
        self.kernels_in = [
            self.add_weight(shape=(features, self.heads, each), initializer="random_normal", name=name)
            for name in ("query", "key", "value")
        ]
        self.kernel_out = self.add_weight(shape=(self.heads, each, features), name="out")

    def masked(self, scores: Any) -> Any:
        if not self.causal:
            return scores
        steps = ops.arange(scores.shape[-1])
        return ops.where(steps[:, None] >= steps[None, :], scores, -1e9)

    def call(self, x: Any) -> Any:
        query, key, value = (ops.einsum("btc,chd->bthd", x, kernel) for kernel in self.kernels_in)
        scale = query.shape[-1] ** -0.5
        if self.style == "fused":
            made = ops.dot_product_attention(query, key, value, is_causal=self.causal)
            return ops.einsum("bqhd,hdc->bqc", made, self.kernel_out)
        if self.style == "heads apart":
            parts = []
            for head in range(self.heads):
                scores = ops.matmul(query[:, :, head], ops.swapaxes(key[:, :, head], 1, 2)) * scale
                parts.append(ops.matmul(ops.softmax(self.masked(scores)), value[:, :, head]))
            return ops.einsum("bqhd,hdc->bqc", ops.stack(parts, 2), self.kernel_out)
        query, key, value = (ops.transpose(each, (0, 2, 1, 3)) for each in (query, key, value))
        sizes = ops.shape(query)
        if self.style == "heads in the batch":
            query, key, value = (ops.reshape(each, (-1, *sizes[2:])) for each in (query, key, value))
        scores = self.masked(ops.matmul(query, ops.swapaxes(key, -1, -2)) * scale)
        weights = ops.softmax(scores)
        if self.style == "exp over sum":
            raised = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
            weights = raised / ops.sum(raised, axis=-1, keepdims=True)
        if self.style == "transposed":
            weights = ops.swapaxes(ops.softmax(ops.swapaxes(scores, 2, 3), axis=2), 2, 3)
        if self.style == "scaled":
            weights = weights * 0.5 * 2.0
        if self.style == "heads beside queries":  # of one group of values for all heads
            value = ops.transpose(value, (0, 2, 1, 3))
            made = ops.einsum("bhqk,bkgd->bhqgd", weights, value)
            eye = ops.eye(self.heads)
            made = ops.einsum("bhqgd,hg->bhqd", made, eye)
        elif self.style == "einsum":
            made = ops.einsum("bhqk,bhkd->bhqd", weights, value)
        elif self.style == "einsum, turned":
            made = ops.transpose(ops.einsum("bhkd,bhqk->bqhd", value, weights), (0, 2, 1, 3))
        else:
            made = ops.matmul(weights, value)
        if self.style == "heads in the batch":
            made = ops.reshape(made, sizes)
        return ops.einsum("bhqd,hdc->bqc", made, self.kernel_out)


def head_of(x: Any, head: str) -> Any:
    if head == "all":
        return x
    return {"first": x[:, 0], "last": x[:, -1]}[head] if head != "mean" else ops.mean(x, axis=1)


def transformer(
    style: str = "einsum",
    head: str = "first",
    blocks: int = 2,
    tokens: int = 5,
    features: int = 6,
    causal: bool = False,
) -> keras.Model:
    """Return a small transformer without normalizations, of series `(tokens, features)` to three classes."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((tokens, features))
    x = inputs
    for block in range(blocks):
        if style == "mha":
            attend: Any = layers.MultiHeadAttention(
                2, features // 2, use_bias=False, dropout=0.3, name=f"attend{block}"
            )
            x = x + attend(x, x, use_causal_mask=causal)
        else:
            x = x + SelfAttention(2, style, causal, name=f"attend{block}")(x)
        x = x + layers.Dense(features, activation="tanh", name=f"dense{block}")(x)
    model = keras.Model(inputs, layers.Dense(3, name="scores")(head_of(x, head)))
    random = np.random.default_rng(7)
    model.set_weights([random.normal(0, 0.9, weight.shape) for weight in model.get_weights()])
    return model


class Oracle:
    """The same transformer in loops, in double precision, whose attention can be changed by hand."""

    def __init__(self, model: keras.Model, head: str, causal: bool = False) -> None:
        self.head, self.causal = head, causal
        self.blocks = []
        for block in range(sum(layer.name.startswith("attend") for layer in model.layers)):
            attend = model.get_layer(f"attend{block}").get_weights()
            dense = model.get_layer(f"dense{block}").get_weights()
            self.blocks.append([each.astype(np.float64) for each in (*attend, *dense)])
        self.scores = [each.astype(np.float64) for each in model.get_layer("scores").get_weights()]

    def run(self, x: np.ndarray, changes: Any = None) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return the outputs of a sample, and the weights of each layer, `(heads, queries, keys)`."""
        found = []
        for layer, (query, key, value, out, kernel, bias) in enumerate(self.blocks):
            heads, size = query.shape[1:]
            weights = np.zeros((heads, len(x), len(x)))
            for h in range(heads):
                for q in range(len(x)):
                    row = np.array([(x[q] @ query[:, h]) @ (x[k] @ key[:, h]) for k in range(len(x))])
                    row = row / np.sqrt(size)
                    row[q + 1 :] = -np.inf if self.causal else row[q + 1 :]
                    row = np.exp(row - row.max())
                    weights[h, q] = row / row.sum()
            found.append(weights)
            if changes is not None and changes[0] == layer:
                weights = weights + changes[1]
            made = sum(weights[h] @ (x @ value[:, h]) @ out[h] for h in range(heads))
            x = x + made
            x = x + np.tanh(x @ kernel + bias)
        x = {"first": x[0], "last": x[-1], "mean": x.mean(axis=0), "all": x}[self.head]
        return x @ self.scores[0] + self.scores[1], found

    def gradients(self, x: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
        """Return the gradient of a score by the attention weights of each layer, by finite differences."""
        _, found = self.run(x)
        made = []
        for layer, attention in enumerate(found):
            gradient = np.zeros_like(attention)
            for place in np.ndindex(attention.shape):
                change = np.zeros_like(attention)
                change[place] = 1e-5
                up, down = (self.run(x, (layer, sign * change))[0] for sign in (1, -1))
                gradient[place] = ((up - down) * weights).sum() / 2e-5
            made.append(gradient)
        return made

    def rows(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return how much each row counts: the size of the score's gradient by what it is made of.

        What a head makes for a token is its row of weights times the values, so the gradient by it follows
        from those by the weights: with as many keys as features, or more, `g_A = V g_o`.
        """
        states = x
        for layer in range(len(self.blocks) - 1):
            states = self._after(states, layer)
        value = self.blocks[-1][2]
        gradient = self.gradients(x, weights)[-1]
        counts = np.zeros(len(x))
        for h in range(value.shape[1]):
            solved = np.linalg.lstsq(states @ value[:, h], gradient[h].T, rcond=None)[0]
            counts += (solved**2).sum(axis=0)
        counts = np.sqrt(counts)
        return counts / counts.sum()

    def _after(self, x: np.ndarray, layer: int) -> np.ndarray:
        part = object.__new__(Oracle)
        part.head, part.causal, part.blocks = "all", self.causal, self.blocks[layer : layer + 1]
        part.scores = [np.eye(x.shape[1]), np.zeros(x.shape[1])]
        return part.run(x)[0]

    def map(self, kind: Any, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        x = x.astype(np.float64)
        _, found = self.run(x)
        gradients = self.gradients(x, weights)
        joined = np.eye(len(x))
        for attention, gradient in zip(found, gradients, strict=True):
            if kind is AttentionRollout:
                joined = (0.5 * attention.mean(axis=0) + 0.5 * np.eye(len(x))) @ joined
            else:
                joined = joined + np.maximum(attention * gradient, 0).mean(axis=0) @ joined
        return self.rows(x, weights) @ joined


def series(count: int = 3, tokens: int = 5, features: int = 6, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, tokens, features)).astype(np.float32)


ONES = np.eye(3)[[0, 2, 1]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", [*STYLES, "mha"])
def test_each_way_to_write_attention(kind: Any, style: str) -> None:
    model, x = transformer(style), series()
    found = kind(model).explain(x, ONES)
    assert found.shape == (3, 5, 1) and found.dtype == np.float32
    wanted = [Oracle(model, "first").map(kind, *pair) for pair in zip(x, ONES, strict=True)]
    np.testing.assert_allclose(found[..., 0], wanted, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", ["last", "mean", "all"])
@pytest.mark.parametrize("causal", [False, True])
def test_the_rows_that_the_score_depends_on(kind: Any, head: str, causal: bool) -> None:
    model, x = transformer("einsum", head, causal=causal), series()
    weights = np.random.default_rng(5).normal(0, 1, (3, 5, 3)) if head == "all" else ONES
    found = kind(model).explain(x, weights)
    oracle = Oracle(model, head, causal)
    wanted = [oracle.map(kind, *pair) for pair in zip(x, weights, strict=True)]
    np.testing.assert_allclose(found[..., 0], wanted, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("style", ["einsum", "mha", "fused"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_decoder_is_read_at_the_position_of_its_target(kind: Any, style: str) -> None:
    model, x = transformer(style, "all", causal=True), series()
    weights = np.zeros((3, 5, 3), np.float32)
    weights[:, 2, 1] = 1
    found = kind(model).explain(x, weights)[..., 0]
    assert not found[:, 3:].any(), "no token after the position"
    wanted = [Oracle(model, "all", True).map(kind, *pair) for pair in zip(x, weights, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-5)


def alone(value: float = 1.0) -> keras.Model:
    """Return one layer with one head, uniform attention and values that are the tokens, read at the first."""
    inputs = keras.Input((4, 1))
    attend = SelfAttention(1)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)((inputs + attend(inputs))[:, 0]))
    one = np.ones((1, 1, 1))
    model.set_weights([0 * one, 0 * one, one, one, np.full((1, 1), value)])
    return model


def test_uniform_attention_by_hand() -> None:
    x = np.array([[2, -1, 3, 0]], np.float32)[..., None]
    found = AttentionRollout(alone()).explain(x, 0)[0, :, 0]
    np.testing.assert_allclose(found, [0.5 + 1 / 8, 1 / 8, 1 / 8, 1 / 8], rtol=1e-6)
    # S = w x_0 + w sum_k A_k x_k, so that dS/dA_k = w x_k, and R_0 = (1, 0, 0, 0) + max(w x / 4, 0).
    for value, wanted in ((2, [2, 0, 1.5, 0]), (-2, [1, 0.5, 0, 0])):
        found = AttentionRelevance(alone(value)).explain(x, 0)[0, :, 0]
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("style", ["einsum", "heads in the batch", "mha"])
def test_a_sample_does_not_depend_on_its_neighbours(kind: Any, style: str) -> None:
    explainer, x = kind(transformer(style, "mean")), series(4)
    together = explainer.explain(x, [0, 1, 2, 0])
    for place, target in enumerate([0, 1, 2, 0]):
        found = explainer.explain(x[place : place + 1], [target])
        np.testing.assert_allclose(found[0], together[place], rtol=1e-4, atol=1e-6)


def test_rollout_adds_up_to_one() -> None:
    for head in ("first", "mean"):
        found = AttentionRollout(transformer("mha", head)).explain(series(), ONES)
        np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, rtol=1e-5)


# ---- models ----------------------------------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self, inner: keras.Model) -> None:
        super().__init__()
        self.inner = inner

    def call(self, x: Any) -> Any:
        return self.inner(x) * 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_nested_and_subclassed_models(kind: Any) -> None:
    model, x = transformer("mha"), series()
    wanted = kind(model).explain(x, ONES)
    inputs = keras.Input(x.shape[1:])
    nested = keras.Model(inputs, layers.Activation("linear")(model(inputs)))
    subclassed = Subclassed(model)
    subclassed(x)
    for other in (nested, subclassed):
        np.testing.assert_allclose(kind(other).explain(x, ONES), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_only_layers_before_the_output_layer_count(kind: Any) -> None:
    model, x = transformer("einsum"), series()
    earlier = keras.Model(model.inputs, model.get_layer("dense0").output)
    weights = np.random.default_rng(1).normal(0, 1, (3, 5, 6))
    found = kind(model, "dense0").explain(x, weights)
    np.testing.assert_allclose(found, kind(earlier).explain(x, weights), rtol=1e-5, atol=1e-7)


class ClassToken(layers.Layer):
    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 2, shape[-1]), initializer="zeros", name="tokens")

    def call(self, x: Any) -> Any:
        tokens = ops.broadcast_to(self.token, (ops.shape(x)[0], 2, x.shape[-1]))
        return ops.concatenate([tokens, x], axis=1)


def vision(hides: bool = False) -> keras.Model:
    """Return a transformer whose class token looks for bright patches, 3 rows and 5 columns of 2 x 2."""
    image = keras.Input((6, 10, 1))
    x = layers.Conv2D(2, 2, 2, use_bias=False)(image)
    x = ops.reshape(x, (-1, 15, 2))
    if hides:
        x = ops.sort(ops.expand_dims(x, 3), axis=3)[..., 0]
    x = ClassToken()(x)
    attend = SelfAttention(1)
    x = x + attend(x)
    x = layers.Dense(2, activation="relu", name="dense")(x)
    model = keras.Model(image, layers.Dense(1, use_bias=False)(x[:, 0]))
    first = np.zeros((2, 2, 1, 2))
    first[..., 0] = 1
    token = np.zeros((1, 2, 2))
    token[..., 1] = 5.0  # the class token asks for what the second feature of its query finds
    query, key, value, out = np.zeros((4, 2, 2))
    query[1, 0] = key[0, 0] = value[0, 0] = out[0, 0] = 1
    kernels = [query.reshape(2, 1, 2), key.reshape(2, 1, 2), value.reshape(2, 1, 2), out.reshape(1, 2, 2)]
    model.set_weights([first, token, *kernels, np.eye(2), np.zeros(2), np.ones((2, 1))])
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row, column", [(0, 0), (1, 3), (2, 4), (2, 1)])
def test_the_map_lies_where_the_class_token_looks(kind: Any, row: int, column: int) -> None:
    x = np.zeros((2, 6, 10, 1), np.float32)
    x[1, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 1
    found = kind(vision()).explain(x, 0)
    assert found.shape == (2, 6, 10, 1)
    assert np.ptp(found[0]) < 1e-6, "nothing to look at"
    map_ = found[1, ..., 0]
    assert np.isclose(map_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max(), map_.max())
    far = [abs(r // 2 - row) > 1 or abs(c // 2 - column) > 1 for r in range(6) for c in range(10)]
    assert map_.reshape(-1)[far].max() < 0.5 * map_.max()


def test_the_weights_of_patches_stand_at_their_centres() -> None:
    x = np.random.default_rng(0).random((1, 6, 10, 1)).astype(np.float32)
    model = vision()
    found = AttentionRollout(model).explain(x, 0)[0, ..., 0]
    bright = x[0, ..., 0].reshape(3, 2, 5, 2).sum(axis=(1, 3)).reshape(-1)
    raised = np.exp(np.concatenate([[0, 0], 5 * bright / np.sqrt(2)]))
    weights = (0.5 * raised / raised.sum())[2:].reshape(3, 5)
    between = found.reshape(3, 2, 5, 2)[1, :, 2, :]  # a patch inside: the mean of its pixels, to first order
    corner = found[0, 0]  # beyond the outermost centres the map is constant
    assert np.isclose(corner, weights[0, 0], rtol=1e-4)
    near = weights[0:3, 1:4]
    kernel = np.outer([1, 6, 1], [1, 6, 1]) / 64  # of linear interpolation at +- half a pixel of 2
    assert np.isclose(between.mean(), (kernel * near).sum(), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_that_the_computation_does_not_show(kind: Any) -> None:
    x = np.zeros((1, 6, 10, 1), np.float32)
    x[0, 2:4, 6:8] = 1
    hidden = vision(hides=True)
    with pytest.raises(LayerError, match=r"cannot be followed to the input.*tokens, grid=\(height, width\)"):
        kind(hidden).explain(x, 0)
    found = kind(hidden, grid=(3, 5)).explain(x, 0)[0, ..., 0]
    assert np.unravel_index(found.argmax(), found.shape) in [(r, c) for r in (2, 3) for c in (6, 7)]
    np.testing.assert_array_equal(kind(vision(), grid=(3, 5)).explain(x, 0), kind(vision()).explain(x, 0))
    with pytest.raises(LayerError, match="cannot be followed"):
        kind(hidden, grid=(5, 5)).explain(x, 0)


def reader(causal: bool = False, masks: bool = False, segments: bool = False) -> keras.Model:
    """Return a transformer of tokens given as integers."""
    keras.utils.set_random_seed(2)
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    inputs: Any = tokens
    embedded = layers.Embedding(20, 6, name="embedding", mask_zero=masks)(tokens)
    if segments:
        kinds = keras.Input((None,), dtype="int32", name="segments")
        inputs = {"tokens": tokens, "segments": kinds}
        embedded = embedded + layers.Embedding(2, 6, name="segment")(kinds)
    x = embedded
    for _ in range(1 if masks else 2):  # a sum drops the mask
        attend = layers.MultiHeadAttention(2, 3)
        x = layers.LayerNormalization()(x + attend(x, x, use_causal_mask=causal))
        x = layers.LayerNormalization()(x + layers.Dense(6, activation="gelu")(x))
    pooled = x[:, -1] if causal else x[:, 0] if masks else layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3)(pooled))


TOKENS = np.random.default_rng(0).integers(1, 20, (3, 7)).astype(np.int32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("causal", [False, True])
def test_tokens_as_integers_and_by_their_embedding(kind: Any, causal: bool) -> None:
    model = reader(causal)
    found = kind(model).explain(TOKENS, ONES)
    assert found.shape == (3, 7) and (found >= 0).all() and found.any(axis=1).all()
    by_name = kind(model, wrt="embedding").explain(TOKENS, ONES)
    np.testing.assert_allclose(by_name, found[..., None], rtol=1e-5)
    shorter = kind(model).explain(TOKENS[:, 2:], ONES)
    assert shorter.shape == (3, 5)
    if kind is AttentionRollout:
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_masked_tokens_count_nothing(kind: Any) -> None:
    model = reader(masks=True)
    padded = np.concatenate([TOKENS, np.zeros((3, 2), np.int32)], axis=1)
    found = kind(model).explain(padded, ONES)
    assert not found[:, 7:].any()
    np.testing.assert_allclose(found[:, :7], kind(model).explain(TOKENS, ONES), rtol=1e-3, atol=1e-6)
    by_name = kind(model, wrt="embedding").explain(padded, ONES)
    np.testing.assert_allclose(by_name, found[..., None], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_map_for_tokens_with_segments(kind: Any) -> None:
    inputs = {"tokens": TOKENS, "segments": TOKENS % 2}
    found = kind(reader(segments=True)).explain(inputs, ONES)
    assert found.shape == (3, 7)


def test_a_last_layer_that_pools_with_a_query_of_its_own() -> None:
    inputs = keras.Input((4, 2))
    attend = SelfAttention(1)
    x = inputs + attend(inputs)
    scores = layers.Dense(1, use_bias=False)(x)[..., 0]
    pooled = ops.einsum("bk,bkd->bd", ops.softmax(scores), x)
    model = keras.Model(inputs, layers.Dense(1, use_bias=False)(pooled))
    zero, x_in = np.zeros((2, 1, 2)), series(1, 4, 2)
    eye = np.eye(2)
    model.set_weights([zero, zero, eye[:, None], eye[None], eye[:, :1], np.ones((2, 1))])
    x_out = x_in[0].astype(np.float64) + x_in[0].mean(axis=0)
    raised = np.exp(x_out[:, 0])
    weights = raised / raised.sum()
    wanted = weights @ (0.5 * np.eye(4) + 0.5 / 4)
    found = AttentionRollout(model).explain(x_in, 0)[0, :, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)
    # S = sum_k p_k s(x_k + sum_j A_kj x_j) with s the sum of the features, and p depends on A by the first.
    summed = x_out.sum(axis=1)
    last = np.maximum(weights * summed, 0)
    by_out = weights[:, None] * (1 + np.stack([summed - weights @ summed, np.zeros(4)], axis=1))
    first = np.maximum(by_out @ x_in[0].astype(np.float64).T / 4, 0)
    found = AttentionRelevance(model).explain(x_in, 0)[0, :, 0]
    np.testing.assert_allclose(found, last @ (np.eye(4) + first), rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind: Any) -> None:
    whole = transformer("mha")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = transformer("mha")
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(whole.get_weights())
    found = kind(half).explain(series(), ONES)
    np.testing.assert_allclose(found, kind(whole).explain(series(), ONES), rtol=0.05, atol=5e-3)


def test_an_empty_batch() -> None:
    assert AttentionRollout(vision()).explain(np.zeros((0, 6, 10, 1), np.float32)).shape == (0, 6, 10, 1)


# ---- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_attention(kind: Any) -> None:
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(layers.Dense(3, "softmax")(inputs))))
    with pytest.raises(LayerError, match=r"no attention between.*disable_flash_attention"):
        kind(model).explain(np.ones((1, 4, 3), np.float32), 0)


class Looped(layers.Layer):
    """Attention whose inside is not seen."""

    def call(self, x: Any) -> Any:
        query, key, value = x * 2.0, x * 3.0, x + 1.0

        def body(step: Any, total: Any) -> Any:
            scores = ops.matmul(query * ops.cast(step + 1, query.dtype), ops.swapaxes(key, 1, 2))
            return step + 1, total + ops.matmul(ops.softmax(scores), value)

        return ops.while_loop(lambda step, _: step < 2, body, (0, ops.zeros_like(value)))[1]


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs the steps of a loop one by one")
def test_hidden_attention_is_named() -> None:
    inputs = keras.Input((4, 3))
    x = Looped(name="looped")(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))
    with pytest.raises(LayerError, match=r"may run in: looped"):
        AttentionRollout(model).explain(series(1, 4, 3), 0)
    attend = SelfAttention(1)
    both = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x + attend(inputs))))
    with pytest.warns(PartialOverrideWarning, match=r"inside is not seen: looped.*disable_flash"):
        AttentionRollout(both).explain(series(1, 4, 3), 0)


def test_windows_are_refused() -> None:
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 1)(image)
    x = ops.transpose(ops.reshape(x, (-1, 2, 4, 2, 4, 4)), (0, 1, 3, 2, 4, 5))
    x = SelfAttention(2, name="windows")(ops.reshape(x, (-1, 16, 4)))
    model = keras.Model(image, layers.Dense(2)(layers.Flatten()(ops.reshape(x, (-1, 256)))))
    with pytest.raises(LayerError, match="'windows' is not among all tokens"):
        AttentionRollout(model).explain(np.ones((2, 8, 8, 3), np.float32), 0)


def test_cross_attention_is_named() -> None:
    one, other = keras.Input((4, 6)), keras.Input((5, 6))
    encoded = one + layers.MultiHeadAttention(2, 3, name="encode")(one, one)
    crossed = other + layers.MultiHeadAttention(2, 3, name="cross")(other, encoded)
    decoded = crossed + layers.MultiHeadAttention(2, 3, name="decode")(crossed, crossed)
    x = [series(2, 4), series(2, 5)]
    model = keras.Model([one, other], layers.Dense(2)(decoded[:, 0]))
    with pytest.raises(LayerError, match=r"'(cross|decode)' cannot be followed.*wrt"):
        AttentionRollout(model).explain(x, 0)


def test_a_softmax_over_other_axes_is_no_attention() -> None:
    inputs = keras.Input((4, 3))
    assigned = ops.softmax(layers.Dense(4)(inputs), axis=-1)  # each token to clusters
    model = keras.Model(
        inputs, layers.Dense(2)(layers.Flatten()(ops.einsum("btk,btd->bkd", assigned, inputs)))
    )
    with pytest.raises(LayerError, match=r"no attention.*not taken over the one axis that they sum over"):
        AttentionRollout(model).explain(series(1, 4, 3), 0)


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="grid is a pair"):
        AttentionRollout(vision(), grid=(0, 1))
    assert repr(AttentionRollout(vision(), grid=(3, 5))).endswith("grid=(3, 5))")
    assert AttentionRelevance(vision()).settings()["method"] == "AttentionRelevance"
