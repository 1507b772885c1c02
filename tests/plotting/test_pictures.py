"""Colours and figures: the values behind what is drawn."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from vis import plotting
from vis.errors import InputError


def texts(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes]


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (1, 4, 6, 3), (4, 6, 11), (3, 4, 6)])
def test_one_input(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(shape)
    figure = plotting.plot_saliency(image, np.eye(4, 6), "a title", "guided")
    assert texts(figure)[:3] == ["input", "guided", "guided over input"]
    assert figure.get_suptitle() == "a title"
    assert len(figure.axes) == 4, "three pictures and a colour bar"
    drawn = figure.axes[1].images[0].get_array()
    assert np.array_equal(drawn, plotting.colorize(np.eye(4, 6)))


def test_the_overlay_shows_both() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    below, above = plotting.plot_saliency(image, np.eye(2)).axes[2].images
    assert np.array_equal(below.get_array(), image)
    assert above.get_alpha() == 0.6


def test_a_uint8_picture_is_drawn_as_it_is_and_other_ranges_are_scaled() -> None:
    pixels = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    for image, expected in [
        (pixels, pixels),
        (pixels / 255, pixels),
        (np.array([[[-1.0], [3.0]]]), np.array([[[0] * 3, [255] * 3]])),
    ]:
        drawn = plotting.plot_saliency(image, np.ones((1, 2))).axes[0].images[0].get_array()
        assert np.array_equal(drawn, expected)


def test_a_series_is_drawn_as_bars() -> None:
    figure = plotting.plot_saliency(np.array([[1.0, 2.0, 3.0]]), [0.0, 1.0, 0.5])
    assert [bar.get_height() for bar in figure.axes[1].patches] == [0.0, 1.0, 0.5]


@pytest.mark.parametrize(("image", "saliency"), [((4, 6, 3), (6, 4)), ((5,), (4,)), ((4,), (4, 4))])
def test_an_input_lies_under_its_map(image: tuple[int, ...], saliency: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must lie under its map"):
        plotting.plot_saliency(np.ones(image), np.ones(saliency))


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


def test_figures_are_not_registered_anywhere() -> None:
    import matplotlib.pyplot as plt

    plotting.plot_saliency(np.zeros((2, 2)), np.eye(2))
    assert plt.get_fignums() == []
