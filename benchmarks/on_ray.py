"""How much faster two one-thread workers on Ray are than one, on this machine.

MobileNetV2 with random weights, saliency of 224 x 224 images, the whole job to a Zarr group, with the start
of the workers.
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

COUNT = 640
RESULTS = Path(__file__).with_name("results")


def make(path: str) -> Any:
    """Return the explainer of a worker."""
    import keras

    from vis.attributions import Saliency

    return Saliency(keras.models.load_model(path), batch_size=16)


def main() -> None:
    """Run the job with one and with two workers, and write the seconds."""
    import keras
    import ray

    from vis import linear_outputs
    from vis.attributions import ray as on_ray

    here = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": here}, log_to_driver=False)
    noise = np.random.default_rng(0)
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.keras"
        linear_outputs(keras.applications.MobileNetV2(weights=None)).save(model)
        images = [{"image": noise.random((224, 224, 3), np.float32)} for _ in range(COUNT)]
        data = ray.data.from_items(images, override_num_blocks=COUNT // 16).materialize()
        for workers in (1, 2):
            begun = time.perf_counter()
            on_ray.write(
                data,
                partial(make, str(model)),
                Path(folder) / f"{workers}.zarr",
                workers=workers,
                batch_size=16,
            )
            seconds[workers] = round(time.perf_counter() - begun, 1)
    found = {"images": COUNT, "seconds, one worker": seconds[1], "two workers": seconds[2]}
    (RESULTS / "on_ray.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
