"""Volumes and videos with their maps: which slices are drawn, on which scale, and the animation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from vis.errors import InputError
from vis.plotting import Figure, plot_volume, save_gif
from vis.plotting.over import overlay_map
from vis.plotting.volume import _chosen

RNG = np.random.default_rng(0)
VOLUME = RNG.random((6, 4, 5))
MAP = RNG.random((6, 4, 5))


def pictures(figure: Any) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


def titles(figure: Any) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.images]


def laid(volume: np.ndarray, values: np.ndarray, **options: Any) -> list[np.ndarray]:
    """Slices as one tall picture with one scale, cut apart again."""
    size = volume.shape[1]
    tall = overlay_map(np.concatenate([*volume]), np.concatenate([*values]), **options)
    return [tall[start : start + size] for start in range(0, len(tall), size)]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_all_slices_along_an_axis_on_one_scale(axis: int) -> None:
    figure = plot_volume(VOLUME, MAP, "a title", axis=axis)
    count = VOLUME.shape[axis]
    assert titles(figure) == [f"slice {number}" for number in range(count)]
    assert figure.get_suptitle() == "a title"
    wanted = laid(np.moveaxis(VOLUME, axis, 0), np.moveaxis(MAP, axis, 0))
    np.testing.assert_array_equal(pictures(figure), wanted)


@pytest.mark.parametrize("volume", [(6, 4, 5), (1, 6, 4, 5), (6, 4, 5, 1), (1, 6, 4, 5, 1)])
@pytest.mark.parametrize("values", [(6, 4, 5), (1, 6, 4, 5), (6, 4, 5, 1), (1, 6, 4, 5, 1)])
def test_what_explainers_return_is_taken(volume: tuple[int, ...], values: tuple[int, ...]) -> None:
    figure = plot_volume(VOLUME.reshape(volume), MAP.reshape(values))
    np.testing.assert_array_equal(pictures(figure), laid(VOLUME, MAP))


@pytest.mark.parametrize("shape", [(1, 4, 5), (6, 1, 5), (6, 4, 1), (1, 1, 1)])
def test_thin_volumes(shape: tuple[int, ...]) -> None:
    volume, values = RNG.random(shape), RNG.random(shape)
    for given_volume in (volume, volume[None], volume[..., None], volume[None, ..., None]):
        for given_map in (values, values[..., None], values[None, ..., None]):
            figure = plot_volume(given_volume, given_map)
            np.testing.assert_array_equal(pictures(figure), laid(volume, values))


def test_a_video_is_drawn_in_its_colours() -> None:
    video = RNG.integers(0, 256, (3, 4, 5, 3), np.uint8)
    figure = plot_volume(video, np.zeros((3, 4, 5)), unit="frame", alpha=0)
    assert titles(figure) == ["frame 0", "frame 1", "frame 2"]
    wanted = [overlay_map(frame, np.zeros((4, 5)), alpha=0) for frame in video]
    np.testing.assert_array_equal(pictures(figure), wanted)


def test_no_slice_is_brightened_on_its_own() -> None:
    volume = np.stack([np.zeros((4, 5)), np.full((4, 5), 0.5), np.ones((4, 5))]) * 700 - 300
    dark, middle, bright = pictures(plot_volume(volume, np.zeros((3, 4, 5)), alpha=0))
    assert dark.max() == 0 and 90 < middle.mean() < 110 and bright.min() > 190


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 45), st.sampled_from(["evenly", "most"]))
def test_as_many_slices_as_asked_for(count: int, wanted: int, choose: str) -> None:
    values = np.random.default_rng(count).normal(size=(count, 2, 2))
    numbers, words = _chosen(values, wanted, choose, "slice", "|map|")
    assert len(numbers) == len(set(numbers)) == min(count, wanted)
    assert numbers == sorted(numbers) and 0 <= numbers[0] and numbers[-1] < count
    assert bool(words) == (wanted < count)
    if choose == "evenly" and wanted > 1:
        assert numbers[0] == 0 and numbers[-1] == count - 1
        gaps = np.diff(numbers)
        assert not len(gaps) or gaps.max() - gaps.min() <= 1
    if choose == "most":
        sums = np.abs(values).sum(axis=(1, 2))
        rest = np.delete(sums, numbers)
        assert not len(rest) or sums[numbers].min() >= rest.max()


def test_the_figure_says_which_slices_are_drawn() -> None:
    values = np.zeros((6, 4, 5))
    values[1], values[4], values[5] = 1, -3, 2
    figure = plot_volume(VOLUME, values, "a title", slices=2, choose="most")
    assert titles(figure) == ["slice 4", "slice 5"]
    assert figure.get_suptitle() == "a title\nthe 2 of 6 slices with the largest sum of |map|"
    figure = plot_volume(VOLUME, values, slices=3, unit="frame")
    assert titles(figure) == ["frame 0", "frame 2", "frame 5"]
    assert figure.get_suptitle() == "3 of 6 frames, evenly spaced"
    assert titles(plot_volume(VOLUME, values, slices=[5, 0])) == ["slice 5", "slice 0"]
    assert titles(plot_volume(VOLUME, values, slices=np.array([3]))) == ["slice 3"]


def test_the_scale_is_that_of_the_whole_map() -> None:
    values = MAP.copy()
    values[3] = 7
    figure = plot_volume(VOLUME, values, slices=[0, 1], clip_percentile=0)
    bar = figure.axes[-1]
    assert bar.get_ylim() == (0, 7) and bar.get_ylabel() == "map"
    np.testing.assert_array_equal(pictures(figure), laid(VOLUME, values, clip_percentile=0)[:2])
    signed = plot_volume(VOLUME, -values, clip_percentile=0, name="gradient")
    assert signed.axes[-1].get_ylim() == (-7, 7) and signed.axes[-1].get_ylabel() == "gradient"
    absolute = plot_volume(VOLUME, -values, clip_percentile=0, absolute=True, name="gradient")
    assert absolute.axes[-1].get_ylim() == (0, 7) and absolute.axes[-1].get_ylabel() == "|gradient|"
    assert len(plot_volume(VOLUME, values, colorbar=False).axes) == 6


def test_axes_of_the_user() -> None:
    figure = Figure(figsize=(8, 3), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert plot_volume(VOLUME, MAP, "one", slices=[2], ax=left, colorbar=False) is left
    assert left.get_title() == "one" and len(left.images) == 1
    assert plot_volume(VOLUME, MAP, slices=4, ax=right) is right
    figure.canvas.draw()


def test_an_animation_has_the_frames_in_their_order(tmp_path: Path) -> None:
    path = save_gif(tmp_path / "new" / "video", VOLUME, MAP, fps=20, pixels=20)
    assert path == tmp_path / "new" / "video.gif" and [*path.parent.iterdir()] == [path]
    with Image.open(path) as gif:
        frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["duration"] == 50 and gif.info["loop"] == 0
    wanted = [frame.repeat(4, 0).repeat(4, 1) for frame in laid(VOLUME, MAP)]
    assert [frame.shape for frame in frames] == [(16, 20, 3)] * 6
    # 20 colours fit into a palette of 256.
    np.testing.assert_array_equal(frames, wanted)
    other = save_gif(tmp_path / "video.GIF", VOLUME, MAP[None, ..., None], axis=2)
    with Image.open(other) as gif:
        assert other.name == "video.GIF" and gif.n_frames == 5 and gif.size == (42 * 4, 42 * 6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"values": MAP[:5]}, r"a volume of shape \(6, 4, 5\) and a map of shape \(5, 4, 5\)"),
        ({"values": MAP[0]}, r"a map of shape \(4, 5\)"),
        ({"values": np.ones((6, 4, 5, 3))}, r"a map of shape \(6, 4, 5, 3\)"),
        ({"volume": np.ones((2, 6, 4, 5)), "values": np.ones((2, 6, 4, 5))}, r"volume\[i\], values\[i\]"),
        ({"values": MAP * np.nan}, "finite"),
        ({"volume": VOLUME * np.inf}, "finite"),
        ({"volume": "scan.nii"}, "real numbers"),
        ({"axis": 3}, "axis must be an axis of the volume"),
        ({"axis": True}, "axis must be an axis of the volume"),
    ],
)
def test_what_is_refused(tmp_path: Path, call: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_volume(**{"volume": VOLUME, "values": MAP, **call})
    given = {"volume": VOLUME, "values": MAP, **call}
    with pytest.raises(InputError, match=message):
        save_gif(tmp_path / "video.gif", given.pop("volume"), **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"slices": 0}, "slices must be a number of slices"),
        ({"slices": True}, "slices must be a number of slices"),
        ({"slices": "all"}, "slices must be a number of slices"),
        ({"slices": [0, 6]}, r"slices must be indices from 0 to 5. Received: \[6\]"),
        ({"slices": [0.5]}, "slices must be indices from 0 to 5"),
        ({"slices": []}, "slices must be indices from 0 to 5"),
        ({"choose": "best"}, "choose must be 'evenly' or 'most'"),
        ({"alpha": 2}, "alpha must be an opacity"),
        ({"cmap": "infernoo"}, "no colormap"),
    ],
)
def test_options_that_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plot_volume(VOLUME, MAP, **option)


@pytest.mark.parametrize("fps", [0, 51, "fast", np.nan, True])
def test_animations_that_are_refused(tmp_path: Path, fps: Any) -> None:
    with pytest.raises(InputError, match="fps must be a number of frames per second"):
        save_gif(tmp_path / "video.gif", VOLUME, MAP, fps=fps)
    assert not list(tmp_path.iterdir())
