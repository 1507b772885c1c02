"""Whether a run waits for its pictures: 200 JPEGs of 12 megapixels, read and explained.

The photographs are parts of scikit-learn's two samples, enlarged to 4000 x 3000, with the grain of a sensor;
a file has about as many bytes as one from a phone. Measured are reading alone, explaining alone what was read
before, and the whole run; the last two write a Zarr group. The files are in the operating system's cache.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np
import numpy.typing as npt
from measure import interleave, row, write
from networks import build
from PIL import Image

from vis import files
from vis.attributions import Saliency
from vis.attributions.ahead import read_ahead
from vis.files import pictures

COUNT, SIZE, SIDE = 200, (4000, 3000), 224


def make_photos(folder: Path, count: int) -> None:
    """Write the photographs, those that are missing."""
    from sklearn.datasets import load_sample_images

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    samples = [Image.fromarray(image) for image in load_sample_images().images]
    grain = random.normal(0, 6, (SIZE[1] + 256, SIZE[0] + 256, 1)).astype(np.int16)
    for number in range(count):
        x, y, dx, dy = random.integers(0, 64, 2).tolist() + random.integers(0, 256, 2).tolist()
        path = folder / f"{number:03}.jpg"
        if path.exists():
            continue
        sample = samples[number % len(samples)]
        part = sample.resize(SIZE, Image.Resampling.BICUBIC, (x, y, x + 560, y + 360))
        pixels = np.asarray(part, np.int16) + grain[dy : dy + SIZE[1], dx : dx + SIZE[0]]
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=88)


@contextmanager
def whole() -> Iterator[None]:
    """Let JPEGs be decoded at their full size."""
    spare, pictures._SPARE = pictures._SPARE, math.inf
    try:
        yield
    finally:
        pictures._SPARE = spare


def candidates(folder: Path, network: keras.Model, temporary: Path) -> dict[str, Callable[[], Any]]:
    """Return what is measured."""
    explainer = Saliency(network, batch_size=16)

    def prepared(picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return picture / 127.5 - 1

    def opened(workers: int | None = None) -> files.ImageFolder:
        return files.ImageFolder(
            folder, (SIDE, SIDE, 3), lambda picture: picture / 127.5 - 1, workers=workers
        )

    def read(workers: int | None = None) -> None:
        held = opened(workers)
        for item in read_ahead(held.__getitem__, range(len(held)), held.workers, 16):
            item()

    def explain(inputs: Any) -> None:
        shutil.rmtree(temporary, ignore_errors=True)
        explainer.write(inputs, temporary, 3, progress=False)

    def at_full_size(run: Callable[[], None]) -> Callable[[], None]:
        def decoded_whole() -> None:
            with whole():
                run()

        return decoded_whole

    held = opened()
    arrays = np.stack([held[number] for number in range(len(held))])
    return {
        "explanation alone": lambda: explain(arrays),
        "reading alone": read,
        "whole run": lambda: explain(opened()),
        "reading alone, one thread": lambda: read(1),
        "whole run, nothing read ahead": lambda: explain(opened(1)),
        "reading alone, one thread, decoded at full size": at_full_size(lambda: read(1)),
        "whole run, nothing read ahead, decoded at full size": at_full_size(lambda: explain(opened(1))),
    }


def counted(run: Callable[[], Any], spent: list[float]) -> Callable[[], None]:
    """Return what notes the processor's seconds of a run, which other programs do not change."""

    def noted() -> None:
        begun = time.process_time()
        run()
        spent.append(time.process_time() - begun)

    return noted


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--count", default=COUNT, show_default=True, help="Photographs.")
@click.option("--network", default="MobileNetV2", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Keep the photographs here.")
def run(rounds: int, count: int, network: str, folder: Path | None) -> None:
    """Measure and write the results."""
    with tempfile.TemporaryDirectory() as temporary:
        photos = folder or Path(temporary) / "photos"
        make_photos(photos, count)
        runs = candidates(photos, build(network, SIDE), Path(temporary) / "maps.zarr")
        spent: dict[str, list[float]] = {who: [] for who in runs}
        seconds = interleave({who: counted(run, spent[who]) for who, run in runs.items()}, rounds)
        megabytes = statistics.mean(path.stat().st_size for path in photos.iterdir()) / 1e6
    name = f"{count} photographs of {megabytes:.1f} MB, {network}"
    facts = {
        "seconds, the least of the rounds": {who: round(min(times), 2) for who, times in seconds.items()},
        "seconds of all cores together, the least of the rounds": {
            who: round(min(times), 2) for who, times in spent.items()
        },
        "load when it ended": os.getloadavg()[0],
    }
    print(write("reading", [row(name, seconds, "explanation alone", count)], facts=facts))


if __name__ == "__main__":
    run()
