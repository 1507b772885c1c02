"""Labelled pictures."""

import numpy as np
import pytest

from vis import plotting
from vis.errors import InputError

RNG = np.random.default_rng(0)


def test_each_picture_is_drawn_under_its_label() -> None:
    rows = {"first": RNG.random((3, 4, 6, 3)), "second": [np.full((4, 6, 3), 7, np.uint8)]}
    labels = {"first": ["a", "b", "c"], "second": ["d"]}
    figure = plotting.plot_pictures(rows, labels, "title")
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == ["a", "b", "c", "d"]
    assert [axes.get_ylabel() for axes in drawn] == ["first", "", "", "second"]
    assert figure.get_suptitle() == "title"
    for axes, picture in zip(drawn, rows["first"], strict=False):
        assert np.array_equal(axes.images[0].get_array(), np.rint(255 * picture))
    assert (drawn[3].images[0].get_array() == 7).all()
    assert not any(axes.axison for axes in figure.axes if not axes.images), (
        "nothing is drawn beside a short row"
    )


def test_pictures_in_axes_of_a_figure_of_yours() -> None:
    figure = plotting.Figure()
    axes = figure.subplots()
    assert plotting.plot_pictures({"": np.zeros((2, 4, 4, 3))}, {"": ["a", "b"]}, ax=axes) is axes


@pytest.mark.parametrize(
    ("rows", "labels", "message"),
    [
        ({}, {}, "needs pictures"),
        ({"a": []}, {"a": []}, "needs pictures"),
        ({"a": np.zeros((2, 4, 4, 3))}, {"a": ["one"]}, r"pictures {'a': 2}, labels {'a': 1}"),
        ({"a": np.zeros((1, 4, 4, 3))}, {"b": ["one"]}, "a label for each"),
        ({"a": np.zeros((1, 4, 4))}, {"a": ["one"]}, r"\(height, width, 3\).*\(4, 4\)"),
        ({"a": np.full((1, 4, 4, 3), 2.0)}, {"a": ["one"]}, "from 0 to 1.*2.0"),
        ({"a": np.full((1, 4, 4, 3), np.nan)}, {"a": ["one"]}, "from 0 to 1.*nan"),
    ],
)
def test_wrong_pictures_are_refused(rows: object, labels: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        plotting.plot_pictures(rows, labels)
