"""What stands beside a map is what the library computes."""

from __future__ import annotations

import base64
import io

import keras
import numpy as np
import pytest
from PIL import Image

import vis
from tests.explorer.conftest import network
from vis import metrics
from vis.errors import InputError
from vis.explorer.session import Session
from vis.explorer.settings import Setting
from vis.metrics.explainers import DEFAULT_MEASURES

IMAGES = np.random.default_rng(3).uniform(size=(2, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def about() -> Session:
    return Session(network(), IMAGES, ("# model",), input_range=(0.0, 1.0))


def test_the_sanity_curve(about: Session) -> None:
    found = about.beside("sanity", Setting(1, "guided", target=2))
    expected = metrics.sanity_check(
        lambda model: vis.GuidedBackprop(vis.linear_outputs(model)), about.model, IMAGES[1:], 2
    )
    header, *rows = found.rows
    assert [row[0] for row in rows] == expected.layers == ["classes", "smooth", "conv"]
    for row, rank, alike in zip(
        rows, expected.rank_correlation[:, 0], expected.structural_similarity[:, 0], strict=True
    ):
        np.testing.assert_allclose([float(row[1]), float(row[2])], [rank, alike], atol=0.006)
    assert header == ("random from the output to", "rank correlation", "similarity")
    assert rows[-1][1] in found.text and "stays alike shows the picture" in found.text
    assert found.figure is not None and Image.open(io.BytesIO(found.figure)).size > (400, 300)


@pytest.mark.parametrize("layer", [None, 2], ids=["the output", "a layer"])
def test_the_measures(about: Session, layer: int | None) -> None:
    found = about.beside("measures", Setting(0, layer=layer, target=1))
    whole = about.model if layer is None else None
    explainer = vis.Saliency(about.logits, output_layer=None if layer is None else "smooth")
    expected = metrics.compare({"": explainer}, IMAGES[:1], 1, model=whole).values[""]
    assert [row[0] for row in found.rows] == ["measure", *DEFAULT_MEASURES]
    for name, value, better, meaning in found.rows[1:]:
        assert float(value) == pytest.approx(float(expected[name][0]), rel=0.01), name
        assert better == metrics.MEASURES[name].better and meaning


def test_what_maximizes(about: Session) -> None:
    found = about.beside("maximize", Setting(0, layer=1, target=2))
    assert found.size == (12, 12) and "filter 2 of conv" in found.text
    assert found.figure is not None
    picture = np.asarray(Image.open(io.BytesIO(found.figure)), np.float32)[None] / 255
    activation = keras.Model(about.model.input, about.model.get_layer("conv").output)
    means = [
        float(keras.ops.mean(activation(each)[..., 2])) for each in (picture, IMAGES[:1], 1 - IMAGES[:1])
    ]
    assert means[0] > max(means[1:])


def test_the_predicted_class_is_maximized(about: Session) -> None:
    best = about.predict(1)[0]["best"][0]["target"]
    assert f"class {best}" in about.beside("maximize", Setting(1)).text
    assert f"logits.outputs[0], {best}," in about.script(Setting(1), ["maximize"])


def test_words_are_measured_by_what_can_be() -> None:
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Embedding(9, 4, name="embedding"),
            keras.layers.Conv1D(6, 2, activation="relu"),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(2),
        ]
    )
    made = Session(model, np.array([[1, 2, 3, 4, 5]]), ("# model",))
    rows = {row[0]: row[1:] for row in made.beside("measures", Setting(0)).rows[1:]}
    assert all(np.isfinite(float(rows[name][0])) for name in ("deletion", "insertion", "sparseness"))
    value, _, why = rows["sensitivity_max"]
    assert value == "-" and "needs inputs of floats" in why
    assert len(made.beside("sanity", Setting(0)).rows) == 4
    with pytest.raises(InputError, match="Needs one picture"):
        made.beside("maximize", Setting(0))


def test_rules_whose_maps_depend_on_the_picture_alone(about: Session) -> None:
    def doubted(method: str, **options: str) -> bool:
        return about.explain(Setting(0, method, options=tuple(options.items()))).doubted

    assert all(map(doubted, ("guided", "deconvnet", "guided-grad-cam")))
    assert doubted("saliency", backprop_modifier="relu") and doubted("smoothgrad", backprop_modifier="guided")
    assert not any(map(doubted, ("saliency", "gradcam", "lrp", "occlusion")))


def test_the_filters_of_a_layer(about: Session) -> None:
    activation = keras.Model(about.model.input, about.model.get_layer("conv").output)
    expected = np.asarray(keras.ops.convert_to_numpy(activation(IMAGES[1:])))[0]
    found = about.filters(Setting(1, layer=1))
    np.testing.assert_allclose(found["means"], expected.mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)
    sheet = Image.open(io.BytesIO(base64.b64decode(found["sheet"])))
    assert found["count"] == 4 and sheet.size == (40, 10) and (found["tile"], found["columns"]) == (10, 4)
    dense = about.filters(Setting(1, layer=4))
    assert dense["sheet"] is None and len(dense["means"]) == 5
