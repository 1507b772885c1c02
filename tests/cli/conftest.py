"""A folder with what commands are about."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder, which no test changes."""
    path = tmp_path_factory.mktemp("cli")
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential(
        [layers.Input((12, 12, 3)), layers.Conv2D(4, 3, activation="relu", name="conv")], name="backbone"
    )
    inputs = layers.Input((12, 12, 3))
    positive = keras.initializers.RandomUniform(0, 1)  # no unit is dead
    x = layers.Conv2D(2, 3, activation="gelu", kernel_initializer=positive, name="smooth")(backbone(inputs))
    x = layers.ReLU(name="positive")(x)
    x = layers.Dense(5, activation="softmax", name="classes")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, x, name="network")
    # Some classes are for both filters, some against both, on every backend.
    kernel = np.array([[0.6, -0.7, 0.5, -0.4, 0.3], [0.2, 0.5, 0.4, -0.6, -0.8]], np.float32)
    model.get_layer("classes").set_weights([kernel, np.zeros(5, np.float32)])
    model.save(path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path / "a.png")
    (path / "other").mkdir()
    Image.fromarray(pixels).save(path / "other" / "a.jpg")
    (path / "empty").mkdir()
    (path / "spoilt").mkdir()
    (path / "spoilt" / "a.png").write_text("words")
    (path / "text.keras").write_text("words")
    (path / "broken.png").write_bytes((path / "a.png").read_bytes()[:200])
    return path
