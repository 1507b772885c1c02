"""Damaged files and random commands: each is answered by a result or by an error of the library.

Whatever the bytes are, no other exception comes through, the process survives, and memory stays bounded.
Models are loaded in a process of their own, which may die of one.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import psutil
import pytest
from keras import layers
from PIL import Image

from tests.reliability.scale import count
from vis import cli, files
from vis.attributions import Saliency, store
from vis.errors import InputError

# 200 cases in a usual run, 2000 at night.
PICTURES, MODELS, COMMANDS, GROUPS = count(80, 800), count(50, 500), count(40, 400), count(30, 300)
# What a run of all cases may take on top of what the process had.
_MEMORY = 1.5 * 2**30
_SIDE = 60_000


# ---- damage --------------------------------------------------------------------------------------------


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """Return bytes that were cut off, flipped, overwritten, left out, repeated or lost."""
    array = np.frombuffer(data, np.uint8).copy()
    size = len(array)
    start = int(random.integers(size))
    length = int(random.integers(1, max(2, min(size - start, 64) + 1)))
    kind = random.integers(7)
    if kind == 0:
        return data[:start]
    if kind == 1:
        for place in random.integers(size, size=random.integers(1, 12)):
            array[place] ^= 1 << random.integers(8)
    elif kind == 2:
        array[start : start + length] = random.integers(0, 256, len(array[start : start + length]))
    elif kind == 3:
        array[start : start + length] = random.choice([0, 255])
    elif kind == 4:
        return data[:start] + data[start + length :]
    elif kind == 5:
        return data[: start + length] + data[start:]
    elif random.integers(4) == 0:
        return b""
    else:  # among the first bytes, where headers are
        array[random.integers(min(size, 48), size=3)] = random.integers(0, 256, 3)
    return array.tobytes()


def test_damage_is_the_same_each_time_and_real() -> None:
    data = bytes(range(256)) * 4
    results = [damaged(data, np.random.default_rng(seed)) for seed in range(100)]
    assert results == [damaged(data, np.random.default_rng(seed)) for seed in range(100)]
    assert sum(result != data for result in results) > 95 and len({len(result) for result in results}) > 20


# ---- memory --------------------------------------------------------------------------------------------


def peak() -> int:
    """Return the largest memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    """All cases together take no more memory than a few pictures do."""
    start, highest = psutil.Process().memory_info().rss, peak()
    yield
    assert peak() <= max(highest, start + _MEMORY), f"{(peak() - start) / 2**30:.2f} GiB more than before"


# ---- pictures ------------------------------------------------------------------------------------------


@functools.cache
def picture(kind: str) -> bytes:
    """Return a picture as a file of some format holds it."""
    pixels = np.random.default_rng(1).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    if kind == "PNG of 16 bits":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    if kind == "GIF":
        image = image.quantize(64)
    held = io.BytesIO()
    image.save(held, kind.split()[0])
    return held.getvalue()


FORMATS = ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PNG of 16 bits"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_picture_is_read(kind: str, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(picture(kind))
    assert files.load_image(tmp_path / "picture", (None, None, 3)).std() > 20


@pytest.mark.parametrize("seed", range(PICTURES))
def test_a_damaged_picture(seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng([1, seed])
    path = tmp_path / "picture"
    path.write_bytes(damaged(picture(FORMATS[seed % len(FORMATS)]), random))
    shape = (12, 9, 3) if seed % 2 else (None, None, 3)
    try:
        found = files.load_image(path, shape)
    except InputError as error:
        assert str(path) in str(error) and "Traceback" not in str(error)
        return
    assert found.dtype == np.float32 and found.ndim == 3 and found.shape[-1] == 3
    assert found.min() >= 0 and found.max() <= 255


def test_damage_is_neither_too_little_nor_too_much(tmp_path: Path) -> None:
    """Some of the damaged pictures can be read, and some cannot."""
    refused = 0
    for seed in range(70):
        path = tmp_path / str(seed)
        path.write_bytes(damaged(picture(FORMATS[seed % 7]), np.random.default_rng([1, seed])))
        try:
            files.load_image(path, (12, 9, 3))
        except InputError:
            refused += 1
    assert 15 < refused < 55


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, data: bytes = b"", between: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + between + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def in_place(kind: str, place: int, value: bytes) -> bytes:
    data = picture(kind)
    return data[:place] + value + data[place + len(value) :]


def jpeg() -> bytes:
    place = re.search(b"\xff\xc0\x00.\x08", picture("JPEG")).end()  # type: ignore[union-attr]
    return in_place("JPEG", place, struct.pack(">HH", _SIDE, _SIDE))


def tiff() -> bytes:
    data = bytearray(picture("TIFF"))
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * entries, 12):
        if struct.unpack_from("<H", data, place)[0] in (256, 257):
            struct.pack_into("<HII", data, place + 2, 4, 1, _SIDE)
    return bytes(data)


HUGE: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: png(_SIDE, _SIDE, zlib.compress(bytes(1000))),
    "JPEG": jpeg,
    "GIF": lambda: in_place("GIF", 6, struct.pack("<HH", _SIDE, _SIDE)),
    "BMP": lambda: in_place("BMP", 18, struct.pack("<ii", _SIDE, _SIDE)),
    "TIFF": tiff,
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_header_that_claims_too_many_pixels(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(HUGE[kind]())
    before = peak()
    with pytest.raises(InputError) as caught:
        files.load_image(path, (12, 9, 3))
    message = str(caught.value)
    # The size, and the limit or Pillow's own.
    assert re.search(f"{_SIDE} x {_SIDE}|{_SIDE * _SIDE}", message) and str(path) in message
    assert "limit" in message or "more than" in message
    assert peak() - before < 2**28


def test_a_whole_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    """It is in order, and would take a quarter of a GiB."""
    side = 8200
    assert side * side > 2**26
    rows = zlib.compressobj()
    data = b"".join(rows.compress(bytes(1 + side // 8 + 1)) for _ in range(side)) + rows.flush()
    (tmp_path / "picture").write_bytes(png(side, side, data))
    before = peak()
    with pytest.raises(InputError, match=f"{side} x {side} pixels, more than"):
        files.load_image(tmp_path / "picture", (12, 9, 3))
    assert peak() - before < 2**26


def test_a_text_that_expands(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"words\0\0" + zlib.compress(bytes(2**27)))
    (tmp_path / "picture").write_bytes(png(8, 8, zlib.compress(bytes(16)), text))
    before = peak()
    with pytest.raises(InputError, match="could not be decoded"):
        files.load_image(tmp_path / "picture", (12, 9, 3))
    assert peak() - before < 2**27


# ---- models --------------------------------------------------------------------------------------------

# Loads each model whose path it is given, and writes down what came of it and the memory that it took.
_CHILD = """
import json, resource, sys, warnings
from pathlib import Path
import keras
from vis import files
from vis.errors import ModelError

warnings.simplefilter("ignore")
keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(2)])

def held(name):
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.split(name + ":")[1].split()[0])

room = held("VmSize") + 4 * 2**30
resource.setrlimit(resource.RLIMIT_AS, (room, room))
with open(sys.argv[1], "a") as log:
    def say(*words):
        log.write(json.dumps(words) + "\\n")
        log.flush()
    for path in sys.argv[2:]:
        Path("/proc/self/clear_refs").write_text("5")
        say(path, "begun", 0, "")
        start = held("VmRSS")
        try:
            files.load_model(path)
            found, words = "loaded", ""
        except ModelError as error:
            found, words = "ModelError", str(error)
        except BaseException as error:
            found, words = "another exception", repr(error)[:500]
        say(path, found, held("VmHWM") - start, words)
"""


@dataclass(frozen=True)
class Outcome:
    """What came of loading a file: in a word, the memory that it took, and the message."""

    found: str
    memory: int
    words: str


def loaded(paths: list[Path], folder: Path) -> dict[Path, Outcome]:
    """Load models in processes of their own; one that dies is followed by another."""
    outcomes: dict[Path, Outcome] = {}
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    while waiting := [path for path in paths if path not in outcomes]:
        log = folder / f"log-{len(outcomes)}"
        command = [sys.executable, "-c", _CHILD, str(log), *map(str, waiting)]
        died = ""
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, timeout=60 + 5 * len(waiting), check=False
            )
            died = f"died with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}"
        except subprocess.TimeoutExpired:
            died = "hangs"
        last = None
        for line in log.read_text().splitlines() if log.exists() else []:
            name, found, memory, words = json.loads(line)
            last = Path(name) if found == "begun" else None
            if found != "begun":
                outcomes[Path(name)] = Outcome(found, memory, words)
        if last is None:
            assert len(outcomes) == len(paths), f"the process {died}"
        else:
            outcomes[last] = Outcome(died, 0, "")
    return outcomes


def network() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            layers.Input((6, 5, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.Flatten(),
            layers.Dense(3, name="end"),
        ],
        name="net",
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model in both formats."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [])  # Keras advises against its own older format
        network().save(folder / "model.keras")
        network().save(folder / "model.h5")
    return folder


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, held: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in held.items():
            archive.writestr(name, data)


def configured(data: bytes, random: np.random.Generator) -> bytes:
    """Return a configuration in which one value is another."""
    config = json.loads(data)
    places: list[tuple[Any, Any]] = []
    pending = [config]
    while pending:
        item = pending.pop()
        for key in item if isinstance(item, dict) else range(len(item)):
            places.append((item, key))
            if isinstance(item[key], dict | list):
                pending.append(item[key])
    item, key = places[random.integers(len(places))]
    values = [None, -1, 0, 3.5, 10**30, "x", "", [], {}, [[]], True, "float16", [None, 2**40], 1e999]
    item[key] = values[random.integers(len(values))]
    return json.dumps(config).encode()


def broken_model(seed: int, whole: Path, folder: Path) -> Path:
    """Write a model that is damaged in one of five ways."""
    random = np.random.default_rng([2, seed])
    kind = seed % 5
    path = folder / f"{seed}{'.h5' if kind == 4 else '.keras'}"
    if kind in (0, 4):
        path.write_bytes(damaged((whole / f"model{path.suffix}").read_bytes(), random))
        return path
    held = members(whole / "model.keras")
    name = "model.weights.h5" if kind == 3 else "config.json"
    held[name] = configured(held[name], random) if kind == 2 else damaged(held[name], random)
    zipped(path, held)
    return path


def expanding(path: Path, whole: Path, name: str, byte: bytes, size: int) -> None:
    """Write a model one part of which has many more bytes, all the same."""
    held = members(whole / "model.keras")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, data in held.items():
            with archive.open(other, "w", force_zip64=True) as part:
                part.write(data)
                for _ in range(size // 2**24 if other == name else 0):
                    part.write(byte * 2**24)


def changed(path: Path, whole: Path, **given: Any) -> None:
    """Write a model whose last layer has other settings."""
    held = members(whole / "model.keras")
    config = json.loads(held["config.json"])
    config["config"]["layers"][-1]["config"].update(given)
    held["config.json"] = json.dumps(config).encode()
    zipped(path, held)


def changed_h5(path: Path, whole: Path, **given: Any) -> None:
    import h5py

    shutil.copyfile(whole / "model.h5", path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["config"].update(given)
        file.attrs["model_config"] = json.dumps(config)


def traversing(path: Path, whole: Path, name: str) -> None:
    zipped(path, {**members(whole / "model.keras"), name: b"words"})


def nested(path: Path, whole: Path) -> None:
    zipped(path, {**members(whole / "model.keras"), "config.json": b"[" * 10**6})


def many(path: Path, whole: Path) -> None:
    zipped(path, {**members(whole / "model.keras"), **{f"assets/{number}": b"" for number in range(5000)}})


# Models that are made to do harm: how they are written, and whether they may be loaded.
BOMBS: dict[str, tuple[Callable[[Path, Path], None], bool]] = {
    "spaces.keras": (lambda path, whole: expanding(path, whole, "config.json", b" ", 9 * 2**27), False),
    "zeros.keras": (lambda path, whole: expanding(path, whole, "model.weights.h5", b"\0", 2**28), False),
    "parent.keras": (lambda path, whole: traversing(path, whole, "../../outside.txt"), True),
    "root.keras": (lambda path, whole: traversing(path, whole, f"{path.parent.parent}/outside.txt"), True),
    "asset.keras": (lambda path, whole: traversing(path, whole, "assets/../../outside.txt"), True),
    "units.keras": (
        lambda path, whole: changed(path, whole, units=6 * 2**20, kernel_initializer="zeros"),
        False,
    ),
    "more units.keras": (lambda path, whole: changed(path, whole, units=10**9), False),
    "most units.keras": (lambda path, whole: changed(path, whole, units=10**18), False),
    "units.h5": (lambda path, whole: changed_h5(path, whole, units=10**9), False),
    "no units.keras": (lambda path, whole: changed(path, whole, units=-1), False),
    "nested.keras": (nested, False),
    "many.keras": (many, True),
}


@pytest.fixture(scope="module")
def outcomes(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the memory of a process is read where Linux has it")
    folder = tmp_path_factory.mktemp("models") / "inner"
    folder.mkdir()
    paths = [folder / "whole.keras", folder / "whole.h5"]
    for path in paths:
        shutil.copyfile(whole / f"model{path.suffix}", path)
    paths += [broken_model(seed, whole, folder) for seed in range(MODELS)]
    for name, (write, _) in BOMBS.items():
        write(folder / name, whole)
        paths.append(folder / name)
    before = {item for item in folder.parent.rglob("*") if item.is_file()}
    found = loaded(paths, tmp_path_factory.mktemp("logs"))
    assert {item for item in folder.parent.rglob("*") if item.is_file()} == before, "nothing is written"
    for path in paths:
        path.unlink()
    return {path.name: outcome for path, outcome in found.items()}


@pytest.mark.parametrize("name", ["whole.keras", "whole.h5"])
def test_a_whole_model_is_loaded(outcomes: dict[str, Outcome], name: str) -> None:
    assert outcomes[name].found == "loaded"


def test_damaged_models_are_neither_all_loaded_nor_all_refused(outcomes: dict[str, Outcome]) -> None:
    found = [outcomes[f"{seed}{'.h5' if seed % 5 == 4 else '.keras'}"].found for seed in range(50)]
    assert 10 < found.count("ModelError") < 48, found


@pytest.mark.parametrize("seed", range(MODELS))
def test_a_damaged_model(outcomes: dict[str, Outcome], seed: int) -> None:
    outcome = outcomes[f"{seed}{'.h5' if seed % 5 == 4 else '.keras'}"]
    assert outcome.found in ("loaded", "ModelError"), outcome
    assert outcome.memory < _MEMORY, outcome
    if outcome.found == "ModelError":
        first = outcome.words.split(": ")[0]
        assert (
            "could not be read" in first or "holds no model" in first or "It is not loaded" in outcome.words
        )


@pytest.mark.parametrize("name", BOMBS)
def test_a_model_made_to_do_harm(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    assert outcome.found in (("loaded", "ModelError") if BOMBS[name][1] else ("ModelError",)), outcome
    assert outcome.memory < _MEMORY, outcome


# ---- commands ------------------------------------------------------------------------------------------


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Run the command in this process and return its exit code and stderr."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["vis", *map(str, arguments)])
        patch.setattr("warnings.showwarning", None)
        patch.setattr("warnings.filters", [])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return code, capfd.readouterr().err


def check_answer(code: int, err: str) -> None:
    """Fail unless a command has ended as it should: its own lines on stderr, of which the last says why."""
    assert code in (0, 1, 2, 130)
    lines = err.splitlines()
    assert all(line.startswith("vis: ") for line in lines), err
    assert "Traceback" not in err and "could not be run" not in err, err
    if code:
        assert lines and not lines[-1].startswith("vis: warning: ") and len(lines[-1]) > 15, err


@pytest.fixture(scope="module")
def desk(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what commands can be about."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copyfile(whole / "model.keras", folder / "model.keras")
    shutil.copyfile(whole / "model.h5", folder / "model.h5")
    (folder / "half.keras").write_bytes((whole / "model.keras").read_bytes()[:5000])
    (folder / "a.png").write_bytes(picture("PNG"))
    (folder / "half.png").write_bytes(picture("PNG")[:900])
    (folder / "words.txt").write_text("words")
    (folder / "photos").mkdir()
    (folder / "photos" / "a.gif").write_bytes(picture("GIF"))
    (folder / "photos" / "b.jpg").write_bytes(picture("JPEG")[:500])
    (folder / "empty").mkdir()
    inputs = np.random.default_rng(5).normal(size=(3, 6, 5, 3))
    Saliency(network()).write(inputs, folder / "maps.zarr", 1, progress=False)
    return folder


_PLACES = "model.keras model.h5 half.keras a.png half.png words.txt photos empty maps.zarr".split()
_WORDS = [
    *("0", "1", "2", "-1", "3", "0.5", "nan", "inf", "-inf", "1e400", "x", "", " ", "-", "--", "--=", "-x"),
    *("smoothgrad", "seed=1", "reducer=", "=", "8x8"),
    *("conv", "end", "-2", "conv/", "/", "guided", "rectified", "absolute", "fourier", "pixels", "resnet50"),
    *(
        "saliency",
        "gradcam",
        "occlusion",
        "smoothgrad",
        "seed=1",
        "reducer=",
        "=",
        "8x8",
        "\u00e9\u4e2d",
        "\U0001f600",
        "%s{}",
        "a" * 300,
        "\n",
        "..",
    ),
]
# What a command needs first, so that some of the rest is looked at.
_NEEDED = {
    "layers": ["model.keras"],
    "saliency": ["model.keras", "a.png"],
    "cam": ["model.keras", "a.png"],
    "activation": ["model.keras", "--target", "1"],
    "compare": ["model.keras", "a.png", "--methods", "saliency,gradcam"],
    "explain": ["model.keras", "photos", "-o", "new.zarr"],
    "show": ["maps.zarr"],
    "report": ["maps.zarr"],
    "demo": [],
    "explore": ["model.keras", "photos", "--no-browser"],
}
# Last words, which keep a command short, or keep it from running at all.
_LAST = {
    "activation": ["--steps", "2"],
    "compare": ["--measures", "complexity,sparseness"],
    "demo": ["--scenes", "0"],
    "explore": ["--port", "65536"],
}


def random_arguments(seed: int) -> list[str]:
    """Return the name of a command with options and words, some of which belong to it."""
    random = np.random.default_rng([3, seed])
    names = sorted(cli.cli.commands)
    name = names[seed % len(names)]
    options = [
        option
        for parameter in cli.cli.commands[name].params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts, *getattr(parameter, "formerly", ()))
    ]
    arguments = list(_NEEDED[name]) if random.integers(3) else []
    for _ in range(random.integers(0, 4)):
        kind = random.integers(4)
        pool = options if kind < 2 else _WORDS if kind == 2 else _PLACES
        arguments.append(str(random.choice(pool)))
        if kind < 2 and random.integers(4):
            arguments.append(str(random.choice(_WORDS + _PLACES)))
    return [name, *arguments, *_LAST.get(name, [])]


def test_the_words_name_every_command() -> None:
    assert set(_NEEDED) == set(cli.cli.commands)


@pytest.mark.parametrize("seed", range(COMMANDS))
def test_a_random_command(
    seed: int,
    desk: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(desk, tmp_path / "desk")
    monkeypatch.chdir(tmp_path / "desk")
    arguments = random_arguments(seed)
    print(arguments)
    check_answer(*run(capfd, *arguments))


# ---- maps on disk --------------------------------------------------------------------------------------


def spoil(folder: Path, random: np.random.Generator) -> None:
    """Damage one file of a group, or take it away, or put another value into what it says of itself."""
    path = sorted(item for item in folder.rglob("*") if item.is_file())
    chosen = path[random.integers(len(path))]
    kind = random.integers(4)
    if kind == 0:
        chosen.unlink()
    elif kind < 3 and chosen.suffix == ".json":
        chosen.write_bytes(configured(chosen.read_bytes(), random))
    else:
        chosen.write_bytes(damaged(chosen.read_bytes(), random))


@functools.cache
def explainer() -> Saliency:
    return Saliency(network(), batch_size=2)


INPUTS = np.random.default_rng(6).normal(size=(5, 6, 5, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps of which three of five are written."""
    folder = tmp_path_factory.mktemp("groups") / "maps.zarr"

    def interrupted() -> Iterator[Any]:
        yield from INPUTS[:4]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explainer().write(interrupted(), folder, 1, progress=False)
    assert len(store.read(folder)) == 4
    return folder


def what_breaks(
    written: Path, folder: Path, act: Callable[[Path], None], seeds: range = range(GROUPS)
) -> list[str]:
    """Return what is wrong with what happens to damaged groups."""
    found = []
    for seed in seeds:
        path = folder / f"{seed}.zarr"
        shutil.copytree(written, path)
        spoil(path, np.random.default_rng([4, seed]))
        try:
            act(path)
        except InputError as error:
            if str(path) not in str(error):
                found.append(f"{seed}: does not name its path: {error}")
        except Exception as error:
            found.append(f"{seed}: {error!r}"[:300])
    return found


def read(path: Path) -> None:
    assert store.read(path).dtype == np.float32


def resume(path: Path) -> None:
    explainer().write(iter(INPUTS), path, 1, progress=False)


# Zarr warns of what else lies in a group.
@pytest.mark.filterwarnings("ignore")
def test_damaged_groups_are_drawn_or_refused(
    written: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def show(path: Path) -> None:
        check_answer(*run(capfd, "show", path, "-o", tmp_path / "sheet.png"))

    assert what_breaks(written, tmp_path, show) == []


def garble(path: Path) -> None:
    next(item for item in (path / "maps" / "c").rglob("*") if item.is_file()).write_bytes(b"words")


def rename(path: Path) -> None:
    (path / "maps").rename(path / "plans")


def mistype(path: Path) -> None:
    said = json.loads((path / "maps" / "zarr.json").read_text())
    (path / "maps" / "zarr.json").write_text(json.dumps({**said, "shape": "square"}))


def inflate(path: Path) -> None:
    """Let the group say that it has ten million million maps."""
    said = json.loads((path / "maps" / "zarr.json").read_text())
    (path / "maps" / "zarr.json").write_text(json.dumps({**said, "shape": [10**13, *said["shape"][1:]]}))


def regress(path: Path) -> None:
    said = json.loads((path / "zarr.json").read_text())
    said["attributes"]["progress"]["samples"] = "three"
    (path / "zarr.json").write_text(json.dumps(said))


HARMS = {"garble": garble, "rename": rename, "mistype": mistype, "inflate": inflate, "regress": regress}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("act", [read, resume])
@pytest.mark.parametrize("harm", HARMS)
def test_one_harm(written: Path, tmp_path: Path, harm: str, act: Callable[[Path], None]) -> None:
    path = tmp_path / "maps.zarr"
    shutil.copytree(written, path)
    HARMS[harm](path)
    try:
        act(path)
    except InputError as error:
        assert str(path) in str(error)
        return
    # What is read has no use for how far the run has come.
    assert (harm, act) == ("regress", read)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("act", [read, resume])
def test_damaged_groups(written: Path, tmp_path: Path, act: Callable[[Path], None]) -> None:
    """They are read, or continued, or refused."""
    assert what_breaks(written, tmp_path, act) == []
