"""Inputs: their number, their structure, their shape, their type and their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from tests.traps.oracle import Written, normalized, right
from tests.traps.topology import chain, refused
from tests.traps.trap import IMAGE, SHAPE, Case, Trap, dense, hidden
from vis.attributions import GradCAM, GuidedBackprop, IntegratedGradients, Saliency
from vis.errors import InputError
from vis.visualization import visualize_cam


def picture(*shape: int) -> Any:
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def shaped(
    shape: tuple[int, ...], *stack: Callable[[], Any], known: bool = True, **options: Any
) -> Callable[[], Case]:
    """Return what builds a network for inputs of a shape; the first of the layers has places."""

    def build() -> Case:
        made = [layer() for layer in stack]
        end = [layers.Flatten()] if known else [layers.GlobalAveragePooling2D()]
        end += [hidden(), dense(2)]
        model = chain(*made, *end, shape=shape if known else (None, None, shape[-1]))
        given = {"x": picture(*shape), **options}
        return Case(model, found=made[0] if made else None, **given)

    return build


def conv2d(*size: int, filters: int = 4) -> Any:
    return layers.Conv2D(filters, size or 3, activation="relu", bias_initializer="ones")


def conv1d() -> Any:
    return layers.Conv1D(4, 3, activation="relu", bias_initializer="ones")


def conv3d() -> Any:
    return layers.Conv3D(3, 2, activation="relu", bias_initializer="ones")


def given_as(form: Callable[[Any], Any], **options: Any) -> Callable[[], Case]:
    """Return what builds a case whose input is given in another form."""
    pixels = np.random.default_rng(11).integers(0, 5, SHAPE).astype(np.float32)
    return shaped(SHAPE, conv2d, x=form(pixels), arrays=[pixels], **options)


def read_only(x: Any) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


def channels_first() -> Case:
    """A convolution of this format does not run on every CPU; pooling and batch norm do."""
    pool = layers.AveragePooling2D(2, strides=1, data_format="channels_first")
    norm, last = layers.BatchNormalization(axis=1), layers.ReLU()
    model = chain(pool, norm, last, layers.Flatten(), dense(2), shape=(3, 4, 6))
    norm.gamma.assign([1.0, -3.0, 0.2])
    return Case(model, picture(3, 4, 6), found=last, axis=0, places_axis=0)


class Mixed:
    """An image and a table, each through a layer of its own, and what joins them."""

    def __init__(self) -> None:
        self.places, self.hidden = conv2d(filters=2), hidden()
        self.end = dense(2)
        self.image, self.table = keras.Input(SHAPE, name="image"), keras.Input((6,), name="table")

    def joined(self, inputs: Any) -> keras.Model:
        parts = [layers.Flatten()(self.places(self.image)), self.hidden(self.table)]
        return keras.Model(inputs, self.end(layers.Concatenate()(parts)))

    def forward(self, w: Written, image: Any, table: Any) -> Any:
        return w.run(
            self.end,
            ops.concatenate([w.run([self.places, layers.Flatten()], image), w.run(self.hidden, table)], 1),
        )


def image_and_table() -> Case:
    net = Mixed()
    return Case(net.joined([net.image, net.table]), [IMAGE, picture(6)], net.forward, found=net.places)


def dict_inputs() -> Case:
    net = Mixed()
    # The order of the keys in the model is not that in what is given.
    model = net.joined({"table": net.table, "image": net.image})
    return Case(model, {"image": IMAGE, "table": picture(6)}, net.forward, found=net.places)


def not_used() -> Case:
    net = Mixed()
    aside = dense(2)(net.table)
    stack = [net.places, layers.Flatten(), dense(2, name="seen")]
    x = net.image
    for layer in stack:
        x = layer(x)
    model = keras.Model([net.image, net.table], [x, aside])
    forward = lambda w, image, table: w.run(stack, image)  # noqa: E731
    return Case(model, [IMAGE, picture(6)], forward, layer="seen", found=net.places, plain=False)


TOKENS = np.array([3, 1, 4, 1, 5, 0, 0])


def text(wrt: bool, mask_zero: bool = False) -> Callable[[], Case]:
    """Return what builds tokens -> Embedding -> LSTM -> Dense."""

    def build() -> Case:
        embedding, lstm = layers.Embedding(8, 4, mask_zero=mask_zero), layers.LSTM(5)
        middle, end = hidden(), dense(2)
        entry = keras.Input((7,), dtype="int32")
        model = keras.Model(entry, end(middle(lstm(embedding(entry)))))

        def forward(w: Written, tokens: Any) -> Any:
            mask = ops.convert_to_tensor(TOKENS[None] != 0) if mask_zero else None
            vectors = w.mark(embedding, ops.take(embedding.embeddings, tokens, axis=0))
            return w.run([middle, end], lstm(vectors, mask=mask))

        return Case(model, TOKENS, forward, wrt=embedding if wrt else None, plain=False)

    return build


def padding_counts_for_nothing(case: Case) -> None:
    """The attribution of what is padded is 0 to the bit."""
    found = Saliency(case.model, wrt=case.wrt, reducer=None)(TOKENS[None], 1)[0]
    assert found[:5].any(axis=1).all()
    assert not found[5:].any()


def class_map_of_tokens(case: Case) -> None:
    """The tokens are the positions of the embedding: each has its part of Grad-CAM."""
    _, embedding, lstm, *rest = case.model.layers
    vectors = embedding(TOKENS[None])
    mask = embedding.compute_mask(TOKENS[None])

    def score(vectors: Any) -> Any:
        y = lstm(vectors, mask=mask)
        for layer in rest:
            y = layer(y)
        return y[0, 1]

    weights = native.gradient(score, vectors)[0].mean(axis=0)
    heat = np.maximum(ops.convert_to_numpy(vectors)[0] @ weights, 0)
    mask = None if mask is None else ops.convert_to_numpy(mask)
    expected = normalized(heat if mask is None else np.where(mask[0], heat, 0))
    found = visualize_cam(case.model, -1, 1, TOKENS)
    np.testing.assert_allclose(found, expected, atol=case.tolerance)
    by_explainer = GradCAM(case.model)(TOKENS[None], 1)
    assert by_explainer.shape == (1, 7, 1)
    np.testing.assert_allclose(normalized(by_explainer[0, :, 0]), expected, atol=case.tolerance)


def batch_of_none(case: Case) -> None:
    """There is nothing to explain: no map, in the shape of maps."""
    for kind in (Saliency, GuidedBackprop, IntegratedGradients, GradCAM):
        assert kind(case.model)(case.x, 1).shape == (0, 5, 4, 1)


def batch_of_seven(case: Case) -> None:
    """In parts of three, three and one, the maps are those of the samples one by one."""
    alone = [right(replace(case, x=sample)) for sample in case.x]
    for size in (3, 7, 64, None):
        found = Saliency(case.model, batch_size=size, reducer=None, grad_modifier=None)(case.x, 1)
        wanted = np.stack([each.gradients[0] for each in alone])
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6 * abs(wanted).max())


def without_batch_axis(case: Case) -> None:
    """A batch is asked for, so that no axis of an image is mistaken for that of samples."""
    for kind in (Saliency, GuidedBackprop, IntegratedGradients, GradCAM):
        with pytest.raises(
            InputError, match=r"must have shape \(5, 4, 3\), with its batch axis.*Received: shape"
        ):
            kind(case.model)(case.x, 1)


def under(policy: str) -> Callable[[], Case]:
    """Return what builds a network of half precision, and the same in single precision as its oracle."""

    def build() -> Case:
        before = keras.config.dtype_policy()
        make = shaped(SHAPE, conv2d)
        try:
            keras.config.set_dtype_policy(policy)
            case = make()
        finally:
            keras.config.set_dtype_policy(before)
        twin = make()
        twin.model.set_weights([np.asarray(weight, np.float32) for weight in case.model.get_weights()])
        case.forward, case.found = (lambda w, x: w.run(twin.model, x)), twin.found
        case.plain, case.tolerance = False, 0.06 if policy == "bfloat16" else 0.01
        return case

    return build


REACHED = {"guided": "reached"}
EMPTY = {"saliency": "warned: EmptyMapWarning", "guided": "warned: EmptyMapWarning"}
NO_PLACES = {**REACHED, "cam": "refused: LayerError"}
OF_TOKENS = {"CAM": class_map_of_tokens}
ONE_AT_A_TIME = dict.fromkeys(("saliency", "guided", "rectified", "CAM"), ("batch of 7", "explain(batch)"))
NOT_FINITE = {
    method: ("NaN or infinite", "(2, 3, 1)")
    for method in ("saliency", "guided", "rectified", "CAM", "explainers")
}
INTEGERS = {method: ("integer",) for method in ("saliency", "guided", "rectified", "explainers")}
# So is what a convolution makes of it.
ALL_THE_SAME = "warned: EmptyMapWarning"
BATCHES = {**refused("InputError"), "explainers": "holds"}


def spoiled(value: float) -> Callable[[], Case]:
    x = IMAGE.copy()
    x[2, 3, 1] = value
    return shaped(SHAPE, conv2d, x=x)


TRAPS = [
    Trap("image and table", image_and_table, **REACHED),
    Trap("dict inputs", dict_inputs, **REACHED),
    Trap(
        "one input that the target does not depend on",
        not_used,
        **EMPTY,
        says={method: ("shape (6,)",) for method in ("saliency", "guided", "rectified")},
    ),
    Trap(
        "integer tokens",
        text(wrt=False),
        **refused("InputError") | {"cam": "holds"},
        says=INTEGERS,
        checks=OF_TOKENS,
    ),
    Trap(
        "integer tokens, Embedding, LSTM, by the output of the embedding",
        text(wrt=True),
        **REACHED,
        checks=OF_TOKENS,
    ),
    Trap("padding of mask_zero", text(wrt=True, mask_zero=True), **REACHED, checks=OF_TOKENS),
    Trap(
        "padding of mask_zero counts for nothing",
        text(wrt=True, mask_zero=True),
        saliency="-",
        guided="-",
        cam="-",
        checks={"explainers": padding_counts_for_nothing},
    ),
    Trap("Conv1D", shaped((7, 3), conv1d), **REACHED),
    Trap("Conv3D", shaped((4, 5, 3, 2), conv3d), **REACHED),
    Trap("features only, (F,)", shaped((6,)), **NO_PLACES),
    Trap("channels_first", channels_first, **REACHED),
    Trap("height is not width", shaped((4, 7, 3), conv2d), **REACHED),
    Trap("a height of 1", shaped((1, 7, 3), lambda: conv2d(1, 3)), **REACHED),
    Trap("a width of 1", shaped((7, 1, 3), lambda: conv2d(3, 1)), **REACHED),
    Trap("11 channels", shaped((4, 5, 11), conv2d), **REACHED),
    Trap(
        "(None, None, 3) with two sizes in a row",
        shaped((5, 4, 3), conv2d, known=False, others=(picture(9, 7, 3), picture(5, 4, 3))),
        **REACHED,
    ),
    Trap("uint8", given_as(lambda x: x.astype(np.uint8)), **REACHED),
    Trap("float64", given_as(lambda x: x.astype(np.float64)), **REACHED),
    Trap("int lists", given_as(lambda x: x.astype(int).tolist()), **REACHED),
    Trap("non-contiguous", given_as(lambda x: np.repeat(x, 3, axis=1)[:, ::3]), **REACHED),
    Trap("read-only", given_as(read_only), **REACHED),
    Trap("no batch axis", given_as(lambda x: x), **REACHED, checks={"explainers": without_batch_axis}),
    Trap("a batch of 0", given_as(lambda x: x[None][:0]), **BATCHES, checks={"explainers": batch_of_none}),
    Trap("a batch of 1", given_as(lambda x: x[None]), **REACHED),
    Trap(
        "a batch that batch_size does not divide",
        shaped(SHAPE, conv2d, x=picture(7, *SHAPE)),
        **BATCHES,
        says=ONE_AT_A_TIME,
        checks={"explainers": batch_of_seven},
    ),
    Trap(
        "a constant image",
        shaped(SHAPE, conv2d, x=np.full(SHAPE, 1, np.float32)),
        **REACHED,
        cam=ALL_THE_SAME,
        # There, a convolution of equal windows may round them differently, on some processors.
        on={"torch": {"cam": "-"}},
    ),
    Trap("an input with NaN", spoiled(np.nan), **refused("InputError"), says=NOT_FINITE),
    Trap("an input with inf", spoiled(-np.inf), **refused("InputError"), says=NOT_FINITE),
    Trap("the policy float16", under("float16"), **REACHED),
    Trap("the policy bfloat16", under("bfloat16"), **REACHED),
]
