"""What `vis.report` is asked for, and what it says when that cannot be had."""

from collections.abc import Callable
from pathlib import Path

import pytest

import vis
from tests.reports.parsed import Page
from vis.errors import InputError, SkippedWarning


def test_a_part_of_the_rows(run: Callable[..., Path], tmp_path: Path) -> None:
    written = vis.report(run(), tmp_path / "new" / "part.html", first=1, count=2, progress=False)
    page = Page(written)
    assert [int(card["data-row"]) for card in page.cards()] == [1, 2]
    assert "the 2 rows from 1 to 2 of 6; part.csv lists all" in page.text
    assert len((tmp_path / "new" / "part.csv").read_text().splitlines()) == 7
    whole = Page(vis.report(tmp_path / "maps.zarr", written, count=None, progress=False))
    assert len(whole.cards()) == 5


def test_a_run_that_names_no_folder(run: Callable[..., Path]) -> None:
    page = Page(vis.report(run(source=False), progress=False))
    (note,) = page.all("p", **{"class": "note"})
    assert "does not say where its inputs lie, so the maps stand alone" in note["text"]


def test_lost_pictures_are_told_and_the_maps_shown(run: Callable[..., Path], pictures: Path) -> None:
    path = run()
    pictures.rename(pictures.with_name("moved"))
    with pytest.warns(SkippedWarning, match="is not there any more, so the maps stand alone"):
        page = Page(vis.report(path, progress=False))
    assert {image["alt"] for image in page.all("img")} == {"", "map"}
    assert any("is not there any more" in note["text"] for note in page.all("p", **{"class": "note"}))
    page = Page(vis.report(path, images=pictures.with_name("moved"), progress=False))
    assert {image["alt"] for image in page.all("img")} == {"", "input", "map", "map over input"}


def test_what_is_wrong(run: Callable[..., Path], tmp_path: Path) -> None:
    path = run()
    for options, words in [
        ({"first": 6}, "has 6 maps"),
        ({"count": 0}, "count must be an integer >= 1"),
        ({"size": 0}, "size must be an integer >= 1"),
        ({"labels": ["a"]}, "for the classes 0 to 0"),
        ({"output": tmp_path / "report.csv"}, "A report is written to a file that ends in .html"),
        ({"clip_percentile": 100}, "clip_percentile"),
    ]:
        with pytest.raises(InputError, match=words):
            vis.report(path, progress=False, **options)  # type: ignore[arg-type]
    assert not [*tmp_path.glob("*.html"), *tmp_path.glob("*.csv"), *tmp_path.glob(".*")]
    with pytest.raises(InputError, match="cannot be written"):
        vis.report(path, path / "zarr.json" / "report.html", progress=False)
