"""A run of a few pictures, one of which cannot be read, and runs of other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from vis import files
from vis.attributions import Saliency, groups

SHAPE, CLASSES = (12, 16, 3), 4
NAMES = ["<script>alert('x')<i>.png", '=1+2"&.png', "a.png", "broken.png", "inside/b.png", "ü.png"]
BROKEN = 3
TARGETS = np.array([0, 1, 2, 3, 0, 1])


def model_of(*body: Any, seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return keras.Sequential(list(body), name="network")


@pytest.fixture(scope="session")
def network() -> keras.Model:
    return model_of(layers.Input(SHAPE), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(CLASSES))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    rng = np.random.default_rng(0)
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, SHAPE, dtype=np.uint8)).save(folder / name)
    (folder / NAMES[BROKEN]).write_bytes(b"none")
    return folder


@pytest.fixture
def run(network: keras.Model, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what writes the run: `run(targets, source, **options of the explainer)`, two rows to a chunk."""
    monkeypatch.setattr(groups, "_CHUNK_BATCHES", 1)

    def write(targets: Any = TARGETS, source: bool = True, **options: Any) -> Path:
        held = files.ImageFolder(pictures, SHAPE, lambda picture: picture / 255)
        assert [str(path.relative_to(pictures)) for path in held.paths] == NAMES
        path = tmp_path / "maps.zarr"
        about = {"folder": str(pictures), "shape": list(SHAPE), "fit": "crop"}
        with pytest.warns(match="is skipped"):
            Saliency(network, batch_size=2, **options).write(
                held, path, targets, progress=False, source=about if source else None
            )
        (tmp_path / "maps.zarr.txt").write_text("".join(f"{name}\n" for name in NAMES), encoding="utf-8")
        return path

    return write
