"""What is read of a run is what was written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import zarr
from keras import layers

from tests.reports.conftest import BROKEN, CLASSES, NAMES, TARGETS, model_of
from vis.attributions import Saliency, groups
from vis.errors import InputError
from vis.reports.run import Run

N = len(NAMES)


def group(path: Path) -> Any:
    return zarr.open_group(str(path), mode="r")


def test_rows(run: Callable[..., Path]) -> None:
    path = run()
    held, found = group(path), Run(path, labels=["a", "b", "c", "d"])
    rows = list(found.rows(range(1, 5)))
    assert [row.number for row in rows] == list(range(N)) and [row.name for row in rows] == NAMES
    assert (found.count, found.skipped, found.complete, found.chosen) == (N, 1, True, False)
    for row in rows:
        if row.number == BROKEN:
            assert row.skipped is not None and "not a picture" in row.skipped
            assert (row.maps, row.prediction, row.target, row.score, row.equal) == (
                {},
                None,
                None,
                None,
                None,
            )
            continue
        assert row.skipped is None and row.target == TARGETS[row.number]
        assert row.prediction == held["predictions"][row.number] and row.score == held["scores"][row.number]
        assert row.equal == (held["predictions"][row.number] == TARGETS[row.number])
        assert list(row.maps) == (["maps"] if 1 <= row.number < 5 else [])
        for array in row.maps.values():
            np.testing.assert_array_equal(array, held["maps"][row.number])
    assert found.named(2) == "c (2)" and found.named("weights") == "weights" and found.named(None) == ""
    assert [row.number for row in found.rows(range(3, 6), only=True)] == [3, 4, 5]


def test_maps_are_read_part_by_part(run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    found, sizes = Run(run()), []
    real = Run._read

    def read(self: Run, name: str, part: slice) -> Any:
        rows = real(self, name, part)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(Run, "_read", read)
    list(found.rows(range(1, 6)))
    assert max(sizes) == 2 and len(sizes) == 3 * 3


def test_a_group_of_an_earlier_version(run: Callable[..., Path]) -> None:
    """It has neither predictions nor a source; where the predicted classes are explained, they are known."""
    path = run(None, source=False)
    predictions = group(path)["predictions"][:]
    shutil.rmtree(path / "predictions")
    found = Run(path)
    assert found.chosen and found.source == {}
    assert [row.prediction for row in found.rows(range(0)) if not row.skipped] == [
        number for row, number in enumerate(predictions) if row != BROKEN
    ]


def test_an_earlier_group_of_given_targets_has_no_predictions(run: Callable[..., Path]) -> None:
    path = run()
    shutil.rmtree(path / "predictions")
    rows = list(Run(path, labels=["a", "b", "c", "d"]).rows(range(0)))
    assert {row.prediction for row in rows} == {None} and rows[0].target == TARGETS[0]


def test_targets_in_other_forms(network: keras.Model, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((3, 12, 16, 3)).astype(np.float32)
    weights = np.eye(CLASSES, dtype=np.float32)[[2, 0, 1]]
    weights[1] = 0.5
    single = model_of(layers.Input((12, 16, 3)), layers.Flatten(), layers.Dense(1))
    dense = model_of(layers.Input((12, 16, 3)), layers.Conv2D(5, 3, name="conv"))
    for name, explainer, targets, expected in [
        ("weights", Saliency(network), weights, [2, "weights", 1]),
        ("single", Saliency(single), np.array([[1.0], [-1.0], [2.5]]), [None, "-1", "2.5"]),
        ("positions", Saliency(dense), 3, [3, 3, 3]),
        ("one position", Saliency(dense), np.array([[0, 0, 4]] * 3), [4, 4, 4]),
        ("labels", Saliency(dense), np.arange(10 * 14).reshape(1, 10, 14).repeat(3, 0) % 5, ["weights"] * 3),
    ]:
        explainer.write(x, tmp_path / name, targets, progress=False)
        assert [row.target for row in Run(tmp_path / name).rows(range(0))] == expected, name
        assert [row.name for row in Run(tmp_path / name).rows(range(0))] == ["row 0", "row 1", "row 2"]
    with pytest.raises(InputError, match="explains filters or a single output, which have no labels"):
        Run(tmp_path / "single", labels=["a"])


def test_names(run: Callable[..., Path]) -> None:
    path = run()
    assert [row.name for row in Run(path, names=[*"abcdefg"]).rows(range(0))] == [*"abcdef"]
    with pytest.raises(InputError, match=r"Received: 2 for 6 maps"):
        Run(path, names=["a", "b"])
    listing = path.with_name("maps.zarr.txt")
    listing.write_bytes(b"a\xff.png\n" + "\n".join(NAMES).encode())
    assert Run(path).name(0) == "a\udcff.png"
    listing.write_text("one\x0btwo\u2028three\n" * 6)
    assert Run(path).name(5) == "one\x0btwo\u2028three", "only a line feed ends a name"
    listing.write_text("one\n")
    with pytest.raises(InputError, match=r"'maps\.zarr\.txt' lists 1 for 6 maps"):
        Run(path)


def test_a_run_that_is_not_finished(
    network: keras.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "_CHUNK_BATCHES", 1)
    x = np.random.default_rng(0).random((5, 12, 16, 3)).astype(np.float32)
    x[4] = np.nan
    with pytest.raises(InputError, match="NaN"):
        Saliency(network, batch_size=2).write(iter(x), tmp_path / "maps", progress=False)
    found = Run(tmp_path / "maps")
    assert not found.complete and found.count == 4


def test_a_map_that_is_not_finite_is_not_shown(run: Callable[..., Path]) -> None:
    path = run()
    zarr.open_group(str(path), mode="r+")["maps"][4, 0, 0, 0] = np.inf
    rows = list(Run(path).rows(range(6)))
    assert rows[4].skipped == "Its map has values that are NaN or infinite." and rows[5].skipped is None


@pytest.mark.parametrize("damage", ["nothing", "other", "attributes", "chunks", "short", "empty"])
def test_what_is_no_run(run: Callable[..., Path], tmp_path: Path, damage: str) -> None:
    path, words = run(), "does not contain maps of this library"
    said = json.loads((path / "zarr.json").read_text()) if (path / "zarr.json").exists() else None
    if said is None:
        pytest.skip("Zarr's format 2 has its attributes elsewhere")
    if damage == "nothing":
        path = tmp_path / "none"
    elif damage == "other":
        path = tmp_path / "other"
        zarr.open_group(str(path), mode="w").attrs["mine"] = 1
    elif damage == "attributes":
        said["attributes"]["progress"]["skipped"] = 3
    elif damage == "short":
        said["attributes"]["progress"]["samples"] = 99
    elif damage == "empty":
        said["attributes"]["progress"]["samples"], words = 0, "has no finished map yet"
    else:
        words = "'maps' of .* cannot be read"
        for part in (path / "maps").rglob("*"):
            if part.is_file() and part.suffix != ".json":
                part.write_bytes(part.read_bytes()[:-3])
    if path.name == "maps.zarr":
        (path / "zarr.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match=words):
        list(Run(path).rows(range(6)))
