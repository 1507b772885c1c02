"""Files of arrays, and what is refused."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vis.errors import InputError
from vis.files import arrays
from vis.files.arrays import is_arrays, load_arrays


def npy(array: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npz(**held: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **held)
    return file.getvalue()


def claiming(shape: tuple[int, ...]) -> bytes:
    """Return a file whose header claims a shape."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr(name, data)
    return file.getvalue()


def test_files_and_bytes(tmp_path: Path) -> None:
    values = {"one": np.arange(6.0).reshape(2, 3), "words": np.array([["a", "bc"]])}
    np.savez(tmp_path / "all.npz", **values)
    for held in (load_arrays(tmp_path / "all.npz"), load_arrays(npz(**values))):
        assert held.keys() == values.keys()
        assert all((held[name] == values[name]).all() for name in values)
    np.save(tmp_path / "one.npy", values["one"])
    for given in (tmp_path / "one.npy", npy(values["one"])):
        (held,) = load_arrays(given).values()
        np.testing.assert_array_equal(held, values["one"])
    assert list(load_arrays(npy(np.zeros(3)))) == [""]


def test_what_is_a_file_of_arrays() -> None:
    assert is_arrays(npy(np.zeros(2))) and is_arrays(npz(a=np.zeros(2)))
    assert not any(map(is_arrays, (b"", b"\x89PNG\r\n\x1a\n", b"words")))


class Marked:
    """An object that leaves a mark when it is unpickled."""

    ran = False

    def __reduce__(self) -> Any:
        return setattr, (Marked, "ran", True)


WRONG = {
    "words": b"words",
    "nothing": b"",
    "cut": npy(np.zeros(100))[:200],
    "objects": npy(np.array([Marked()], object), allow_pickle=True),
    "a pickle": pickle.dumps(Marked()),
    "objects in a zip": zipped("a.npy", npy(np.array([Marked()], object), allow_pickle=True)),
    "a zip of words": zipped("a.npy", b"words"),
    "a broken zip": npz(a=np.zeros(1000))[:150],
    "a huge header": claiming((10**6, 10**6)),
    "a negative size": claiming((-1, 4)),
    "a huge header in a zip": zipped("a.npy", claiming((10**9, 10**9))),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str) -> None:
    with pytest.raises(InputError, match=r"'sent' (is not a \.npy or \.npz file|holds .* more than)"):
        load_arrays(WRONG[case], "sent")
    assert not Marked.ran


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_BYTES", 10**6)
    data = npz(a=np.zeros(10**6))
    assert len(data) < 10**5
    with pytest.raises(InputError, match="more than 1,000,000"):
        load_arrays(data, "sent")
    assert load_arrays(npz(a=np.zeros(10**5)))["a"].shape == (10**5,)
