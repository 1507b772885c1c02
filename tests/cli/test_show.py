"""`vis show`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.running import run


def test_show(capfd: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    maps, pictures = tmp_path / "maps.zarr", tmp_path / "pictures"
    pictures.mkdir()
    for number in range(6):
        (pictures / f"{number}.png").write_bytes((folder / "a.png").read_bytes())
    assert run(capfd, "explain", folder / "model.keras", pictures, "-o", maps)[0] == 0
    code, out, err = run(capfd, "show", maps, "-o", tmp_path / "sheet.png", "--columns", 4, "--count", 5)
    assert (code, err) == (0, "") and out.startswith("5 maps from 0 on")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (4 * 14 - 2, 2 * 14 - 2) and np.asarray(sheet).std() > 10
    code, _, err = run(capfd, "show", pictures, "-o", tmp_path / "no.png")
    assert code == 2 and "holds no explanations" in err
