"""Images with their maps: what is drawn in which panel, and what is said of it."""

import itertools
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vis import plotting
from vis.attributions import GradientInput, Saliency
from vis.errors import InputError
from vis.plotting.colors import Look


def texts(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


def bars(figure: Figure) -> list[Axes]:
    return [bar for axes in figure.axes for bar in axes.child_axes]


def drawn(axes: Axes) -> np.ndarray:
    (picture,) = axes.images
    return np.asarray(picture.get_array())


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (1, 4, 6, 3), (4, 6, 11), (3, 4, 6)])
def test_one_input(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(shape)
    figure = plotting.plot_saliency(image, np.eye(4, 6), "a title", "guided")
    assert texts(figure) == ["input", "guided", "over input"]
    assert figure.get_suptitle() == "a title"
    assert len(bars(figure)) == 1
    assert np.array_equal(drawn(figure.axes[1]), plotting.colorize(np.eye(4, 6)))


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (1, 4, 6), (1, 4, 6, 1)])
@pytest.mark.parametrize("options", [{}, {"absolute": True}, {"cmap": "viridis", "clip_percentile": 0}])
def test_the_overlay_is_that_of_overlay_map(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    image, values = rng.random((4, 6, 3)), rng.normal(size=shape)
    figure = plotting.plot_saliency(image, values, alpha=0.5, **options)
    assert np.array_equal(drawn(figure.axes[2]), plotting.overlay_map(image, values, alpha=0.5, **options))
    assert figure.axes[1].get_title() == ("|saliency|" if options.get("absolute") else "saliency")


def test_a_uint8_picture_is_drawn_as_it_is_and_other_ranges_are_scaled() -> None:
    pixels = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    for image, expected in [
        (pixels, pixels),
        (pixels / 255, pixels),
        (np.array([[[-1.0], [3.0]]]), np.array([[[0] * 3, [255] * 3]])),
    ]:
        figure = plotting.plot_saliency(image, np.ones((1, 2)))
        assert np.array_equal(drawn(figure.axes[0]), expected)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_whole_numbers_of_fewer_bits_are_scaled(kind: Any) -> None:
    image = np.arange(17).reshape(1, 17)
    figure = plotting.plot_maps(image.astype(kind), image, clip_percentile=0)
    assert np.array_equal(drawn(figure.axes[0])[..., 0], np.rint(255 * image / 16))
    bytes_ = plotting.plot_maps(image.astype(np.uint8), image, clip_percentile=0)
    assert np.array_equal(drawn(bytes_.axes[0])[..., 0], image)


def test_a_series_is_drawn_over_its_map() -> None:
    axes, bar = plotting.plot_saliency(np.array([[1.0, 2.0, 3.0]]), [0.0, 1.0, 0.5], name="guided").axes
    assert axes.lines[0].get_ydata().tolist() == [1, 2, 3]
    assert axes.collections[0].get_array().ravel().tolist() == [0.0, 1.0, 0.5]
    assert bar.get_ylabel() == "guided"


@pytest.mark.parametrize(("image", "saliency"), [((4, 6, 3), (6, 4)), ((5,), (4,)), ((4,), (4, 4))])
def test_an_input_has_the_shape_of_its_map(image: tuple[int, ...], saliency: tuple[int, ...]) -> None:
    both = f"must have the same .*{re.escape(str(image))} and a map of shape {re.escape(str(saliency))}"
    with pytest.raises(InputError, match=both):
        plotting.plot_saliency(np.ones(image), np.ones(saliency))


IMAGES = np.random.default_rng(0).random((3, 4, 6, 3))
MAPS = np.random.default_rng(1).random((3, 4, 6, 1))


@pytest.mark.parametrize(
    ("images", "maps"),
    [
        (IMAGES, MAPS),
        (IMAGES, MAPS[..., 0]),
        (list(IMAGES), list(MAPS)),
        (list(IMAGES), list(MAPS[..., 0])),
        (tuple(IMAGES), MAPS[:, None]),
        (IMAGES.tolist(), MAPS.tolist()),
        (np.moveaxis(IMAGES, -1, 1), MAPS),
        (ops.convert_to_tensor(IMAGES), ops.convert_to_tensor(MAPS)),
        ([image[None] for image in IMAGES], [row[None] for row in MAPS]),
    ],
)
def test_a_batch_in_any_form(images: Any, maps: Any) -> None:
    figure = plotting.plot_maps(images, maps, clip_percentile=0)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 6
    for number in range(3):
        exact = np.rint(255 * IMAGES[number]).astype(np.uint8)
        assert np.abs(drawn(panels[2 * number]).astype(int) - exact).max() <= 1
        expected = plotting.colorize(MAPS[number]).astype(int)
        assert np.abs(drawn(panels[2 * number + 1]) - expected).max() <= 1


@pytest.mark.parametrize("image", [(4, 6, 3), (4, 6), (4, 6, 1), (1, 4, 6, 3), (3, 4, 6), (1, 4, 6)])
@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (1, 4, 6), (1, 4, 6, 1)])
def test_one_image_in_any_form(image: tuple[int, ...], shape: tuple[int, ...]) -> None:
    values = np.arange(24.0)
    figure = plotting.plot_maps(np.ones(image), values.reshape(shape), "a cat", clip_percentile=0)
    assert texts(figure) == ["a cat", "map"]
    assert np.array_equal(drawn(figure.axes[1]), plotting.colorize(values.reshape(4, 6)))


def test_grey_pictures_without_an_axis_of_channels() -> None:
    for shape in ((3, 8, 9), (8, 8, 8), (2, 8, 9)):
        images, maps = np.random.default_rng(2).random((2, *shape))
        figure = plotting.plot_maps(images, maps, clip_percentile=0)
        panels = [axes for axes in figure.axes if axes.images]
        assert len(panels) == 2 * shape[0]
        for number, axes in enumerate(panels[1::2]):
            assert np.array_equal(drawn(axes), plotting.colorize(maps[number]))


@pytest.mark.parametrize("count", [2, 5, 8])
def test_grey_pictures_with_the_maps_of_an_explainer(count: int) -> None:
    images, maps = np.random.default_rng(3).random((2, count, 8, 8))
    figure = plotting.plot_maps(images, {"a": maps[..., None]}, clip_percentile=0)
    assert [drawn(axes).tolist() for axes in figure.axes[1::2]] == [
        plotting.colorize(row).tolist() for row in maps
    ]


def test_images_of_different_sizes() -> None:
    images, maps = [np.zeros((4, 6, 3)), np.zeros((5, 3))], [np.eye(4, 6), np.eye(5, 3)]
    figure = plotting.plot_maps(images, maps)
    assert [drawn(axes).shape[:2] for axes in figure.axes if axes.images] == [(4, 6)] * 2 + [(5, 3)] * 2


def test_what_explain_returns() -> None:
    model = keras.Sequential([layers.Input((4, 6, 3)), layers.Flatten(), layers.Dense(2)])
    images = IMAGES.astype(np.float32)
    maps = {"saliency": Saliency(model)(images, 0), "input": GradientInput(model)(images, 0)}
    figure = plotting.plot_maps(images, maps)
    assert texts(figure)[:3] == ["input", "saliency", "input"]
    for row in range(3):
        for column, found in enumerate(maps.values(), 1):
            expected = plotting.colorize(found[row], clip_percentile=1)
            assert np.array_equal(drawn(figure.axes[3 * row + column]), expected)


@pytest.mark.parametrize("wrap", [lambda explainer: explainer, lambda explainer: {"saliency": explainer}])
def test_an_explainer_in_place_of_its_maps(wrap: Any) -> None:
    explainer = Saliency(keras.Sequential([layers.Input((4, 6, 3)), layers.Flatten(), layers.Dense(2)]))
    with pytest.raises(InputError, match=r"the explainer Saliency\(.*\). Pass what it returns"):
        plotting.plot_maps(IMAGES, wrap(explainer))


def test_a_dropped_sign_is_said_under_any_title() -> None:
    figure = plotting.plot_maps(IMAGES[0], -MAPS[0], "a cat", inputs=False, absolute=True)
    assert texts(figure) == ["a cat\n|map|"]
    axes = Figure().subplots()
    plotting.plot_maps(IMAGES[0], -MAPS[0], title="a cat", inputs=False, absolute=True, ax=axes)
    assert axes.get_title() == "a cat\n|map|"


def test_a_single_scale_shows_which_map_is_larger() -> None:
    maps = {"a": MAPS, "b": MAPS / 4}
    own = plotting.plot_maps(IMAGES, maps, colorbar=True, clip_percentile=0)
    assert np.array_equal(drawn(own.axes[1]), drawn(own.axes[2]))
    assert len(bars(own)) == 6
    shared = plotting.plot_maps(IMAGES, maps, colorbar=True, clip_percentile=0, share_scale=True)
    assert len(bars(shared)) == 3
    assert {bar.get_ylim() for bar in bars(shared)} == {(0, MAPS.max())}
    scale = Look().scale(MAPS)
    for number in range(3):
        for column, name in enumerate(maps, 1):
            panel = shared.axes[3 * number + column]
            assert np.array_equal(drawn(panel), scale.rgb(maps[name][number, ..., 0]))


def test_what_is_cut_off_is_told() -> None:
    values = np.arange(400.0).reshape(20, 20)
    cut, whole = (
        plotting.plot_maps(np.zeros((20, 20)), values, colorbar=True, clip_percentile=percent)
        for percent in (1, 0)
    )
    (told,), (silent,) = bars(cut), bars(whole)
    assert told.get_title(loc="left") == "top 1 %" and not silent.get_title(loc="left")
    assert told.get_ylim() == (0, 396) and silent.get_ylim() == (0, 399)


def test_the_maps_of_a_method_are_drawn_alike() -> None:
    maps = {"some": np.stack([MAPS[0], -MAPS[1]]), "none": MAPS[:2]}
    figure = plotting.plot_maps(IMAGES[:2], maps, clip_percentile=0)
    assert np.array_equal(drawn(figure.axes[1]), plotting.colorize(MAPS[0], signed=True))
    assert np.array_equal(drawn(figure.axes[4]), plotting.colorize(-MAPS[1]))
    assert np.array_equal(drawn(figure.axes[2]), plotting.colorize(MAPS[0]))


def test_a_dropped_sign_is_in_the_title() -> None:
    figure = plotting.plot_grid(IMAGES[:1], {"gradient": -MAPS[:1]}, absolute=True)
    assert texts(figure) == ["input", "|gradient|"]
    assert np.array_equal(drawn(figure.axes[1]), plotting.colorize(MAPS[0], clip_percentile=1))
    signed = plotting.plot_grid(IMAGES[:1], {"gradient": -MAPS[:1]})
    assert np.array_equal(drawn(signed.axes[1]), plotting.colorize(-MAPS[0], clip_percentile=1))


@pytest.mark.parametrize("titles", [7, "7", ["7"], np.array([7])])
def test_a_title_may_be_the_number_of_a_class(titles: Any) -> None:
    assert texts(plotting.plot_maps(IMAGES[0], MAPS[0], titles)) == ["7", "map"]


def inside(figure: Figure) -> bool:
    """Return whether all text of a figure can be read, and no two titles meet."""
    figure.draw_without_rendering()
    names = [axes.title for axes in figure.axes if axes.get_title()]
    extents = [text.get_window_extent() for text in [*names, *figure.texts]]
    whole = all(e.x0 >= -1 and e.x1 <= figure.bbox.x1 + 1 and e.y1 <= figure.bbox.y1 + 1 for e in extents)
    return whole and not any(
        a.padded(-1).overlaps(b.padded(-1)) for a, b in itertools.combinations(extents, 2)
    )


def test_long_names_are_broken_into_lines_that_fit() -> None:
    names = ["golden retriever, Labrador retriever: 0.98", "/data/photos/IMG_20240101_123456789.jpg", "a"]
    title = "What the network sees in three pictures, and why this matters to those who use it"
    for shown in (MAPS, {"integrated gradients": MAPS, "the same, smoothed fifty times over": MAPS}):
        figure = plotting.plot_maps(IMAGES, shown, names, title=title, row_names=names)
        assert inside(figure)
        found = [axes.get_title().replace("\n", "") for axes in figure.axes]
        assert all(name.replace(" ", "") in [text.replace(" ", "") for text in found] for name in names)
    formula = "$a \\cdot " + "b \\cdot " * 20 + "c$"
    assert plotting.plot_maps(IMAGES[0], MAPS[0], formula).axes[0].get_title() == formula


def test_many_maps_of_one_image_take_several_rows() -> None:
    maps = {f"method {number}": MAPS[0] + number for number in range(12)}
    figure = plotting.plot_maps(IMAGES[0], maps, colorbar=True, title="twelve", row_names="cat")
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["input", *maps]
    assert inside(figure) and figure.get_figwidth() < 20
    for axes, values in zip(panels[1:], maps.values(), strict=True):
        assert np.array_equal(drawn(axes), plotting.colorize(values, clip_percentile=1))
    assert len({axes.get_subplotspec().rowspan.start for axes in panels}) == 2
    assert len(plotting.plot_maps(IMAGES[0], dict(list(maps.items())[:7])).axes) == 8


def test_a_box_of_one_image() -> None:
    inside = np.eye(4, 6) > 0
    for boxes in (inside, inside[None], inside[None, ..., None], [inside]):
        figure = plotting.plot_maps(IMAGES[0], MAPS[0], boxes=boxes)
        assert all(set(axes.lines[0].get_xdata()) == {-0.5, 3.5} for axes in figure.axes)


@pytest.mark.parametrize("columns", [1, 2])
def test_overlays_alone_with_a_title_each(columns: int) -> None:
    maps = {name: MAPS for name in "ab"[:columns]}
    given = maps if columns > 1 else MAPS
    figure = plotting.plot_maps(IMAGES, given, ["x", "y", "z"], name="a", inputs=False, overlay=True, alpha=1)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 3 * columns
    assert [axes.get_title() for axes in panels[::columns]] == (
        ["x", "y", "z"] if columns == 1 else ["x\na", "y\na", "z\na"]
    )
    for number, axes in enumerate(panels[::columns]):
        assert np.array_equal(drawn(axes), plotting.overlay_map(IMAGES[number], MAPS[number], alpha=1))


@pytest.mark.parametrize(
    ("images", "maps", "options", "message"),
    [
        (IMAGES, MAPS[:2], {}, "3 inputs and maps {'map': 2}"),
        (IMAGES[0], MAPS, {}, "1 input and maps {'map': 3}. Pass a mapping"),
        (IMAGES[0], IMAGES[0], {}, r"A map must have one value per position.*\(4, 6, 3\), with 3 channels"),
        (IMAGES, IMAGES, {}, r"Map 0 must have one value.*\(4, 6, 3\), with 3 channels"),
        (IMAGES, MAPS[:, :3], {}, r"Image 0 and its map.*shape \(4, 6, 3\) and a map of shape \(3, 6\)"),
        (IMAGES, {"a": MAPS, "b": MAPS[:, :3]}, {}, r"'a': \(4, 6\), 'b': \(3, 6\)} of image 0"),
        (IMAGES, {}, {}, "no maps"),
        ([], [], {}, "0 inputs"),
        (np.ones((8, 9)), np.ones((8, 9, 16)), {}, r"A map must have the axes.*\(8, 9, 16\)"),
        (np.ones((8, 9, 3)), np.ones((8, 9, 16)), {}, r"A map must have the axes.*\(8, 9, 16\)"),
        (IMAGES[0], MAPS[0], {"boxes": np.ones((6, 4), bool)}, r"mask of the shape \(4, 6\).*\(6, 4\)"),
        (IMAGES, {"a": MAPS, "b": IMAGES}, {}, "Map 0 of 'b' must have one value"),
        (IMAGES, MAPS, {"titles": ["a"]}, "3 inputs and {'titles': 1}"),
        (IMAGES, MAPS, {"row_names": "abc"}, "3 inputs and {'row_names': 1}"),
        (IMAGES, MAPS, {"title": ["a", "b", "c"]}, r"title is one text.*\['a', 'b', 'c'\]. Pass titles to"),
        (
            MAPS,
            IMAGES,
            {},
            r"Images come first.*images of shape \(3, 4, 6, 1\) and maps of shape \(3, 4, 6, 3\)",
        ),
        (
            IMAGES,
            [MAPS, MAPS],
            {},
            r"a list of 2 batches.*\(3, 4, 6, 1\). Pass a mapping from the names of methods to maps",
        ),
        ("cat.jpg", MAPS, {}, r"'cat.jpg', a name. Read the file first: vis.utils.utils.load_img\(path\)"),
        ([Path("cat.jpg")], MAPS, {}, r"Path\('cat.jpg'\), a name. Read the file first"),
        (IMAGES, np.where(MAPS > 0.9, np.nan, MAPS), {}, r"Map \d must be finite.*of 24 .* at \("),
        (IMAGES, MAPS, {"size": 3}, r"size must be \(width, height\) in inches.*Received: 3"),
        (IMAGES, MAPS, {"size": (0, 3)}, "size must be"),
        (IMAGES, MAPS, {"ax": "a"}, "ax must be Matplotlib axes.*str"),
        (IMAGES, MAPS, {"alpha": 2, "overlay": True}, "alpha must be an opacity"),
        (IMAGES, "maps.npy", {}, "array of real numbers"),
    ],
)
def test_wrong_calls(images: Any, maps: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plotting.plot_maps(images, maps, **options)


def test_a_grid_has_a_row_per_input_and_a_column_per_method() -> None:
    images = [np.zeros((4, 4, 3)), np.ones((4, 4, 3))]
    columns = {"vanilla": [np.eye(4)] * 2, "signed": [-np.eye(4)] * 2}
    box = np.zeros((4, 4), bool)
    box[1:3, 0:2] = True
    figure = plotting.plot_grid(images, columns, ["first", "second"], boxes=[box, box])
    assert texts(figure) == ["input", "vanilla", "signed", "", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["first", "second"]
    line = figure.axes[1].lines[0]
    assert set(line.get_xdata()) == {-0.5, 1.5} and set(line.get_ydata()) == {0.5, 2.5}


@pytest.mark.parametrize("columns", [{}, {"vanilla": [np.eye(4)]}])
def test_a_grid_needs_one_map_per_input(columns: dict[str, list[np.ndarray]]) -> None:
    with pytest.raises(InputError, match="one entry per input"):
        plotting.plot_grid([np.zeros((4, 4))] * 2, columns)
