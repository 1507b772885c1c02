"""Models on disk, whole and damaged."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis import files
from vis.errors import ModelError


def network(*end: Any) -> keras.Model:
    return keras.Sequential([layers.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2), *end])


@pytest.mark.filterwarnings("ignore")  # Keras advises against its own older format
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_comes_back(tmp_path: Path, suffix: str) -> None:
    model = network()
    model.save(tmp_path / f"model{suffix}")
    loaded = files.load_model(tmp_path / f"model{suffix}")
    assert np.array_equal(loaded(np.ones((1, 4, 4, 3))), model(np.ones((1, 4, 4, 3))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_model_is_not_run(tmp_path: Path, suffix: str) -> None:
    network(layers.Lambda(lambda x: x * 2)).save(tmp_path / f"model{suffix}")
    with pytest.raises(ModelError, match=r"(?i)lambda"):
        files.load_model(tmp_path / f"model{suffix}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5", ".txt"])
@pytest.mark.parametrize("content", [b"", b"words in a file", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_model(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="could not be read as a Keras model"):
        files.load_model(path)


def test_no_model_file_and_weights_alone(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model file"):
        files.load_model(tmp_path / "none.keras")
    network().save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ModelError, match="weights alone"):
        files.load_model(tmp_path / "model.weights.h5")
