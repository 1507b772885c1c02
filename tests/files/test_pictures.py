"""Pictures on disk, whole and damaged."""

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vis import files
from vis.errors import InputError

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


@pytest.mark.parametrize("bits", [1, 8, 32])
@pytest.mark.parametrize("side", [2**13 + 1, 12_000, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb(tmp_path: Path, side: int, bits: int) -> None:
    """A few bytes that claim to be a large picture, whose size is met before a pixel is."""
    path = tmp_path / "bomb.bmp"
    Image.new({1: "1", 8: "L", 32: "RGBA"}[bits], (2, 2)).save(path)
    content = bytearray(path.read_bytes())
    content[18:26] = struct.pack("<ii", side, side)
    path.write_bytes(content)
    assert path.stat().st_size < 2000
    tracemalloc.start()
    with pytest.raises(InputError, match=r"67,108,864. It is not decoded|Image size \(3600000000 pixels"):
        files.load_image(path, (4, 4, 3))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_preprocessing_by_name() -> None:
    picture = np.array([[[0.0, 127.5, 255.0]]], np.float32)
    assert files.prepared(picture, "mobilenet_v2").tolist() == [[[-1, 0, 1]]]
    assert picture.tolist() == [[[0.0, 127.5, 255.0]]]
    with pytest.raises(InputError, match=r"'resnet50' does not take a picture of shape \(1, 1, 1\)"):
        files.prepared(picture[..., :1], "resnet50")
    with pytest.raises(InputError, match=r"no preprocessing 'resnet5'\. Did you mean"):
        files.prepared(picture, "resnet5")
