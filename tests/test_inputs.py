"""Strings, which have no map of their own, and optional inputs that are empty."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import GradCAM, IntegratedGradients, Occlusion, Saliency, SmoothGrad
from vis.errors import InputError
from vis.visualization import visualize_saliency


def picture(*shape: int, seed: int = 3) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


NEEDS_TENSORFLOW = "Keras's layers of strings need TensorFlow"


@pytest.fixture(scope="module")
def reader() -> keras.Model:
    if native.NAME != "TensorFlow":
        pytest.skip(NEEDS_TENSORFLOW)
    keras.utils.set_random_seed(5)
    words = layers.TextVectorization(output_sequence_length=5, vocabulary=list("abcdef"))
    embedding = layers.Embedding(8, 4, name="embedding")
    mean = layers.GlobalAveragePooling1D()
    return keras.Sequential(
        [keras.Input((1,), dtype="string"), words, embedding, layers.Dense(4, "tanh"), mean, layers.Dense(3)]
    )


TEXTS = ["a b", "c d e", "f"]


def test_strings_are_explained_by_the_first_layer_of_floats(reader: keras.Model) -> None:
    ids = np.asarray(reader.layers[0](np.array(TEXTS)[:, None]))
    numbers = keras.Sequential([keras.Input((5,), dtype="int64"), *reader.layers[1:]])
    for kind in (Saliency, IntegratedGradients, SmoothGrad):
        wanted = kind(numbers, wrt="embedding").explain(ids, [0, 1, 2])
        data = (TEXTS, [0, 1, 2])
        for given in (TEXTS, np.array(TEXTS), np.array(TEXTS, object)[:, None]):
            found = kind(reader, wrt="embedding").explain(given, [0, 1, 2])
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
        for stream in (native.dataset(data), native.dataset(data, 2), zip(TEXTS, [0, 1, 2], strict=True)):
            found = kind(reader, wrt="embedding", batch_size=2).explain(stream)
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    found = visualize_saliency(reader, -1, 1, [["c d e"]], wrt_tensor=reader.get_layer("embedding").output)
    assert found.shape == (5,) and found.max() == 1


def test_strings_alone_have_no_map(reader: keras.Model) -> None:
    for kind in (Saliency, IntegratedGradients, SmoothGrad, Occlusion):
        with pytest.raises(InputError, match=r"no map of a string.*the layer 'embedding': wrt='embedding'"):
            kind(reader).explain(TEXTS, 0)
    with pytest.raises(InputError, match=r"the layer 'embedding': wrt='embedding'"):
        visualize_saliency(reader, -1, 1, [["c d e"]])
    inner = keras.Sequential([keras.Input((1,), dtype="string"), reader])
    with pytest.raises(InputError, match=f"wrt='{reader.name}/embedding'"):
        Saliency(inner).explain(TEXTS, 0)
    with pytest.raises(InputError, match=r"must hold strings. Received: ndarray of type float64"):
        Saliency(reader, wrt="embedding").explain(np.ones((3, 1)), 0)


@pytest.mark.skipif(native.NAME != "TensorFlow", reason=NEEDS_TENSORFLOW)
def test_strings_beside_a_picture() -> None:
    text, image = keras.Input((1,), dtype="string"), keras.Input((4, 5, 3))
    looked_up = layers.StringLookup(vocabulary=["a", "b"])(text)
    both = layers.concatenate([layers.Flatten()(layers.Embedding(4, 2)(looked_up)), layers.Flatten()(image)])
    model = keras.Model([text, image], layers.Dense(2)(both))
    given = [np.array(["a", "b"]), np.stack([picture(4, 5, 3)] * 2)]
    for kind in (Saliency, IntegratedGradients, SmoothGrad):
        of_text, of_image = kind(model).explain(given, 0)
        assert of_text.shape == (2, 1) and not of_text.any() and of_image.any()


def optional() -> keras.Model:
    """A picture with masks, of which there may be none."""
    keras.utils.set_random_seed(5)
    image, masks = keras.Input((4, 5, 3), name="image"), keras.Input((None, 4, 5, 1), name="masks")
    seen = layers.Conv2D(2, 3, padding="same", name="conv")(image)
    weighed = seen * (1 + ops.sum(masks, axis=1))
    return keras.Model([image, masks], layers.Dense(2)(layers.Flatten()(weighed)))


def test_an_optional_input_may_be_empty() -> None:
    model, images = optional(), np.stack([picture(4, 5, 3), picture(4, 5, 3, seed=9)])
    empty, zeros = np.zeros((2, 0, 4, 5, 1), np.float32), np.zeros((2, 1, 4, 5, 1), np.float32)
    for kind in (Saliency, IntegratedGradients):
        found, wanted = kind(model).explain([images, empty], 1), kind(model).explain([images, zeros], 1)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=1e-7)
        assert found[1].shape == (2, 0, 4, 5, 1)
    assert SmoothGrad(model).explain([images, empty], 1)[1].shape == (2, 0, 4, 5, 1)
    np.testing.assert_allclose(
        GradCAM(model).explain([images, empty], 1), GradCAM(model).explain([images, zeros], 1), rtol=1e-5
    )
    of_image, of_masks = visualize_saliency(model, -1, 1, [images[0], empty[0]])
    assert of_image.any() and of_masks.shape == (0, 4, 5)
    with pytest.raises(InputError, match="'image' must have shape"):
        Saliency(model).explain([images[:, :0], empty], 1)
    free = keras.Model(a := [keras.Input((None, 2)), keras.Input((None, 3))], layers.concatenate(a))
    with pytest.raises(InputError, match="must have values"):
        Saliency(free).explain([np.zeros((1, 0, 2)), np.zeros((1, 0, 3))], 0)


NESTED: dict[str, tuple[Any, Any]] = {
    "lists in a list": (lambda a, b, c: [a, [b, c]], lambda found: [found[0], *found[1]]),
    "a dict in a list": (
        lambda a, b, c: [a, {"q": b, "p": c}],
        lambda found: [found[0], found[1]["q"], found[1]["p"]],
    ),
    "deep": (lambda a, b, c: [[[a], b], c], lambda found: [found[0][0][0], found[0][1], found[1]]),
}


@pytest.mark.parametrize("case", NESTED)
def test_inputs_inside_others(case: str) -> None:
    arranged, listed = NESTED[case]
    symbols = [keras.Input((4,), name=name) for name in "abc"]
    joined = layers.Concatenate()([symbols[0], 2 * symbols[1], 3 * symbols[2] ** 2])
    output = layers.Dense(2)(joined)
    model, flat = keras.Model(arranged(*symbols), output), keras.Model(symbols, output)
    arrays = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    found = Saliency(model).explain(arranged(*arrays), 1)
    by_name = dict(zip("abc", Saliency(flat).explain([*arrays], 1), strict=True))
    names = [each.name for each in listed(arranged(*symbols))]
    for name, each in zip(names, listed(found), strict=True):
        np.testing.assert_array_equal(each, by_name[name])
    one = visualize_saliency(model, -1, 1, arranged(*arrays[:, :1]))
    assert [each.shape for each in listed(one)] == [(4,)] * 3
    given = dict(zip("abc", arrays, strict=True))  # by their names, too
    assert set(Saliency(model).explain(given, 1)) == {*"abc"}
    with pytest.raises(InputError, match="The model takes 3 inputs"):
        Saliency(model).explain([arrays[0], arrays[1:]][:1], 1)
