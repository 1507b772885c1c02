"""`vis layers`."""

from pathlib import Path

import pytest

from tests.cli.running import run


def test_layers(capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, err = run(capfd, "layers", folder / "model.keras")
    assert (code, err) == (0, "")
    rows = {line.split()[-6 if line.startswith(" ") else 1]: line.split() for line in out.splitlines()}
    assert rows["backbone/conv"] == ["backbone/conv", "Conv2D", "10x10x4", "4", "relu", "yes"]
    assert rows["smooth"] == ["2", "smooth", "Conv2D", "8x8x2", "2", "gelu", "yes"]
    assert rows["positive"] == ["3", "positive", "ReLU", "8x8x2", "2", "-", "yes"]
    assert rows["classes"] == ["5", "classes", "Dense", "5", "5", "softmax", "-"]
