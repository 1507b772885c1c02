"""Pictures on disk, whole and damaged."""

import io
import struct
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps, ImageSequence, JpegImagePlugin

from vis import files
from vis.errors import InputError
from vis.files.pictures import image_size

GREYS = [np.full((3, 4), level, np.uint8) for level in (0, 100, 255)]
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
    with pytest.raises(InputError, match=r"fit must be one of crop, pad, stretch\. Did you mean 'crop'"):
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


SMALLER = r"\. Make it smaller, or pass its array\."
BOMB = rf"(more than 67,108,864\. It is not decoded|is not decoded: Image size \(3600000000 .*){SMALLER}"


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
    with pytest.raises(InputError, match=BOMB):
        files.load_image(path, (4, 4, 3))
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


@pytest.mark.parametrize("kind", ["error", "warning that is an error", "limit of the user"])
def test_a_limit_of_pillow(picture: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", {"warning that is an error": 30}.get(kind, 20))
    match = rf"The image '.*picture\.png' is not decoded: Image size \(48 pixels\) exceeds limit.*{SMALLER}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=match):
            files.load_image(picture, (4, 4, 3))


# ---- bytes and file objects ----------------------------------------------------------------------------


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_bytes_are_read_as_their_file_is(tmp_path: Path, orientation: int, fit: str) -> None:
    path = photo(tmp_path / "photo.jpg", (640, 480), orientation)
    content = path.read_bytes()
    wanted = files.load_image(path, (24, 30, 3), fit)
    for given in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert np.array_equal(files.load_image(given, (24, 30, 3), fit), wanted)
        assert image_size(given) == image_size(path) == ((640, 480) if orientation == 6 else (480, 640))


def test_a_file_object_stays_open(picture: Path) -> None:
    with picture.open("rb") as file:
        file.seek(7)
        for _ in range(2):  # from its start, wherever it is
            assert np.array_equal(files.load_image(file, (None, None, 3)), PIXELS)
        assert not file.closed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("words", "{!r} is not a picture in a format that Pillow reads."),
        ("nothing", "{!r} is not a picture in a format that Pillow reads."),
        ("truncated", "The image {!r} could not be decoded: "),
        ("bomb", "The image {!r} has 9000 x 9000 pixels, more than 67,108,864. It is not decoded. "),
        ("larger bomb", "The image {!r} is not decoded: Image size (3600000000 pixels) "),
        ("fractions", "The image {!r} has the pixel type 'F', whose range is not known. "),
    ],
)
def test_messages_call_bytes_by_their_name(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "on disk"
    bomb = io.BytesIO()
    Image.new("L", (2, 2)).save(bomb, "BMP")
    sides = {"bomb": 9000, "larger bomb": 60_000}
    fractions = io.BytesIO()
    Image.new("F", (2, 2)).save(fractions, "TIFF")
    png = io.BytesIO()
    Image.fromarray(PIXELS).save(png, "PNG")
    side = struct.pack("<ii", *[sides.get(content, 0)] * 2)
    given = {
        "words": b"words",
        "nothing": b"",
        "truncated": png.getvalue()[:100],
        "fractions": fractions.getvalue(),
    }.get(content, bomb.getvalue()[:18] + side + bomb.getvalue()[26:])
    path.write_bytes(given)
    named = io.BytesIO(given)
    named.name = "own.png"
    said = {}
    for key, (what, options) in {
        str(path): (path, {}),
        "cat.png": (given, {"name": "cat.png"}),
        "dog.png": (io.BytesIO(given), {"name": "dog.png"}),
        "own.png": (named, {}),
        "<bytes>": (given, {}),
    }.items():
        with pytest.raises(InputError) as caught:
            files.load_image(what, (4, 4, 3), **options)
        said[key] = str(caught.value)
    assert all(text.startswith(message.format(key)) for key, text in said.items())
    assert len({text.replace(repr(key), "") for key, text in said.items()}) == 1, "the same words for all"


@pytest.mark.parametrize("given", [None, 3, [b""], io.StringIO("words")])
def test_other_things_than_files(given: Any) -> None:
    with pytest.raises(InputError, match=r'must be the path of a file, its bytes, or.*open\(path, "rb"\)'):
        files.load_image(given, (4, 4, 3))


def test_preprocessing_by_name() -> None:
    picture = np.array([[[0.0, 127.5, 255.0]]], np.float32)
    assert files.prepared(picture, "mobilenet_v2").tolist() == [[[-1, 0, 1]]]
    assert picture.tolist() == [[[0.0, 127.5, 255.0]]]
    with pytest.raises(InputError, match=r"'resnet50' does not take a picture of shape \(1, 1, 1\)"):
        files.prepared(picture[..., :1], "resnet50")
    with pytest.raises(InputError, match=r"no preprocessing 'resnet5'\. Did you mean"):
        files.prepared(picture, "resnet5")


def in_full(path: Path, size: tuple[int, int], fit: str) -> np.ndarray:
    """Return a picture that Pillow decodes whole, turns upright and fits."""
    with Image.open(path) as picture:
        whole = ImageOps.exif_transpose(picture).convert("RGB")
    fits = {"crop": ImageOps.fit, "pad": ImageOps.pad, "stretch": Image.Image.resize}
    return np.asarray(fits[fit](whole, size, Image.Resampling.BILINEAR), np.float32)


def photo(path: Path, size: tuple[int, int], orientation: int = 1, **options: object) -> Path:
    """Write a JPEG with smooth parts, edges and some grain, which differs in all of its corners."""
    width, height = size
    y, x = np.indices((height, width)) / max(size)
    waves = [np.sin(9 * x + 3 * y), np.cos(7 * y - 2 * x), np.sin(5 * x * y + 1)]
    disc = (x - 0.3) ** 2 + (y - 0.2) ** 2 < 0.02
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 3))
    pixels = np.stack(waves, axis=-1) * 70 + 110 + 60 * disc[..., None] + grain
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    picture.save(path, exif=exif, quality=92, **options)
    return path


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(640, 480), (487, 723), (801, 130)])
def test_a_jpeg_that_is_decoded_in_part_is_the_picture(
    tmp_path: Path, size: tuple[int, int], orientation: int, fit: str
) -> None:
    """Of sides that a half, a quarter or an eighth does not divide, too: nothing is shifted."""
    path = photo(tmp_path / "photo.jpg", size, orientation)
    for shape in ((16, 16), (12, 30), (40, 21)):
        found = files.load_image(path, (*shape, 3), fit)
        expected = in_full(path, shape[::-1], fit)
        differences = np.abs(found - expected)
        assert differences.mean() < 1.5 and differences.max() < 12


def test_a_shift_of_a_fraction_of_a_pixel_would_be_seen(tmp_path: Path) -> None:
    """A ramp, of which a decoder at an eighth invents the last columns."""
    ramp = np.broadcast_to(np.linspace(0, 255, 1001)[None, :, None], (1001, 1001, 3))
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "ramp.jpg", quality=95)
    found = files.load_image(tmp_path / "ramp.jpg", (40, 40, 3), "stretch")
    np.testing.assert_allclose(found, in_full(tmp_path / "ramp.jpg", (40, 40), "stretch"), atol=1)


@pytest.mark.parametrize(
    ("size", "wanted", "fit", "scale"),
    [
        ((4000, 3000), (224, 224), "crop", 4),
        ((4000, 3000), (224, 224), "stretch", 4),
        ((4000, 3000), (224, 224), "pad", 8),
        ((640, 480), (224, 224), "crop", 1),
        ((896, 896), (224, 224), "crop", 2),
        ((895, 896), (224, 224), "crop", 1),
        ((3584, 3584), (224, 224), "crop", 8),
        ((9000, 500), (224, 224), "crop", 1),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_how_much_of_a_jpeg_is_decoded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    wanted: tuple[int, int],
    fit: str,
    scale: int,
    turned: bool,
) -> None:
    """At least twice what it is resized to, so that nothing of that is lost."""
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    stored = size[::-1] if turned else size
    Image.new("RGB", stored).save(tmp_path / "a.jpg", exif=exif)
    asked: list[tuple[int, int]] = []
    draft = JpegImagePlugin.JpegImageFile.draft
    monkeypatch.setattr(
        JpegImagePlugin.JpegImageFile,
        "draft",
        lambda picture, mode, at: (asked.append(at), draft(picture, mode, at))[1],
    )
    files.load_image(tmp_path / "a.jpg", (*wanted, 3), fit)
    assert asked == ([] if scale == 1 else [(stored[0] // scale, stored[1] // scale)])


@pytest.mark.parametrize("kind", ["gray", "CMYK", "progressive"])
def test_jpegs_of_other_kinds(tmp_path: Path, kind: str) -> None:
    path = photo(tmp_path / "photo.jpg", (640, 480), progressive=kind == "progressive")
    if kind != "progressive":
        with Image.open(path) as picture:
            picture.convert({"gray": "L"}.get(kind, kind)).save(path, quality=92)
    found = files.load_image(path, (24, 24, 3))
    assert np.abs(found - in_full(path, (24, 24), "crop")).mean() < 1.5


def test_a_size_that_is_free_is_that_of_the_picture(tmp_path: Path) -> None:
    path = photo(tmp_path / "photo.jpg", (640, 480), 6)
    found = files.load_image(path, (None, None, 3))
    assert found.shape == (640, 480, 3)
    assert np.array_equal(found, in_full(path, (480, 640), "stretch"))


def test_the_pictures_of_a_folder(tmp_path: Path) -> None:
    names = ["b.png", "a/c.jpg", ".thumbnails/b.png", "._b.png", "model.h5", "notes.txt", "d.JPEG"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("words")
    (tmp_path / "folder.png").mkdir()
    found = files.ImageFolder(tmp_path, (4, 4, 3))
    assert [str(path.relative_to(tmp_path)) for path in found.paths] == ["a/c.jpg", "b.png", "d.JPEG"]
    chosen = files.ImageFolder(tmp_path, (4, 4, 3), paths=[tmp_path / "d.JPEG", str(tmp_path / "b.png")])
    assert [path.name for path in chosen.paths] == ["d.JPEG", "b.png"]
    with pytest.raises(InputError, match="There is no picture in the folder"):
        files.ImageFolder(tmp_path, (4, 4, 3), paths=[])


def test_the_frames_of_a_gif_stay_in_their_order(tmp_path: Path) -> None:
    files.write_gif(tmp_path / "new" / "a.gif", GREYS, 120)
    with Image.open(tmp_path / "new" / "a.gif") as gif:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
        assert (gif.format, gif.info["duration"], gif.info["loop"]) == ("GIF", 120, 0)
    np.testing.assert_array_equal(frames, GREYS)


def test_a_gif_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    files.write_gif(path, GREYS[:1], 100)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        files.write_gif(path, [GREYS[0], np.zeros((3, 4), "datetime64[s]")], 100)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    with pytest.raises(InputError, match="cannot be written"):
        files.write_gif(path / "b.gif", GREYS, 100)
