"""Explanations on many machines, with Ray Data (`pip install "keras-vis3[ray]"`).

Each worker makes the explainer once, by a function that is sent to it and that loads the model from a path
which all machines see. A lost worker is replaced, and its batches are explained again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vis import checks
from vis.attributions import store
from vis.attributions.base import Explainer
from vis.errors import InputError

if TYPE_CHECKING:
    import ray.data

__all__ = ["ExplainBatches", "explain", "write"]

Make = Callable[[], Explainer]
Batch = dict[str, npt.NDArray[Any]]


class ExplainBatches:
    """A callable for `ray.data.Dataset.map_batches` that replaces the inputs of each batch with their maps.

    ```python
    dataset.map_batches(ExplainBatches, fn_constructor_kwargs={"make": make}, batch_size=64, concurrency=8)
    ```

    Args:
        make: a function that returns the explainer; each worker calls it once.
        inputs: the column of the inputs, which is not among the results.
        targets: the column of the targets; None for the predicted classes.
    """

    def __init__(self, make: Make, inputs: str = "image", targets: str | None = None) -> None:
        self.explainer = make().fixed()
        self.inputs = inputs
        self.targets = targets

    def __call__(self, batch: Batch) -> Batch:
        """Return the other columns of a batch with the columns `maps`, `targets`, `predictions`, `scores`.

        Args:
            batch: the columns by their names.

        Raises:
            InputError: if the inputs or targets are not among them.
        """
        missing = [name for name in (self.inputs, self.targets) if name is not None and name not in batch]
        if missing:
            raise InputError(
                f"The data set has no column {missing[0]!r}. Received: {', '.join(map(repr, batch))}. "
                "Pass inputs and targets."
            )
        given = None if self.targets is None else batch[self.targets]
        rest = {name: column for name, column in batch.items() if name not in (self.inputs, self.targets)}
        return {**rest, **store.explained(self.explainer, batch[self.inputs], given)}


def explain(
    dataset: ray.data.Dataset,
    make: Make,
    inputs: str = "image",
    targets: str | None = None,
    workers: int | None = None,
    batch_size: int = 64,
) -> ray.data.Dataset:
    """Return a Ray data set of the maps, in the order of the inputs.

    Args:
        dataset: a `ray.data.Dataset`.
        make, inputs, targets: see `ExplainBatches`.
        workers: the number of workers; None for one per GPU if the cluster has any, or else per CPU. A worker
            on a CPU uses one thread.
        batch_size: the number of samples that a worker is given at once.
    """
    ray = checks.extra("ray", "ray", "Explaining on many machines needs Ray")
    # A data set keeps the context that it was made in; only there does this keep the maps in order.
    dataset.context.execution_options.preserve_order = True
    resources = ray.cluster_resources()
    gpus = int(resources.get("GPU", 0))
    count = workers or gpus or int(resources.get("CPU", 1))
    threads = {name: "1" for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")}
    return dataset.map_batches(
        ExplainBatches,
        fn_constructor_kwargs={"make": make, "inputs": inputs, "targets": targets},
        batch_size=batch_size,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=count),
        num_gpus=1 if gpus else 0,
        **({} if gpus else {"num_cpus": 1, "runtime_env": {"env_vars": threads}}),
    )


def write(
    dataset: ray.data.Dataset,
    make: Make,
    path: str | os.PathLike[str],
    inputs: str = "image",
    targets: str | None = None,
    workers: int | None = None,
    batch_size: int = 64,
) -> None:
    """Explain a Ray data set and write the maps to Zarr, as `Explainer.write` does, or to Parquet files.

    Args:
        dataset, make, inputs, targets, workers, batch_size: see `explain`.
        path: a folder that does not exist: a Zarr group if its name ends in `.zarr`, written by this process;
            else Parquet files, written by the workers.

    Raises:
        InputError: if the path exists.
    """
    folder = Path(path)
    if folder.exists():
        raise InputError(f"{str(folder)!r} exists. Choose another path, or remove it.")
    found = explain(dataset, make, inputs, targets, workers, batch_size)
    if folder.suffix != ".zarr":
        found.write_parquet(str(folder.absolute()))
        return
    names = ("targets", "predictions", "scores")
    batches = found.iter_batches(batch_size=batch_size, batch_format="numpy")
    chunks = (
        {name: np.asarray(rows) for name, rows in batch.items() if name in names or name.startswith("maps")}
        for batch in batches
    )
    store.gather(make(), chunks, folder, batch_size)
