"""Figures that show themselves, and panels in new figures or in axes of the user's."""

import copy
import io
import pickle
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vis import plotting
from vis.errors import InputError, VisError
from vis.plotting.figures import outline, panels

IMAGE, MAP = np.zeros((4, 6, 3)), np.eye(4, 6)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def saved(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    # A constrained layout moves panels by a part of a pixel from one drawing to the next.
    return one.shape == other.shape and np.abs(one.astype(float) - other).mean() < 1


def test_a_figure_shows_itself_and_is_not_registered_anywhere() -> None:
    figure = plotting.plot_saliency(IMAGE, MAP)
    assert plt.get_fignums() == []
    shown = pixels(figure._repr_png_())
    saved(figure)
    assert alike(pixels(figure._repr_png_()), pixels(saved(figure)))
    assert shown.std() > 10


def test_a_figure_has_no_window() -> None:
    with pytest.raises(VisError, match=r"in a notebook only.*Save it: figure\.savefig"):
        plotting.plot_saliency(IMAGE, MAP).show()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda figure: pickle.loads(pickle.dumps(figure))])
def test_a_figure_can_be_copied_and_pickled(again: object) -> None:
    figure = plotting.plot_saliency(IMAGE, MAP, "a title")
    before = pixels(saved(figure))
    other = again(figure)
    assert type(other) is plotting.Figure
    assert plt.get_fignums() == []
    assert alike(pixels(other._repr_png_()), before)


def test_no_pixel_is_lost_when_a_picture_shrinks() -> None:
    values = np.zeros((600, 600))
    values[::7] = 1.0
    figure = plotting.plot_maps(values, values, inputs=False, clip_percentile=0, size=(1.5, 1.5))
    rows = pixels(figure._repr_png_())[40:-40, 60:-60].mean(axis=(1, 2))
    # Each of the 80 or so rows has at least a seventh of a bright line in it.
    assert rows.min() > 5 and rows.max() < 120
    small = plotting.plot_maps(np.eye(3), np.eye(3), inputs=False, clip_percentile=0)
    colors = {tuple(color) for color in pixels(small._repr_png_())[60:-60, 60:-60].reshape(-1, 3)}
    assert len(colors) == 2, "pixels are squares"


def test_one_panel_is_the_axes_themselves() -> None:
    _, axes = plt.subplots(1, 2)
    assert plotting.plot_maps(IMAGE, MAP, inputs=False, name="here", ax=axes[1]) is axes[1]
    assert axes[1].get_title() == "here"
    assert np.array_equal(axes[1].images[0].get_array(), plotting.colorize(MAP))
    assert not axes[0].images
    plotting.plot_maps(IMAGE, MAP, inputs=False, title="a title", ax=axes[1])
    assert axes[1].get_title() == "a title"


@pytest.mark.parametrize("layout", [None, "tight", "constrained"])
@pytest.mark.parametrize("title", ["", "a title"])
def test_panels_divide_the_axes_of_the_user_and_stay_apart(layout: str | None, title: str) -> None:
    figure, axes = plt.subplots(2, 2, layout=layout, figsize=(9, 6))
    given = axes[1, 0]
    current = plt.gca()
    before = set(figure.axes)
    assert plotting.plot_saliency(IMAGE, MAP * 3, title, ax=given) is given
    assert plt.gca() is current
    figure.canvas.draw()
    inside = [panel for panel in figure.axes if panel not in before]
    assert [panel.get_title() for panel in inside] == ["input", "saliency", "over input"]
    assert given.get_title() == title and not given.axison
    boxes = [panel.get_tightbbox() for panel in inside]
    if title:
        boxes.append(given.title.get_window_extent())
    boxes += [other.get_tightbbox() for other in before - {given}]
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            across = min(one.x1, other.x1) - max(one.x0, other.x0)
            down = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert min(across, down) < 3, "two panels overlap"


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_axes_that_are_in_no_grid(layout: str | None) -> None:
    figure = plt.figure(layout=layout)
    given = figure.add_axes((0.5, 0.5, 0.4, 0.4))
    _, inside = panels(1, 2, (1, 1), ax=given)
    figure.canvas.draw()
    for panel in inside.flat:
        area = panel.get_position()
        assert area.x0 >= 0.499 and area.x1 <= 0.901 and area.y0 >= 0.499 and area.y1 <= 0.901


def test_a_grid_within_axes() -> None:
    figure, axes = plt.subplots()
    plotting.plot_grid([IMAGE] * 2, {"a": [MAP] * 2}, ["x", "y"], ax=axes, colorbar=True)
    assert [panel.get_ylabel() for panel in figure.axes[1::2]] == ["x", "y"]


@pytest.mark.parametrize("mask", [np.zeros((4, 6), bool), np.ones(3, bool), np.ones((8, 12), bool)])
def test_a_box_is_that_of_its_image(mask: np.ndarray) -> None:
    _, axes = plt.subplots()
    with pytest.raises(InputError, match=r"A box must be a mask of the shape \(4, 6\)"):
        outline(axes, mask, (4, 6), "white")


def test_axes_within_axes() -> None:
    figure, axes = plt.subplots()
    inset = axes.inset_axes((0.5, 0.5, 0.4, 0.4))
    plotting.plot_saliency(IMAGE, MAP, ax=inset)
    assert plt.gca() is axes
    area = inset.get_position()
    for panel in figure.axes[1:]:
        assert area.x0 - 1e-6 <= panel.get_position().x0 and panel.get_position().x1 <= area.x1 + 1e-6
