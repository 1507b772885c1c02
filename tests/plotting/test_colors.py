"""Values as colours: the ends of a scale, its middle, what is cut off, and what is no map."""

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vis import plotting
from vis.errors import InputError
from vis.plotting.colors import Look, finite


def color(name: str, value: float) -> list[int]:
    return list(matplotlib.colormaps[name](value, bytes=True)[:3])


def test_an_unsigned_map_runs_from_zero_to_its_maximum() -> None:
    picture = plotting.colorize([[0.0, 2.0, 4.0]])
    assert picture.dtype == np.uint8
    assert picture[0].tolist() == [color(plotting.SEQUENTIAL, share) for share in (0.0, 0.5, 1.0)]


@pytest.mark.parametrize("low", [-1.0, -8.0])
def test_a_signed_map_is_centred_on_zero(low: float) -> None:
    picture = plotting.colorize([[low, 0.0, 4.0]])
    largest = max(-low, 4.0)
    shares = [(value + largest) / (2 * largest) for value in (low, 0.0, 4.0)]
    assert picture[0].tolist() == [color(plotting.DIVERGING, share) for share in shares]


def test_a_map_of_zeros_is_dark() -> None:
    assert plotting.colorize(np.zeros((1, 2)))[0].tolist() == [color(plotting.SEQUENTIAL, 0.0)] * 2


def test_signed_and_absolute_and_the_colormap_are_chosen() -> None:
    values = [[-4.0, 0.0, 2.0]]
    dark = [color(plotting.SEQUENTIAL, share) for share in (1.0, 0.0, 0.5)]
    assert plotting.colorize(values, absolute=True)[0].tolist() == dark
    from_lowest = [color(plotting.SEQUENTIAL, share) for share in (0.0, 2 / 3, 1.0)]
    assert plotting.colorize(values, signed=False)[0].tolist() == from_lowest
    positive = plotting.colorize([[0.0, 2.0]], signed=True)[0].tolist()
    assert positive == [color(plotting.DIVERGING, share) for share in (0.5, 1.0)]
    viridis = matplotlib.colormaps["viridis"]
    for cmap in ("viridis", viridis):
        assert plotting.colorize([[0.0, 1.0]], cmap=cmap)[0].tolist() == [
            color("viridis", share) for share in (0.0, 1.0)
        ]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1), (1, 2, 3), (1, 2, 3, 1)])
def test_axes_of_one_are_left_out(shape: tuple[int, ...]) -> None:
    values = np.arange(6.0)
    expected = plotting.colorize(values.reshape(2, 3))
    assert np.array_equal(plotting.colorize(values.reshape(shape)), expected)


def test_a_percentile_is_cut_by_magnitude() -> None:
    values = np.concatenate([np.linspace(0, 1, 198), [50.0, 100.0]])
    assert Look().scale(values).get_clim() == (0, 100)
    scale = Look(clip_percentile=1).scale(values)
    # 1 % of 200 values are two: the two outliers lie beyond the largest of the others or on the end.
    assert scale.get_clim() == (0, 50) and scale.cut
    signed = Look(clip_percentile=1).scale(np.where(values > 50, -values, values))
    assert signed.get_clim() == (-50, 50) and signed.cut
    assert not Look().scale(values).cut


def test_a_cut_at_zero_would_hide_what_there_is() -> None:
    values = np.zeros(1000)
    values[:2] = 3.0
    assert Look(clip_percentile=1).scale(values).get_clim() == (0, 3)


FLOATS = arrays.arrays(np.float64, st.integers(1, 300), elements=st.floats(-1e6, 1e6, width=32))


@given(FLOATS, st.floats(0, 50))
def test_at_most_the_share_lies_beyond_and_zero_is_in_the_middle(values: np.ndarray, percent: float) -> None:
    scale = Look(clip_percentile=percent).scale(values)
    low, high = scale.get_clim()
    outside = np.count_nonzero((values > high) | (values < low))
    assert outside <= percent / 100 * values.size
    assert scale.cut == (percent if outside else 0)
    assert low == (-high if values.min() < 0 else 0)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"must have the axes \(height, width\). Received: shape \(3,\)"),
        (np.zeros((2, 2, 3)), r"shape \(2, 2, 3\), with 3 channels. Reduce them"),
        (np.zeros((4, 2, 2, 1)), r"must have the axes \(height, width\). Received: shape \(4, 2, 2, 1\)"),
        (np.zeros((0, 5)), r"at least one value. Received: shape \(0, 5\)"),
        (np.array([[0, np.nan], [np.inf, 1]]), r"2 of 4 values of shape \(2, 2\).*at \(0, 1\), \(1, 0\)\."),
        (np.full((2, 3), np.nan), r"6 of 6 .*at \(0, 0\), \(0, 1\), \(0, 2\), \.\.\."),
    ],
)
def test_what_is_no_map_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=f"A map .*{message}"):
        plotting.colorize(array)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip_percentile": 100}, "clip_percentile must be a percentage"),
        ({"clip_percentile": -1}, "clip_percentile must be a percentage"),
        ({"clip_percentile": "1"}, "clip_percentile must be a percentage"),
        ({"cmap": "virdis"}, "no colormap 'virdis'. Did you mean 'viridis'"),
        ({"cmap": 3}, "cmap must be a Matplotlib colormap"),
        ({"absolute": True, "signed": True}, "Magnitudes have no sign"),
    ],
)
def test_wrong_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plotting.colorize([[1.0]], **options)


def test_numbers_of_axes() -> None:
    assert finite([1, 2]).tolist() == [1.0, 2.0]
    assert finite(np.zeros((1, 2, 3)), ndim=3).shape == (1, 2, 3)
    with pytest.raises(InputError, match=r"A map must have the shape \(height, width\) or \(length,\)"):
        finite(np.zeros((2, 2, 2)))
    with pytest.raises(InputError, match=r"A volume must have 3 axes. Received: shape \(2, 2\)"):
        finite(np.zeros((2, 2)), ndim=3, what="A volume")


def test_magnitudes_say_so() -> None:
    assert Look(absolute=True).named("saliency") == "|saliency|"
    assert Look().named("saliency") == "saliency"
