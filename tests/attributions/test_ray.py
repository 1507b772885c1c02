"""Explanations by Ray, with a cluster on this machine: the maps of a single process, whatever is lost."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import zarr
from keras import layers

from vis.attributions import Explainer, Saliency, store
from vis.errors import InputError

ray = pytest.importorskip("ray", reason="Ray is an extra: make test-ray")
pytestmark = pytest.mark.filterwarnings("ignore", "error::pytest.PytestUnhandledThreadExceptionWarning")

N, BATCH = 90, 8
X = np.random.default_rng(0).random((N, 6, 7, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 4, N)


# Seconds after which what should have happened, on a machine however slow, will not.
_PATIENCE = 300


def load(path: str, folder: str = "", gate: str = "") -> Explainer:
    """Return the explainer in a file, and leave a file that says so."""
    if folder:
        Path(folder, f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return Waiting(keras.models.load_model(path), gate)


def wait_for(count: int, folder: str) -> None:
    """Return when a folder holds so many files."""
    deadline = time.monotonic() + _PATIENCE
    while len(os.listdir(folder)) < count and time.monotonic() < deadline:
        time.sleep(0.05)


class Waiting(Saliency):
    """Tells that it has begun, and does not go on before a third one tells something."""

    def __init__(self, model, gate):  # type: ignore[no-untyped-def]
        super().__init__(model, batch_size=8)
        self._gate = gate

    def attribute(self, arrays, targets):  # type: ignore[no-untyped-def]
        if self._gate:
            Path(self._gate, str(os.getpid())).touch()
            wait_for(3, self._gate)
        return super().attribute(arrays, targets)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [layers.Input((6, 7, 3)), layers.Conv2D(5, 3, activation="relu"), layers.Flatten(), layers.Dense(4)]
    )
    name = str(tmp_path_factory.mktemp("ray") / "model.keras")
    model.save(name)
    return name


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.second = made.add_node(num_cpus=1)
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(made.address, runtime_env={"env_vars": {"PYTHONPATH": paths}}, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(__import__(__name__, fromlist=["load"]))
    yield made
    ray.shutdown()
    made.shutdown()


def data() -> Any:
    return ray.data.from_items([{"id": i, "image": X[i], "label": int(Y[i])} for i in range(N)])


def test_the_maps_of_a_single_process(cluster: Any, path: str, tmp_path: Path) -> None:
    from vis.attributions import ray as on_ray

    made = tmp_path / "made"
    made.mkdir()
    make = partial(load, path, str(made))
    expected = load(path)(X, Y)
    on_ray.write(data(), make, tmp_path / "maps.zarr", targets="label", workers=2, batch_size=BATCH)
    np.testing.assert_allclose(store.read(tmp_path / "maps.zarr"), expected, rtol=1e-4, atol=1e-7)
    makers = [name.split("-")[0] for name in os.listdir(made)]
    # A worker may have started after the other one had done it all.
    assert 2 <= len(makers) <= 3, "by each worker, and here to describe it"
    assert len(set(makers)) == len(makers), "once"
    on_ray.write(data(), make, tmp_path / "parquet", targets="label", workers=2, batch_size=BATCH)
    rows = sorted(ray.data.read_parquet(str(tmp_path / "parquet")).take_all(), key=lambda row: row["id"])
    assert [row["targets"] for row in rows] == Y.tolist()
    held = zarr.open_group(str(tmp_path / "maps.zarr"), mode="r")["predictions"][:]
    assert [row["predictions"] for row in rows] == held.tolist() and min(held) >= 0
    np.testing.assert_allclose([row["maps"] for row in rows], expected, rtol=1e-4, atol=1e-7)
    with pytest.raises(InputError, match="exists"):
        on_ray.write(data(), make, tmp_path / "maps.zarr")


def test_a_node_is_killed(cluster: Any, path: str, tmp_path: Path) -> None:
    from vis.attributions import ray as on_ray

    made, gate, maps = tmp_path / "made", tmp_path / "gate", tmp_path / "maps.zarr"
    made.mkdir()
    gate.mkdir()
    make = partial(load, path, str(made), str(gate))
    # Nodes are added by the main thread: Ray sets signal handlers there.
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(on_ray.write, data(), make, maps, targets="label", workers=2, batch_size=BATCH)
        wait_for(2, str(gate))
        try:
            assert len(os.listdir(gate)) == 2, "both workers have begun"
            cluster.remove_node(cluster.second, allow_graceful=False)
            cluster.add_node(num_cpus=1)
        finally:
            for name in "open", "wide":
                (gate / name).touch()
        done.result()
    assert len(os.listdir(made)) == 4, "two workers, one in place of the lost one, and here to describe it"
    np.testing.assert_allclose(store.read(maps), load(path)(X, Y), rtol=1e-4, atol=1e-7)


def test_a_column_that_is_not_there(path: str) -> None:
    from vis.attributions.ray import ExplainBatches

    with pytest.raises(InputError, match=r"has no column 'label'\. Received: 'image'"):
        ExplainBatches(partial(load, path), targets="label")({"image": X[:2]})
