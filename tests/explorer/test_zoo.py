"""Models of many kinds: each is told as JSON, explained, and its script draws the same to the byte."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from vis.errors import InputError, ModelError, VisError, VisWarning
from vis.explorer.session import Session
from vis.explorer.settings import Setting

Made = tuple[keras.Model, Any, dict[str, Any]]
TENSORFLOW = keras.config.backend() == "tensorflow"
WORDS = ["", *(f"w{number}" for number in range(1, 20))]


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).uniform(size=shape).astype(np.float32)


def ids(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(1, 20, shape)


def classes(x: Any, **options: Any) -> Any:
    return layers.Dense(3, activation="softmax", **options)(x)


def convolved(x: Any, **options: Any) -> Any:
    return layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", **options)(x))


def embedded(x: Any, **options: Any) -> Any:
    return layers.GlobalAveragePooling1D()(layers.Embedding(20, 6, **options)(x))


def any_size() -> Made:
    x = keras.Input((None, None, 3))
    return keras.Model(x, classes(convolved(x))), numbers(2, 17, 23, 3), {}


def without_channels() -> Made:
    """Digits whose axis of channels the model adds."""
    x = keras.Input((8, 8))
    return keras.Model(x, classes(convolved(layers.Reshape((8, 8, 1))(x)))), numbers(2, 8, 8), {}


def grey() -> Made:
    """Pictures without their last axis, as `Model.predict` takes them."""
    x = keras.Input((12, 12, 1))
    return keras.Model(x, classes(convolved(x))), numbers(2, 12, 12), {}


def one_in_a_dict() -> Made:
    x = keras.Input((12, 12, 3), name="image")
    return keras.Model({"image": x}, classes(convolved(x))), {"image": numbers(2, 12, 12, 3)}, {}


def one_in_a_list() -> Made:
    x = keras.Input((12, 12, 3), name="scene")
    return keras.Model([x], classes(convolved(x))), [numbers(2, 12, 12, 3)], {}


def twins() -> Made:
    """Two pictures through one network."""
    one, two = (keras.Input((12, 12, 3), name=name) for name in ("left", "right"))
    convolution, mean = layers.Conv2D(4, 3, activation="relu", name="shared"), layers.GlobalAveragePooling2D()
    x = layers.Concatenate()([mean(convolution(each)) for each in (one, two)])
    return keras.Model([one, two], classes(x)), [numbers(2, 12, 12, 3), numbers(2, 12, 12, 3)[::-1]], {}


def picture_and_table() -> Made:
    """Keys that are no names of files."""
    scene, table = keras.Input((12, 12, 3), name="the scene"), keras.Input((4,), name="a table!")
    x = layers.Concatenate()([convolved(scene), layers.Dense(3, activation="relu")(table)])
    model = keras.Model({"the scene": scene, "a table!": table}, classes(x))
    return model, {"the scene": numbers(2, 12, 12, 3), "a table!": numbers(2, 4), "label": 7}, {}


def picture_and_categories() -> Made:
    scene, table = keras.Input((12, 12, 3), name="scene"), keras.Input((4,), dtype="int32", name="table")
    x = layers.Concatenate()([convolved(scene), layers.Dense(3)(ops.cast(table, "float32"))])
    return keras.Model([scene, table], classes(x)), {"table": ids(2, 4), "scene": numbers(2, 12, 12, 3)}, {}


def nested_structure() -> Made:
    a, b, c = (keras.Input((3,), name=name) for name in "abc")
    x = layers.Concatenate()([layers.Dense(4, activation="relu")(each) for each in (a, b, c)])
    return keras.Model([a, [b, c]], classes(x)), [numbers(2, 3) + number for number in range(3)], {}


def shared_outputs() -> Made:
    layer, one, two = (
        layers.Dense(3, name="last"),
        keras.Input((5,), name="one"),
        keras.Input((5,), name="two"),
    )
    return keras.Model([one, two], [layer(one), layer(two)]), [numbers(2, 5), 1 - numbers(2, 5)], {}


def outputs_of_a_backbone() -> Made:
    x = keras.Input((12, 12, 3))
    found = convolved(x)
    inner = keras.Model(x, [layers.Dense(2, name="size")(found), classes(found, name="kind")], name="inner")
    x = keras.Input((12, 12, 3))
    return keras.Model(x, inner(x)), numbers(2, 12, 12, 3), {}


def tokens() -> Made:
    x = keras.Input((8,), dtype="int32", name="tokens")
    made = layers.LSTM(4)(layers.Embedding(20, 6, mask_zero=True, name="embedding")(x))
    given = ids(2, 8)
    given[:, 5:] = 0
    return keras.Model(x, classes(made)), given, {"words": WORDS}


def two_texts() -> Made:
    """One embedding for both."""
    one, two = (keras.Input((6,), dtype="int32", name=name) for name in ("question", "answer"))
    embedding, mean = layers.Embedding(20, 6, name="embedding"), layers.GlobalAveragePooling1D()
    x = layers.Concatenate()([mean(embedding(each)) for each in (one, two)])
    return (
        keras.Model({"question": one, "answer": two}, classes(x)),
        {"question": ids(2, 6), "answer": ids(2, 6)},
        {},
    )


def text() -> Made:
    vocabulary = ["good", "bad", "film", "the"]
    split = layers.TextVectorization(20, output_sequence_length=4, vocabulary=vocabulary)
    x = keras.Input((), dtype="string", name="text")
    given = np.array(["the film - bad!", "really the best and a good film"], object)
    return keras.Model(x, classes(embedded(split(x), name="embedding"))), given, {}


def integers() -> Made:
    """A table, and no words."""
    x = keras.Input((4,), dtype="int32", name="table")
    return keras.Model(x, classes(layers.Dense(3)(ops.cast(x, "float32")))), ids(2, 4), {}


def one_number() -> Made:
    x = keras.Input((), name="number")
    return keras.Model(x, layers.Dense(2)(layers.Reshape((1,))(x))), numbers(2), {}


def long_series() -> Made:
    """As wide as a picture."""
    x = keras.Input((20, 30))
    made = layers.GlobalAveragePooling1D()(layers.Conv1D(4, 3, activation="relu")(x))
    return keras.Model(x, classes(made)), numbers(2, 20, 30), {}


def volume() -> Made:
    x = keras.Input((4, 6, 6, 1))
    made = layers.GlobalAveragePooling3D()(layers.Conv3D(3, 3, activation="relu")(x))
    return keras.Model(x, classes(made)), numbers(2, 4, 6, 6, 1), {}


PICTURES, TABLES = [("picture", "12 x 12 x 3")], ("features", "4")
ZOO: dict[Callable[[], Made], list[tuple[str, str]]] = {
    any_size: [("picture", "? x ? x 3")],
    without_channels: [("picture", "8 x 8")],
    grey: [("picture", "12 x 12 x 1")],
    one_in_a_dict: PICTURES,
    one_in_a_list: PICTURES,
    twins: PICTURES * 2,
    picture_and_table: [TABLES, *PICTURES],
    picture_and_categories: [*PICTURES, TABLES],
    nested_structure: [("features", "3")] * 3,
    shared_outputs: [("features", "5")] * 2,
    outputs_of_a_backbone: PICTURES,
    tokens: [("words", "8")],
    two_texts: [("words", "6")] * 2,
    text: [("words", "one number")],
    integers: [TABLES],
    one_number: [("features", "one number")],
    long_series: [("series", "20 x 30")],
    volume: [("volume", "4 x 6 x 6 x 1")],
}
METHODS: dict[str, tuple[tuple[str, str], ...]] = {
    "saliency": (),
    "occlusion": (("patch_size", "4"),),
    "gradcam": (),
}


@pytest.mark.parametrize("make", ZOO, ids=lambda make: make.__name__)
def test_a_model(make: Callable[[], Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if make is text and not TENSORFLOW:
        pytest.skip("text is split by TensorFlow")
    keras.utils.set_random_seed(3)
    model, images, options = make()
    monkeypatch.chdir(tmp_path)
    warnings.simplefilter("ignore", VisWarning)
    made = Session(model, images, ("# model and images",), **options)
    told = made.told()
    json.dumps(told, allow_nan=False)
    assert [(slot["kind"], slot["shape"]) for slot in told["slots"]] == ZOO[make]
    assert made.samples.names() == ["images[0]", "images[1]"]
    assert len(told["outputs"]) == len(made.predict(1)) == len(model.outputs)
    # The last output, so that it is not the one that is taken by default.
    number = len(model.outputs) - 1
    best = made.predict(1)[number]["best"][0]["target"]
    output = keras.tree.flatten(model(made._packed(made.samples[1].read())))[number]
    assert best == int(ops.convert_to_numpy(output)[0].argmax())
    drawn = 0
    for method, given in METHODS.items():
        if any(slot["kind"] in ("words", "features") for slot in told["slots"]):
            given = ()
        drawn += same(made, Setting(1, method, told["outputs"][number], None, given), model, images)
    assert drawn, "no method makes a map"


def same(made: Session, setting: Setting, model: keras.Model, images: Any) -> int:
    """Return how many pictures of maps a script has made, which are those of the page."""
    try:
        found = made.explain(setting)
    except VisError as error:
        assert setting.method == "gradcam" or "no gradient" in str(error), error
        return 0
    json.dumps(found.told(), allow_nan=False)
    script = made.script(setting)
    exec(compile(script, "script", "exec"), {"model": model, "images": images})
    files = {each.split("'")[1]: Path(each.split("'")[1]) for each in script.split("save(")[1:]}
    files |= {each.split("'")[1]: Path(each.split("'")[1]) for each in script.split("savefig(")[1:]}
    shown = [each.picture or each.figure for each in found.maps]
    assert sorted(each for each in shown if each is not None) == sorted(
        f.read_bytes() for f in files.values()
    )
    for each in found.maps:
        assert (each.picture or each.figure) is not None or "no gradient" in each.text
    for file in files.values():
        file.unlink()
    return len(files)


def test_one_of_two_calls() -> None:
    """The map of a layer that sees one input is that input's."""
    model, images, _ = twins()
    made = Session(model, images)
    paths = [row["path"] for row in made.layers]
    for layer in (paths.index("shared:0"), paths.index("shared:1")):
        sample = made.samples[0]
        found = made._pairs(made._asked(Setting(0, layer=layer)), sample.read(), sample.named)
        assert [each.slot.name for each in found] == ["left", "right"]
    second = next(path for path in paths if path.endswith(":1") and "pooling" in path)
    (drawn,) = made.explain(Setting(0, "gradcam", layer=paths.index(second))).maps
    assert drawn.name == ("right" if seen_input(made, second) == 1 else "left")


def seen_input(made: Session, path: str) -> int:
    """Return which input a call sees: the one whose change moves it."""
    from vis.attributions import Saliency

    maps = Saliency(made.model, output_layer=path, grad_modifier=None).explain(
        made._given(made.samples[0].read()), 0
    )
    return int(np.argmax([np.abs(each).max() for each in maps]))


def test_the_words_are_those_that_the_text_is_split_into() -> None:
    if not TENSORFLOW:
        pytest.skip("text is split by TensorFlow")
    model, images, options = text()
    made = Session(model, images, **options)
    words = [made.slots[0].words(np.asarray(value, object)) for value in images]
    assert words[0] == (["the", "film", "bad"], [0, 1, 2]), "the dash is no word"
    assert words[1] == (["[UNK]", "the", "[UNK]", "[UNK]"], [0, 1, 2, 3]), "the rest is cut off"
    assert made.samples.told(0)["texts"] == ["the film - bad!"]


@pytest.mark.parametrize("make", [any_size, grey])
def test_what_stands_beside_a_map_as_a_script(
    make: Callable[[], Made],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    model, images, options = make()
    made = Session(model, images, ("# model and images",), input_range=(0.0, 1.0), **options)
    setting = Setting(1, target=0)
    script = made.script(setting, ["measures", "maximize"])
    exec(compile(script, "script", "exec"), {"model": model, "images": images})
    assert Path("maximized.png").read_bytes() == made.beside("maximize", setting).figure
    assert all(row[0] in capsys.readouterr().out for row in made.beside("measures", setting).rows[1:2])


def test_measures_that_a_map_does_not_have_are_not_in_its_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, images, options = tokens()
    made = Session(model, images, ("# model and images",), **options)
    rows = made.beside("measures", Setting(0, target=0)).rows[1:]
    assert "-" in [value for _, value, *_ in rows]
    script = made.script(Setting(0, target=0), ["measures"])
    exec(compile(script, "script", "exec"), {"model": model, "images": images})
    model, images, options = twins()
    with pytest.raises(InputError, match="one input"):
        Session(model, images).beside("measures", Setting(0))


HEADERS = [
    b"__import__('os').system('touch file",
    b"(" * 5000,
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    b"\0\xff",
]


@pytest.mark.parametrize("header", HEADERS, ids=range(len(HEADERS)))
def test_headers_of_no_array(header: bytes) -> None:
    made = Session(grey()[0], None, input_range=(0.0, 1.0))
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with pytest.raises(InputError, match=r"is not a \.npy|It is not read"):
        made.samples.add("a.npy", data)


@pytest.mark.parametrize("name", ["a\0b.npy", "a\nb'.npy", 'a"\\b.npy', "\u2028{x}.npy"])
def test_names_of_files_in_scripts(name: str, tmp_path: Path) -> None:
    made = Session(grey()[0], None, input_range=(0.0, 1.0))
    np.save(tmp_path / "a.npy", numbers(1, 12, 12, 1))
    made.samples.add(name, (tmp_path / "a.npy").read_bytes())
    script = made.script(Setting(0))
    compile(script, "script", "exec")
    assert script.startswith("# A map of ") and script.splitlines()[1] == ""


@pytest.mark.parametrize(
    "value",
    [0.1, 1 / 3, 1e-30, 123456789.0, -2.5, 1.0],
    ids=["0.1", "third", "small", "large", "half", "one"],
)
def test_numbers_stay_when_they_are_written_again(value: float) -> None:
    x = keras.Input((2,))
    given = np.array([[value, 1.0]], np.float32)
    made = Session(keras.Model(x, layers.Dense(2)(x)), given)
    added = made.samples.write(0, 0, made.samples.told(0)["texts"][0])
    np.testing.assert_array_equal(made.samples[added].read()[0], given)


def test_a_model_that_cannot_be_read() -> None:
    class Breaking(layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            raise RuntimeError("\x1b[1mout of order\x1b[0m")

        def compute_output_shape(self, shape: Any) -> Any:
            return shape

    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(2)(Breaking()(x)))
    with pytest.raises(ModelError, match=r"could not be run.*RuntimeError") as found:
        Session(model, numbers(1, 3)).predict(0)
    assert "\x1b" not in str(found.value)


@pytest.mark.parametrize("features", [["a"], "abcd", 4, []], ids=repr)
def test_features_that_no_input_has(features: Any) -> None:
    x = keras.Input((4,))
    with pytest.raises(InputError, match="features must"):
        Session(keras.Model(x, layers.Dense(2)(x)), features=features)


@pytest.mark.parametrize(("make", "name"), [(one_number, "infidelity"), (text, "complexity")])
def test_measures_of_inputs_without_axes(make: Callable[[], Made], name: str) -> None:
    if make is text and not TENSORFLOW:
        pytest.skip("text is split by TensorFlow")
    rows = Session(*make()[:2]).beside("measures", Setting(0, target=0)).rows[1:]
    assert dict(row[:2] for row in rows)[name] != "-"
