"""Explanations by Ray, with a cluster on this machine: the maps of a single process, whatever is lost."""

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis.attributions import Explainer, Saliency, store
from vis.errors import InputError

ray = pytest.importorskip("ray", reason="Ray is an extra: make test-ray")
pytestmark = pytest.mark.filterwarnings("ignore")

N, BATCH = 90, 8
X = np.random.default_rng(0).random((N, 6, 7, 3)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 4, N)


def load(path: str, log: str = "", pause: float = 0) -> Explainer:
    if log:
        with open(log, "a") as file:
            file.write(f"{os.getpid()}\n")

    return Slow(keras.models.load_model(path), pause)


class Slow(Saliency):
    """Takes its time."""

    def __init__(self, model, pause):  # type: ignore[no-untyped-def]
        super().__init__(model, batch_size=8)
        self._pause = pause

    def attribute(self, arrays, targets):  # type: ignore[no-untyped-def]
        time.sleep(self._pause)
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

    log = tmp_path / "log"
    make = partial(load, path, str(log))
    expected = load(path)(X, Y)
    on_ray.write(data(), make, tmp_path / "maps.zarr", targets="label", workers=2, batch_size=BATCH)
    np.testing.assert_allclose(store.read(tmp_path / "maps.zarr"), expected, rtol=1e-4, atol=1e-7)
    makers = log.read_text().split()
    assert len(makers) == 3 and len(set(makers)) == 3, "once per worker, and once to describe it"
    on_ray.write(data(), make, tmp_path / "parquet", targets="label", workers=2, batch_size=BATCH)
    rows = sorted(ray.data.read_parquet(str(tmp_path / "parquet")).take_all(), key=lambda row: row["id"])
    assert [row["targets"] for row in rows] == Y.tolist()
    np.testing.assert_allclose([row["maps"] for row in rows], expected, rtol=1e-4, atol=1e-7)
    with pytest.raises(InputError, match="exists"):
        on_ray.write(data(), make, tmp_path / "maps.zarr")


def test_a_node_is_killed(cluster: Any, path: str, tmp_path: Path) -> None:
    from threading import Thread

    from vis.attributions import ray as on_ray

    log = tmp_path / "log"
    make = partial(load, path, str(log), 0.7)

    def kill() -> None:
        deadline = time.monotonic() + 60
        while (not log.exists() or len(log.read_text().split()) < 2) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(2)
        cluster.remove_node(cluster.second, allow_graceful=False)
        cluster.add_node(num_cpus=1)

    killer = Thread(target=kill)
    killer.start()
    on_ray.write(data(), make, tmp_path / "maps.zarr", targets="label", workers=2, batch_size=BATCH)
    killer.join()
    assert len(log.read_text().split()) >= 4, "a lost worker was replaced"
    np.testing.assert_allclose(store.read(tmp_path / "maps.zarr"), load(path)(X, Y), rtol=1e-4, atol=1e-7)


def test_a_column_that_is_not_there(path: str) -> None:
    from vis.attributions.ray import ExplainBatches

    with pytest.raises(InputError, match=r"has no column 'label'\. Received: 'image'"):
        ExplainBatches(partial(load, path), targets="label")({"image": X[:2]})
