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


def halves(width: int, height: int, path: Path) -> Path:
    """Write a picture that is red at the left, green at the right, and darker below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 1] = 200
    pixels[height // 2 :] //= 2
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (30, 31), (7, 90)])
@pytest.mark.parametrize("wanted", [(8, 8), (8, 16), (12, 9)])
def test_a_picture_keeps_its_shape(tmp_path: Path, size: tuple[int, int], wanted: tuple[int, int]) -> None:
    path = halves(*size, tmp_path / "picture.png")
    height, width = wanted
    with Image.open(path) as picture:
        scales = width / picture.width, height / picture.height
        half = (width / max(scales) / 2, height / max(scales) / 2)
        middle = (picture.width / 2, picture.height / 2)
        box = (middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1])
        cropped = picture.crop([round(side) for side in box])
        cropped = cropped.resize((width, height), Image.Resampling.BILINEAR)
        stretched = picture.resize((width, height), Image.Resampling.BILINEAR)
    found = {fit: files.load_image(path, (*wanted, 3), fit) for fit in ("crop", "pad", "stretch")}
    assert all(image.shape == (*wanted, 3) for image in found.values())
    assert np.array_equal(files.load_image(path, (*wanted, 3)), found["crop"])
    assert np.array_equal(found["stretch"], np.asarray(stretched))
    assert np.abs(found["crop"] - np.asarray(cropped, np.float32)).mean() < 25, "but for a part of a pixel"
    rows, columns = (np.flatnonzero(found["pad"].any(axis=(2, axis))) for axis in (1, 0))
    inside = (len(columns), len(rows))
    expected = [side * min(scales) for side in size]
    np.testing.assert_allclose(inside, expected, atol=1)
    assert abs(columns[0] - (width - 1 - columns[-1])) <= 1 and abs(rows[0] - (height - 1 - rows[-1])) <= 1


@pytest.mark.parametrize(("shape", "expected"), [((None, 10), (5, 10)), ((10, None), (10, 20))])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_side_that_is_free_follows_the_other(
    tmp_path: Path, shape: tuple[int | None, ...], expected: tuple[int, ...], fit: str
) -> None:
    path = halves(40, 20, tmp_path / "picture.png")
    assert files.load_image(path, (*shape, 3), fit).shape == (*expected, 3)


def test_an_unknown_fit(picture: Path) -> None:
    with pytest.raises(InputError, match=r"fit is one of crop, pad, stretch\. Did you mean 'crop'"):
        files.load_image(picture, (4, 4, 3), "croup")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "16 bits"])
def test_a_picture_is_upright(tmp_path: Path, orientation: int, kind: str) -> None:
    """The corner of the picture that is bright, whatever the camera was held."""
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :8] = 255
    turned = {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}[orientation]
    mirrored = np.fliplr(upright) if orientation in (2, 4, 5, 7) else upright
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(mirrored, turned)))
    if kind == "16 bits":
        stored = Image.fromarray(np.asarray(stored, np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"picture.{'jpg' if kind == 'jpg' else 'png'}"
    stored.save(path, exif=exif)
    found = files.load_image(path, (None, None, 1))
    assert found.shape == (16, 32, 1)
    np.testing.assert_allclose(found[..., 0], upright, atol=40)


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
    with pytest.raises(InputError, match="is a folder, not a file"):
        files.load_image(tmp_path, (4, 4, 3))
    with pytest.raises(InputError, match=r"no image file '.*txet.png'. Did you mean 'text.png'"):
        files.load_image(tmp_path / "txet.png", (4, 4, 3))


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
