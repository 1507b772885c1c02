"""Models on disk, whole and damaged."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from vis import files
from vis.errors import ModelError


def run(model: keras.Model, *shape: int) -> np.ndarray:
    """Return what a model makes of ones."""
    return keras.ops.convert_to_numpy(model(np.ones(shape or (1, 4, 4, 3), np.float32)))


def network(*end: Any) -> keras.Model:
    return keras.Sequential([layers.Input((4, 4, 3)), layers.Flatten(), layers.Dense(2), *end])


@pytest.mark.filterwarnings("ignore")  # Keras advises against its own older format
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_model_comes_back(tmp_path: Path, suffix: str) -> None:
    model = network()
    model.save(tmp_path / f"model{suffix}")
    loaded = files.load_model(tmp_path / f"model{suffix}")
    assert np.array_equal(run(loaded), run(model))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_model_is_not_run(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"model{suffix}"
    model = network(layers.Lambda(lambda x: x * 2))
    model.save(path)
    with pytest.raises(ModelError, match=r"has a Lambda layer, which holds code\. .*safe_mode=False"):
        files.load_model(path)
    loaded = files.load_model(path, safe_mode=False)
    np.testing.assert_allclose(run(loaded), run(model), rtol=1e-6)


def with_dense(change: Callable[[dict[str, Any]], None], path: Path) -> Path:
    """Save a network whose last layer's configuration is changed, in either format."""
    network().save(path)
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config["config"]["layers"][-1])
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config["config"]["layers"][-1])
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def thing(module: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


STRANGE = {
    "a function of the system": (
        lambda layer: layer["config"].update(activation=function("os", "system")),
        "os.system",
    ),
    "a function of Python": (
        lambda layer: layer["config"].update(activation=function("builtins", "exec")),
        "exec",
    ),
    "a download": (
        lambda layer: layer["config"].update(activation=function("keras.utils", "get_file")),
        "keras.utils.get_file",
    ),
    "a setting": (
        lambda layer: layer["config"].update(
            activation=function("keras.config", "enable_unsafe_deserialization")
        ),
        "keras.config.enable_unsafe_deserialization",
    ),
    "another model": (
        lambda layer: layer["config"].update(activation=function("keras.models", "load_model")),
        "keras.models.load_model",
    ),
    "a class of another module": (
        lambda layer: layer.update(thing("subprocess", "Popen", args="true")),
        "subprocess.Popen",
    ),
    "a class of Keras's insides": (
        lambda layer: layer.update(thing("keras.src.saving.file_editor", "KerasFileEditor", filepath="x")),
        "KerasFileEditor",
    ),
    "no optimizer among those of a backend": (
        lambda layer: layer.update(thing("keras.src.backend.torch.optimizers.torch_adam", "Popen")),
        "torch_adam.Popen",
    ),
    "an optimizer of a backend's insides": (
        lambda layer: layer.update(thing("keras.src.backend.torch.optimizers.torch_adam.os", "Adam")),
        "torch_adam.os.Adam",
    ),
    "a saved function": (
        lambda layer: layer.update(thing("keras.layers", "TFSMLayer", filepath="x")),
        "has a TFSMLayer",
    ),
    "a file of words": (
        lambda layer: layer.update(thing("keras.layers", "StringLookup", vocabulary="/etc/hostname")),
        "reads the file '/etc/hostname'",
    ),
    "a lambda as an activation": (
        lambda layer: layer["config"].update(
            activation={"class_name": "__lambda__", "config": {"value": "x"}}
        ),
        "holds code",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", STRANGE)
def test_what_no_model_is_made_of_is_refused(tmp_path: Path, suffix: str, name: str) -> None:
    change, words = STRANGE[name]
    path = with_dense(change, tmp_path / f"model{suffix}")
    with pytest.raises(ModelError, match=f"{re.escape(words)}.*is not loaded.*--no-safe-mode"):
        files.load_model(path)


def test_no_module_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trojan_horse.py").write_text("raise SystemExit('it was run')")
    monkeypatch.syspath_prepend(tmp_path)
    path = with_dense(
        lambda layer: layer["config"].update(activation=function("trojan_horse", "odysseus")),
        tmp_path / "model.keras",
    )
    with pytest.raises(ModelError, match=r"names trojan_horse\.odysseus, which is neither"):
        files.load_model(path)


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    """A layer of a user's own."""

    def call(self, x: Any) -> Any:
        return 2 * x


@keras.saving.register_keras_serializable("tests")
def tripled(x: Any) -> Any:
    return 3 * x


def test_what_is_registered_is_loaded(tmp_path: Path) -> None:
    model = network(Doubled(), layers.Dense(2, tripled), layers.Activation(keras.ops.sigmoid))
    model.save(tmp_path / "model.keras")
    loaded = files.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded), run(model))


def test_all_kinds_of_parts_are_loaded(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3))
    y = layers.Conv2D(2, 3, kernel_regularizer="l2", kernel_constraint="non_neg")(
        layers.Rescaling(1 / 255)(x)
    )
    y = keras.ops.relu(layers.BatchNormalization()(y)) * 2
    y = layers.GaussianNoise(0.1)(layers.Bidirectional(layers.LSTM(2))(layers.Reshape((6, 12))(y)))
    y = keras.Sequential([layers.Dense(3, "gelu", dtype="mixed_float16"), layers.Softmax()])(y)
    model = keras.Model(x, y)
    model.compile("adam", keras.losses.MeanSquaredError(), metrics=["accuracy"])
    model.save(tmp_path / "model.keras")
    loaded = files.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded, 2, 8, 8, 3), run(model, 2, 8, 8, 3))


def test_a_file_from_another_backend_is_loaded(tmp_path: Path) -> None:
    """On PyTorch, Keras's optimizers have modules of their own, which need PyTorch."""
    inner = network(layers.ReLU())
    inner.compile("adam", "mse")
    inner.optimizer.build(inner.trainable_variables)
    entry = layers.Input((4, 4, 3))
    model = keras.Model(entry, layers.Dense(2)(inner(entry)))
    model.compile(keras.optimizers.SGD(), "mse")
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    for part in (config, next(layer for layer in config["config"]["layers"] if "compile_config" in layer)):
        optimizer = part["compile_config"]["optimizer"]
        name = optimizer["class_name"]
        module = f"keras.src.backend.torch.optimizers.torch_{name.lower()}"
        optimizer.update(module=module, registered_name=name)
    zipped(path, **{**parts, "config.json": json.dumps(config).encode()})
    for safe_mode in (True, False):
        loaded = files.load_model(path, safe_mode)
        np.testing.assert_array_equal(run(loaded), run(model))


def zipped(path: Path, **parts: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def test_a_file_that_expands_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    path = zipped(tmp_path / "model.keras", **{"metadata.json": b"{}", "config.json": b" " * 2**28})
    assert path.stat().st_size < 2**20
    with pytest.raises(ModelError, match=r"would expand from [0-9,]+ to 268,435,458 bytes"):
        files.load_model(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("kind", ["large", "link", "external", "virtual"])
def test_weights_that_are_not_in_the_file(tmp_path: Path, suffix: str, kind: str) -> None:
    def change(file: h5py.File) -> None:
        if kind == "large":
            file.create_dataset("more", (2**15, 2**15), np.float32, chunks=(1024, 1024), compression="gzip")
        elif kind == "link":
            file["more"] = h5py.ExternalLink("other.h5", "/secret")
        elif kind == "external":
            file.create_dataset("more", (4,), np.float32, external=[("other.bin", 0, 16)])
        else:
            layout = h5py.VirtualLayout((4,), np.float32)
            layout[:] = h5py.VirtualSource("other.h5", "secret", (4,))
            file.create_virtual_dataset("more", layout)

    path = tmp_path / f"model{suffix}"
    network().save(path)
    if suffix == ".h5":
        with h5py.File(path, "r+") as file:
            change(file)
    else:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "parts")
        with h5py.File(tmp_path / "parts" / "model.weights.h5", "r+") as file:
            change(file)
        with zipfile.ZipFile(path, "w") as archive:
            for part in (tmp_path / "parts").iterdir():
                archive.write(part, part.name)
    words = "would expand" if kind == "large" else "refers to weights outside the file, '/more'"
    with pytest.raises(ModelError, match=words):
        files.load_model(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", [".keras", ".h5", ".txt"])
@pytest.mark.parametrize("content", [b"", b"words in a file", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_model(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="could not be read as a Keras model"):
        files.load_model(path)


class Scale(layers.Layer):
    """A layer that Keras has not been told of."""

    def call(self, x: Any) -> Any:
        return 2 * x


class Net(keras.Model):
    """A model that Keras has not been told of."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def get_config(self) -> dict[str, Any]:
        return {}


def squared(x: Any) -> Any:
    return x * x


def unknown_layer(path: Path) -> None:
    network(Scale(name="scale_7")).save(path)


def unknown_layer_inside(path: Path) -> None:
    inner = keras.Sequential([layers.Input((2,)), Scale(name="scale_7")], name="inner")
    keras.Sequential([layers.Input((3, 2)), layers.TimeDistributed(inner)]).save(path)


def unknown_function(path: Path) -> None:
    network(layers.Dense(2, squared, name="square")).save(path)


def unknown_model(path: Path) -> None:
    model = Net()
    run(model, 1, 2)
    model.save(path)


def unknown_option(path: Path) -> None:
    with_dense(lambda layer: layer["config"].update(name="last", groups=1), path)


def value_of_an_option(path: Path) -> None:
    with_dense(lambda layer: layer["config"].update(name="last", units=-3), path)


def layers_that_do_not_fit(path: Path) -> None:
    def change(layer: dict[str, Any]) -> None:
        layer.update(class_name="Conv2D")
        layer["config"] = {"name": "conv", "filters": 1, "kernel_size": [1, 1]}

    with_dense(change, path)


CAUSES = {
    unknown_layer: r"`Scale` \('scale_7'\) is unknown: load it in Python with custom_objects|"
    r"names \S+\.Scale, .* is unknown: load it in Python with custom_objects=\{'Scale': Scale\}",
    unknown_layer_inside: r"Scale\b.* is unknown: load it in Python with custom_objects=\{'Scale': Scale\}",
    unknown_function: r"squared\b.* is unknown: load it in Python with custom_objects=\{'squared': squared\}",
    unknown_model: r"Net\b.* is unknown: load it in Python with custom_objects=\{'Net': Net\}",
    unknown_option: r"the layer 'last' \(Dense\): .*groups.*load it in Python",
    value_of_an_option: r"the layer 'last' \(Dense\): .*-3.*load it in Python",
    layers_that_do_not_fit: r"expected min_ndim=4|must have the same length as input",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("safe_mode", [True, False])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("make", CAUSES, ids=lambda make: make.__name__)
def test_the_cause_of_a_failure_is_kept(
    tmp_path: Path, make: Callable[[Path], None], suffix: str, safe_mode: bool
) -> None:
    if make is unknown_model and suffix == ".h5":
        pytest.skip("Keras does not save such a model there")
    path = tmp_path / f"model{suffix}"
    make(path)
    with pytest.raises(ModelError, match=CAUSES[make]) as error:
        files.load_model(path, safe_mode)
    assert len(str(error.value)) < 500 and "config=" not in str(error.value)


def test_no_model_file_and_weights_alone(tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    with pytest.raises(ModelError, match=r"There is no model file '.*modle.keras'. Did you mean 'model.k"):
        files.load_model(tmp_path / "modle.keras")
    with pytest.raises(ModelError, match="is a folder, not a file"):
        files.load_model(tmp_path)
    network().save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ModelError, match="perhaps only weights"):
        files.load_model(tmp_path / "model.weights.h5")
