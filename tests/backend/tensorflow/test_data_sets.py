"""What only users of TensorFlow have: data sets of `tf.data`, and the generators of `tf.keras`."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from vis.attributions import GradientExplainer, Saliency
from vis.attributions.batches import is_stream
from vis.errors import InputError


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


X, Y = random(7, 4, 3, 2), np.array([0, 2, 1, 1, 0, 2, 2])
TABLE, LABELS, WEIGHTS = random(7, 3), np.array([0, 1, 1, 0, 1, 0, 0]), np.linspace(0, 3, 7)
DATA = tf.data.Dataset


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(5)
    stack = [layers.Flatten(), layers.Dense(5, "tanh"), layers.Dense(3, name="end")]
    return keras.Sequential([layers.Input((4, 3, 2), name="only"), *stack])


def flow(*columns: Any, **given: Any) -> Any:
    generator = tf.keras.preprocessing.image.ImageDataGenerator()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of two channels
        return generator.flow(*columns, batch_size=3, shuffle=False, **given)


STREAMS: dict[str, tuple[Callable[[], Any], Any]] = {
    "a tensor": (lambda: tf.constant(X), Y),
    "numpy iterator": (lambda: DATA.from_tensor_slices((X, Y)).batch(3).as_numpy_iterator(), None),
    "image data generator": (lambda: flow(X), Y),
    "image data generator of pairs": (lambda: flow(X, Y), None),
    "image data generator of triples": (lambda: flow(X, Y, sample_weight=WEIGHTS), None),
    "repeated and cut": (lambda: DATA.from_tensor_slices((X, Y)).repeat().take(7), None),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("batch_size", [1, 3, 64, None])
def test_streams_are_as_arrays(model: keras.Model, name: str, batch_size: int | None) -> None:
    make, targets = STREAMS[name]
    explainer = GradientExplainer(model, reducer=None, batch_size=batch_size)
    wanted = explainer.explain(X, Y)
    np.testing.assert_allclose(explainer.explain(make(), targets), wanted, rtol=1e-5, atol=1e-6)


def test_a_generator_of_two_inputs() -> None:
    image, table = keras.Input((4, 3, 2)), keras.Input((3,))
    x = layers.concatenate([layers.Dense(3, "tanh")(layers.Flatten()(image)), layers.Dense(3, "tanh")(table)])
    explainer = GradientExplainer(keras.Model([image, table], layers.Dense(2)(x)), reducer=None, batch_size=3)
    wanted = explainer.explain([X, TABLE], LABELS)
    for part, right in zip(explainer.explain(flow((X, TABLE), LABELS)), wanted, strict=True):
        np.testing.assert_allclose(part, right, rtol=1e-4, atol=1e-6)


def test_a_data_set_without_end_is_refused(model: keras.Model, tmp_path: Path) -> None:
    assert is_stream(flow(X))
    endless = DATA.from_tensor_slices((X, Y)).repeat()
    with pytest.raises(InputError, match=r"never ends.*take\(n\)"):
        GradientExplainer(model).explain(endless)
    with pytest.raises(InputError, match="never ends"):
        Saliency(model, batch_size=3).write(endless, tmp_path / "endless", progress=False)


@pytest.mark.parametrize("mode", ["int", "binary", "categorical"])
def test_pictures_in_folders(mode: str, tmp_path: Path) -> None:
    """What `image_dataset_from_directory` gives, for an output per class and for a single one."""
    for i in range(5):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 255, (4, 3, 3), np.uint8)
        keras.utils.save_img(tmp_path / "ab"[i % 2] / f"{i}.png", pixels, scale=False)
    data = keras.utils.image_dataset_from_directory(
        tmp_path, label_mode=mode, image_size=(4, 3), batch_size=2, shuffle=False, verbose=False
    )
    x = np.concatenate([images for images, _ in data.as_numpy_iterator()])
    keras.utils.set_random_seed(5)
    for outputs in (1, 2) if mode != "categorical" else (2,):
        model = keras.Sequential([layers.Input((4, 3, 3)), layers.Flatten(), layers.Dense(outputs)])
        wanted = GradientExplainer(model).explain(x, [0, 0, 0, 1, 1] if outputs == 2 else 0)
        np.testing.assert_allclose(GradientExplainer(model, batch_size=3).explain(data), wanted, rtol=1e-6)
