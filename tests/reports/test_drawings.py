"""What is drawn of a map of any shape."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.reports.conftest import SHAPE
from vis import plotting
from vis.attributions import Saliency
from vis.errors import InputError
from vis.plotting.colors import Look
from vis.reports.drawings import Inputs, drawing, flat
from vis.reports.run import Row, Run

RNG = np.random.default_rng(0)


def values(*shape: int) -> Any:
    return RNG.standard_normal(shape).astype(np.float32)


def test_pictures_are_drawn_as_they_are() -> None:
    held = values(5, 6, 1)
    np.testing.assert_array_equal(flat(held), held[..., 0])
    np.testing.assert_array_equal(flat(held.reshape(1, 5, 6)), held[..., 0])
    colours = values(5, 6, 3)
    np.testing.assert_allclose(flat(colours), colours.mean(axis=-1), rtol=1e-6)


def test_bands_run_from_left_to_right() -> None:
    """Each step is as wide as the others, and each channel as high."""
    for held in (values(7), values(7, 1)):
        band = flat(held)
        assert band is not None and band.shape == (32, 18 * 7)
        np.testing.assert_array_equal(band[::32, ::18], held.reshape(1, 7))
    steps = values(200, 3)
    band = flat(steps)
    assert band is not None and band.shape == (30, 200)
    np.testing.assert_array_equal(band[::10], steps.T)


@pytest.mark.parametrize(
    ("depth", "shown"), [(1, [0]), (4, [0, 1, 2, 3]), (17, [0, 2, 4, 6, 8, 10, 12, 14, 16])]
)
def test_slices_of_a_volume_stand_in_threes(depth: int, shown: list[int]) -> None:
    held = values(depth, 3, 4, 1)
    tiled = flat(held)
    assert tiled is not None
    columns = min(3, len(shown))
    for number, index in enumerate(shown):
        y, x = divmod(number, columns)
        np.testing.assert_array_equal(tiled[3 * y : 3 * y + 3, 4 * x : 4 * x + 4], held[index, ..., 0])


@pytest.mark.parametrize("shape", [(), (0,), (0, 4, 1), (2, 2, 2, 2, 1)])
def test_what_cannot_be_drawn_says_so(shape: tuple[int, ...], run: Callable[..., Path]) -> None:
    row = Row(0, "a", {"maps": values(*shape)})
    found = drawing(row, Inputs(Run(run())), Look(clip_percentile=1))
    assert not found.panels and found.problem == f"A map of shape {shape} cannot be drawn."


def test_the_picture_its_map_and_both(run: Callable[..., Path]) -> None:
    held = Run(run(reducer=None))
    look = Look(clip_percentile=1, signed=True)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (12, 16, 3), dtype=np.uint8) for _ in range(6)]
    for row in held.rows(range(6)):
        if row.skipped:
            assert drawing(row, Inputs(held), look).panels == {}
            continue
        panels = drawing(row, Inputs(held), look).panels
        assert list(panels) == ["input", "map", "map over input"]
        picture, values = pictures[row.number], row.maps["maps"].mean(axis=-1)
        np.testing.assert_array_equal(panels["input"], picture)
        options = {"clip_percentile": 1, "signed": True}
        np.testing.assert_array_equal(panels["map"], plotting.colorize(values, **options))
        over = plotting.overlay_map(picture, values, **options)
        np.testing.assert_array_equal(panels["map over input"], over)


def test_pictures_from_elsewhere(run: Callable[..., Path], pictures: Path, tmp_path: Path) -> None:
    path = run()
    held = Run(path)
    row = next(held.rows(range(1)))
    expected = drawing(row, Inputs(held), Look(clip_percentile=1)).panels["input"]
    moved = tmp_path / "moved"
    pictures.rename(moved)
    lost = Inputs(held)
    assert "is not there any more, so the maps stand alone" in lost.problem
    assert list(drawing(row, lost, Look(clip_percentile=1)).panels) == ["map"]
    np.testing.assert_array_equal(
        drawing(row, Inputs(held, moved), Look(clip_percentile=1)).panels["input"], expected
    )
    arrays = np.stack([expected] * 6) / 255
    np.testing.assert_array_equal(
        drawing(row, Inputs(held, arrays), Look(clip_percentile=1)).panels["input"], expected
    )
    with pytest.raises(InputError, match="no folder of pictures"):
        Inputs(held, tmp_path / "none")
    with pytest.raises(InputError, match="Received: 2 pictures for 6 maps"):
        Inputs(held, arrays[:2])
    assert "does not say where its inputs lie" in Inputs(Run(run_without_source(path))).problem


def run_without_source(path: Path) -> Path:
    import zarr

    zarr.open_group(str(path), mode="r+").attrs["source"] = {}
    return path


def test_a_picture_that_is_lost_or_outside(run: Callable[..., Path], pictures: Path) -> None:
    """A list of names that was changed shows no file from elsewhere."""
    held = Run(run())
    (pictures / "a.png").unlink()
    secret = pictures.parent / "secret.png"
    (pictures / "inside" / "b.png").rename(secret)
    maps = {"maps": np.ones((12, 16, 1), np.float32)}
    for name, words in [
        ("a.png", "There is no image file"),
        ("../secret.png", "lies outside the folder"),
        (str(secret), "lies outside the folder"),
        ("inside/../../secret.png", "lies outside the folder"),
    ]:
        found = drawing(Row(2, name, maps), Inputs(held), Look(clip_percentile=1))
        assert list(found.panels) == ["map"] and words in found.problem


def test_several_inputs_have_a_map_each(run: Callable[..., Path]) -> None:
    row = Row(0, "a", {"maps_image": values(4, 4, 1), "maps_table": values(3)})
    found = drawing(row, Inputs(Run(run())), Look(clip_percentile=1))
    assert list(found.panels) == ["map of image", "map of table"] and not found.problem


def test_a_folder_needs_names_for_its_maps(network: keras.Model, pictures: Path, tmp_path: Path) -> None:
    """A run from Python names no files, so no picture of a folder would be found."""
    Saliency(network).write(values(3, *SHAPE), tmp_path / "maps.zarr", progress=False)
    with pytest.raises(InputError, match=r"lists no files.*Received: the folder.*Pass names"):
        Inputs(Run(tmp_path / "maps.zarr"), pictures)
    names = ["a.png", "inside/b.png", "ü.png"]
    named = Run(tmp_path / "maps.zarr", names)
    assert all(Inputs(named, pictures).picture(row, SHAPE[:2]) is not None for row in named.rows(range(3)))
