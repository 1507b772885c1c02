"""Maps during a training: after each epoch, with the weights of that time."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from tests.files.events import logged
from vis import linear_outputs, plotting
from vis.attributions import ExplainEpochs, GradCAM, Saliency
from vis.errors import InputError

X = np.random.default_rng(0).random((8, 6, 7, 1)).astype(np.float32)
Y = np.arange(8) % 2


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            layers.Input((6, 7, 1)),
            layers.Conv2D(3, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(-0.5, 0.5, weight.shape) for weight in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


def test_after_each_epoch(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(linear_outputs(model))
    callback = ExplainEpochs(explainer, X[:3], Y[:3], tmp_path / "maps", tmp_path / "logs")
    expected = []

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            expected.append(Saliency(linear_outputs(model))(X[:3], Y[:3])[..., 0])

    model.fit(X, Y, epochs=3, verbose=0, callbacks=[callback, Watch()])
    assert np.abs(expected[0] - expected[2]).max() > 0.01 * np.abs(expected[0]).max(), "it has learned"
    names = [f"epoch-{epoch:03d}.png" for epoch in (1, 2, 3)]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == names
    with Image.open(tmp_path / "maps" / names[0]) as picture:
        assert np.asarray(picture).std() > 10
    pictures = logged(tmp_path / "logs")
    names = [(epoch, f"Saliency/{image}") for epoch in range(3) for image in range(3)]
    assert [(step, name) for step, name, _ in pictures] == names
    for (_, _, picture), row in zip(pictures, np.concatenate(expected), strict=True):
        np.testing.assert_array_equal(picture, plotting.colorize(row))


def test_a_folder_or_a_log_alone(model: keras.Model, tmp_path: Path) -> None:
    explainer = GradCAM(linear_outputs(model))
    callbacks = [
        ExplainEpochs(explainer, X[:2], 0, folder=tmp_path / "maps", name="where"),
        ExplainEpochs(Saliency(linear_outputs(model)), X[:2], log_dir=tmp_path / "logs"),
    ]
    model.fit(X, Y, epochs=1, verbose=0, callbacks=callbacks)
    assert len(list((tmp_path / "maps").iterdir())) == 1
    assert [name for _, name, _ in logged(tmp_path / "logs")] == ["Saliency/0", "Saliency/1"]


def test_wrong_calls(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither"):
        ExplainEpochs(Saliency(linear_outputs(model)), X[:2])
    three = keras.Sequential([layers.Input((6, 7, 3)), layers.Flatten(), layers.Dense(2)])
    callback = ExplainEpochs(Saliency(three, reducer=None), np.repeat(X[:2], 3, axis=-1), folder=tmp_path)
    with pytest.raises(InputError, match="Pass a reducer"):
        callback.on_epoch_end(0)


class Shuffled(keras.utils.PyDataset):  # type: ignore[misc]
    """Two batches of the first three samples, whose order changes with each reading."""

    order = np.arange(3)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index == 0:
            self.order = np.roll(self.order, 1)
        rows = self.order[2 * index : 2 * index + 2]
        return X[rows], Y[rows, None]


def test_a_data_set_is_read_once(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(linear_outputs(model))
    arrays = ExplainEpochs(explainer, X[:3], Y[:3], tmp_path / "arrays")
    data = Shuffled(workers=1)
    for name, given in {"data": data, "iterator": iter([data[0], data[1]])}.items():
        callback = ExplainEpochs(explainer, given, folder=tmp_path / name)
        assert sorted(callback.inputs.sum(axis=(1, 2, 3))) == sorted(X[:3].sum(axis=(1, 2, 3)))
        for epoch in (0, 1):
            callback.on_epoch_end(epoch)
        assert len(list((tmp_path / name).iterdir())) == 2
    arrays.on_epoch_end(0)
