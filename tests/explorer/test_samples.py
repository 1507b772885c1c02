"""The samples of the strip, for models of all kinds of inputs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

import vis
from tests.explorer.conftest import network
from tests.files.test_arrays import npy, npz
from vis.errors import InputError
from vis.explorer import samples
from vis.explorer.session import Session
from vis.explorer.settings import Setting

RANDOM = np.random.default_rng(5)
WORDS = ["", "the", "film", "was", "not", "dull"]
BATCH = {
    "photo": RANDOM.uniform(size=(3, 16, 16, 3)).astype(np.float32),
    "title": np.array([[1, 2, 3, 4, 5, 0], [1, 2, 0, 0, 0, 0], [5, 5, 5, 5, 5, 5]]),
    "facts": RANDOM.normal(size=(3, 4)).astype(np.float32),
    "signal": RANDOM.normal(size=(3, 20, 2)).astype(np.float32),
    "scan": RANDOM.uniform(size=(3, 4, 8, 8, 1)).astype(np.float32),
}


def several(kind: type = dict, scale: bool = True) -> keras.Model:
    """Return a model of all kinds of inputs, as a dict or a list."""
    inputs = {
        name: keras.Input(each.shape[1:], name=name, dtype="int32" if name == "title" else "float32")
        for name, each in BATCH.items()
    }
    photo = layers.Rescaling(1 / 255)(inputs["photo"]) if scale else inputs["photo"]
    parts = [
        layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(photo)),
        layers.Flatten()(layers.Embedding(6, 3, name="embedding")(inputs["title"])),
        inputs["facts"],
        layers.GlobalMaxPooling1D()(layers.Conv1D(3, 3, activation="relu")(inputs["signal"])),
        layers.GlobalMaxPooling3D()(layers.Conv3D(3, 3, activation="relu")(inputs["scan"])),
    ]
    joined = layers.Dense(8, activation="relu", name="joined")(layers.Concatenate()(parts))
    outputs = [
        layers.Dense(3, activation="softmax", name="kind")(joined),
        layers.Dense(1, name="price")(joined),
    ]
    return keras.Model(inputs if kind is dict else [*inputs.values()], outputs, name="several")


def number_of(about: Session, name: str) -> int:
    return [slot.name for slot in about.slots].index(name)


@pytest.fixture(scope="module")
def about() -> Session:
    return Session(several(), BATCH, ("# model",), words=WORDS, features=["age", "height", "width", "price"])


def kind_layer(about: Session, name: str = "kind") -> int:
    return [row["path"] for row in about.layers].index(name)


def test_the_kinds_of_inputs(about: Session) -> None:
    told = about.told()
    assert {slot["name"]: slot["kind"] for slot in told["slots"]} == {
        "photo": "picture",
        "title": "words",
        "facts": "features",
        "signal": "series",
        "scan": "volume",
    }
    assert {slot["name"] for slot in told["slots"] if slot["typed"]} == {"title", "facts"}
    assert told["outputs"] == [kind_layer(about), kind_layer(about, "price")]
    assert told["unfit"]["sanity"] and told["unfit"]["report"] and told["samples"][2] == "images[2]"
    texts = about.samples.told(1)["texts"]
    assert "the film" in texts
    flat = Session(
        keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(2)]), np.zeros((1, 28, 28))
    )
    assert flat.slots[0].kind == "picture" and flat.told()["takes_pictures"]


def test_a_map_for_each_input(about: Session) -> None:
    layer = kind_layer(about)
    found = about.explain(Setting(1, layer=layer, target=2))
    one = {name: each[1:2] for name, each in BATCH.items()}
    expected = vis.Saliency(about.logits, output_layer="kind").explain(one, 2)
    by_name = {each.name: each for each in found.maps}
    for name in ("facts", "signal", "scan"):
        np.testing.assert_allclose(by_name[name].map, expected[name][0], rtol=1e-4, atol=1e-7)
        assert by_name[name].figure is not None and by_name[name].text
    np.testing.assert_allclose(by_name["photo"].map, expected["photo"][0, ..., 0], rtol=1e-4, atol=1e-7)
    assert by_name["photo"].over is not None
    assert by_name["title"].figure is None and "set wrt to embedding" in by_name["title"].text
    (words,) = about.explain(Setting(1, layer=layer, target=2, options=(("wrt", "embedding"),))).maps
    assert words.name == "title" and words.text.startswith("title, largest: ")
    (alone,) = about.explain(Setting(1, layer=layer, target=2, options=(("wrt", "conv"),))).maps
    assert alone.picture is not None and alone.over is None and alone.map.shape == (14, 14)
    (inner,) = about.explain(Setting(1, layer=layer, target=2, options=(("wrt", "joined"),))).maps
    assert inner.figure is not None and inner.map.shape == (8,) and "joined" in inner.name


def test_the_predictions_of_each_output(about: Session) -> None:
    kind, price = about.predict(0)
    assert (kind["name"], price["name"]) == ("kind", "price")
    assert (kind["count"], price["count"]) == (3, 1)
    one = {name: each[:1] for name, each in BATCH.items()}
    outputs = [np.asarray(keras.ops.convert_to_numpy(each))[0] for each in about.model(one)]
    assert kind["best"][0]["target"] == int(np.argmax(outputs[0]))
    assert price["best"][0]["value"] == pytest.approx(float(outputs[1][0]), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", [dict, list])
def test_the_script_of_several_inputs(kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = several(kind)
    images = BATCH if kind is dict else [*BATCH.values()]
    made = Session(model, images, ("# model and images",), words=WORDS)
    first = made.samples.write(0, number_of(made, "title"), "not dull")
    file = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(file, "PNG")
    (tmp_path / "cat.png").write_bytes(file.getvalue())
    changed = made.samples.add("cat.png", file.getvalue(), first, number_of(made, "photo"))
    setting = Setting(changed, layer=kind_layer(made), target=1)
    shown = made.explain(setting).maps
    monkeypatch.chdir(tmp_path)
    exec(made.script(setting), {"model": model, "images": images})
    for each in shown:
        if each.name != "title":
            assert Path(f"map-{each.name}.png").read_bytes() == (each.picture or each.figure), each.name
    assert (made.samples[changed].read()[number_of(made, "title")] == [[4, 5, 0, 0, 0, 0]]).all(), (
        "what was written stays"
    )


def test_words_are_written() -> None:
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32", name="title"),
            layers.Embedding(6, 3, name="embedding"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    made = Session(model, BATCH["title"], ("# model",), words=WORDS)
    number = made.samples.write(0, 0, "the film was Dull")
    assert (made.samples[number].read()[0] == [[1, 2, 3, 5, 0, 0]]).all()
    assert made.samples.told(number) == {"preview": "the film was dull", "texts": ["the film was dull"]}
    (found,) = made.explain(Setting(number, target=0)).maps
    expected = vis.Saliency(model, wrt="embedding").explain([[1, 2, 3, 5, 0, 0]], 0)[0]
    np.testing.assert_allclose(found.map, expected, rtol=1e-4)
    assert set(found.text.split(": ")[1].split()) & set(WORDS[1:]) and "0, 0" not in found.text
    assert "[1, 2, 3, 5, 0, 0]" in made.script(Setting(number))
    for text, words in (("the filme", "Did you mean 'film'"), ("the " * 7, "takes 6 values. Received: 7")):
        with pytest.raises(InputError, match=words):
            made.samples.write(0, 0, text)
    numbers = Session(model, BATCH["title"], ("# model",))
    with pytest.raises(InputError, match="takes numbers with spaces"):
        numbers.samples.write(0, 0, "the film")


def test_features_are_written(about: Session) -> None:
    facts, signal = number_of(about, "facts"), number_of(about, "signal")
    number = about.samples.write(2, facts, "1, 2.5 -3,4e1")
    read = about.samples[number].read()
    np.testing.assert_array_equal(read[facts], np.array([[1, 2.5, -3, 40]], np.float32))
    np.testing.assert_array_equal(read[signal], BATCH["signal"][2:])
    for text in ("1, 2, 3", "1, 2, 3, inf", "1, 2, 3, nan", "a b c d"):
        with pytest.raises(InputError):
            about.samples.write(2, facts, text)
    for slot in (-1, number_of(about, "photo"), signal, 9):
        with pytest.raises(InputError, match="cannot be written"):
            about.samples.write(2, slot, "1")


def test_files_of_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", **BATCH, more=np.zeros(3))
    made = Session(several(list), tmp_path / "all.npz", ("# model",))
    assert made.samples.names() == [f"all.npz[{number}]" for number in range(3)]
    code = "\n".join(made.samples[1].code)
    space: dict[str, Any] = {"np": np}
    exec(code, space)
    read = made.samples[1].read()
    for each, value in zip(read, space["sample"].values(), strict=True):
        np.testing.assert_array_equal(each, value)
    before = len(made.samples)
    assert made.samples.add("more.npz", npz(**{name: each[:2] for name, each in BATCH.items()})) == before
    assert len(made.samples) == before + 2
    with pytest.raises(InputError, match=r"without photo"):
        made.samples.add("less.npz", npz(title=BATCH["title"], facts=BATCH["facts"]))
    with pytest.raises(InputError, match="takes no pictures"):
        Session(keras.Sequential([keras.Input((4,)), layers.Dense(2)])).samples.add("cat.png", b"words")
    single = Session(network(), None, ("# model",), input_range=(0.0, 1.0))
    images = RANDOM.uniform(size=(2, 12, 12, 3)).astype(np.float32)
    assert single.samples.add("images.npy", npy(images)) == 0
    np.testing.assert_array_equal(single.samples[1].read()[0], images[1:])
    with pytest.raises(InputError, match="must have shape"):
        single.samples.add("others.npy", npy(images[:, :5]))


def test_a_picture_for_an_input_without_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((28, 28)), layers.Flatten(), layers.Dense(3)])
    Image.fromarray(RANDOM.integers(0, 256, (40, 40), dtype=np.uint8)).save(tmp_path / "digit.png")
    made = Session(model, tmp_path / "digit.png", ("# model",), input_range=(0.0, 1.0))
    (found,) = made.explain(Setting(0, target=1)).maps
    assert found.map.shape == (28, 28) and made.samples.shown(0).shape == (28, 28, 3)
    monkeypatch.chdir(tmp_path)
    exec(made.script(Setting(0, target=1)), {"model": model})
    assert Path("map.png").read_bytes() == found.picture


def test_what_was_added_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_ADDED", 3)
    made = Session(keras.Sequential([keras.Input((4,)), layers.Dense(2)]), np.zeros((1, 4)), ("# model",))
    made.samples.write(0, 0, "1 2 3 4")
    made.samples.add("a.npy", npy(np.ones((2, 4))))
    with pytest.raises(InputError, match="3 samples have been added"):
        made.samples.write(0, 0, "1 2 3 4")


def test_names_belong_to_the_output_that_has_as_many_classes(about: Session) -> None:
    def labelled(labels: Any) -> list[int | None]:
        return Session(several(), None, ("# model",), labels=labels).told()["labelled"]

    assert labelled(["a", "b", "c"]) == [kind_layer(about)]
    assert labelled(["only"]) == [kind_layer(about, "price")]
    with pytest.raises(InputError, match=r"of which there are 3 and 1\. Received: 2 names, up to class 1"):
        labelled(["a", "b"])
    assert Session(network(), labels={4: "last"}).told()["labelled"] == [None]
    with pytest.raises(InputError, match="up to class 5"):
        Session(network(), labels=[*"abcdef"])
