"""Models and pictures on disk, whole and damaged."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from vis import files
from vis.errors import InputError, ModelError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    return path


def test_an_image_comes_as_it_is(picture: Path) -> None:
    image = files.load_image(picture, (None, None, 3))
    assert image.dtype == np.float32
    assert np.array_equal(image, PIXELS)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_is_resized_and_converted(picture: Path, channels: int) -> None:
    image = files.load_image(picture, (3, 5, channels))
    assert image.shape == (3, 5, channels)
    assert image.min() >= 0 and image.max() <= 255


def test_other_channels_are_refused(picture: Path) -> None:
    with pytest.raises(InputError, match="a model with 11"):
        files.load_image(picture, (3, 5, 11))


@pytest.mark.parametrize("keep", [100, 40, 9])
def test_a_truncated_image(picture: Path, keep: int) -> None:
    picture.write_bytes(picture.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"picture.png' could not be decoded|is not a picture"):
        files.load_image(picture, (4, 4, 3))


def test_no_image(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no image file"):
        files.load_image(tmp_path / "none.png", (4, 4, 3))
    (tmp_path / "text.png").write_text("words")
    with pytest.raises(InputError, match="is not a picture"):
        files.load_image(tmp_path / "text.png", (4, 4, 3))
    with pytest.raises(InputError, match="could not be decoded"):
        files.load_image(tmp_path, (4, 4, 3))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb(picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(InputError, match="could not be decoded: Image size"):
        files.load_image(picture, (4, 4, 3))


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


def test_preprocessing_by_name() -> None:
    picture = np.array([[[0.0, 127.5, 255.0]]], np.float32)
    assert files.prepared(picture, "mobilenet_v2").tolist() == [[[-1, 0, 1]]]
    assert picture.tolist() == [[[0.0, 127.5, 255.0]]]
    with pytest.raises(InputError, match=r"'resnet50' does not take a picture of shape \(1, 1, 1\)"):
        files.prepared(picture[..., :1], "resnet50")
    with pytest.raises(InputError, match=r"no preprocessing 'resnet5'\. Did you mean"):
        files.prepared(picture, "resnet5")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "result.txt"
    with files.written(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    with pytest.raises(RuntimeError), files.written(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["result.txt"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot be written"),
        files.written(tmp_path / "file" / "result.txt"),
    ):
        pass
