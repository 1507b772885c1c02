"""How much faster two single-threaded workers on Ray are than one, on this machine.

MobileNetV2 with random weights, saliency of 224 x 224 images, the whole job to a Zarr group. A worker's start
(Ray's process, the import of TensorFlow, the model, its trace) takes the same time for ten images as for ten
million, so jobs of two sizes are run: their difference is the time of the additional images.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

COUNTS = (320, 1280)
RESULTS = Path(__file__).with_name("results")


def make(path: str) -> Any:
    """Return the explainer of a worker."""
    import keras

    from vis.attributions import Saliency

    return Saliency(keras.models.load_model(path), batch_size=16)


def main() -> None:
    """Run the job with one and with two workers, and write the times."""
    import keras
    import ray

    from vis import linear_outputs
    from vis.attributions import ray as on_ray

    here = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": here}, log_to_driver=False)
    noise = np.random.default_rng(0)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.keras"
        linear_outputs(keras.applications.MobileNetV2(weights=None)).save(model)
        for count in COUNTS:
            images = [{"image": noise.random((224, 224, 3), np.float32)} for _ in range(count)]
            data = ray.data.from_items(images, override_num_blocks=count // 16).materialize()
            for workers, times in seconds.items():
                path = Path(folder) / f"{count} {workers}.zarr"
                begun = time.perf_counter()
                on_ray.write(data, partial(make, str(model)), path, workers=workers, batch_size=16)
                times.append(time.perf_counter() - begun)
    rates = {workers: (COUNTS[1] - COUNTS[0]) / (times[1] - times[0]) for workers, times in seconds.items()}
    found = {
        "images": COUNTS,
        "seconds, one worker": [round(each, 1) for each in seconds[1]],
        "seconds, two workers": [round(each, 1) for each in seconds[2]],
        "images per second, one worker": round(rates[1], 2),
        "images per second, two workers": round(rates[2], 2),
        "ratio": round(rates[2] / rates[1], 2),
    }
    (RESULTS / "on_ray.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
