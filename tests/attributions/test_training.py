"""Maps during a training: after each epoch, with the weights of that time."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from PIL import Image

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
            layers.Conv2D(3, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


def logged(folder: Path) -> list[tuple[int, str, list[bytes]]]:
    """Return what TensorBoard would read: the step, the name and the PNGs."""
    found = []
    for path in sorted(folder.iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "images"
                width, height, *pictures = tf.make_ndarray(value.tensor).tolist()
                assert (width, height) == (b"7", b"6")
                found.append((event.step, value.tag, pictures))
    return found


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
    events = logged(tmp_path / "logs")
    assert [(step, name) for step, name, _ in events] == [(0, "Saliency"), (1, "Saliency"), (2, "Saliency")]
    for (_, _, pictures), maps in zip(events, expected, strict=True):
        for encoded, row in zip(pictures, maps, strict=True):
            np.testing.assert_array_equal(tf.io.decode_png(encoded), plotting.colorize(row))


def test_a_folder_or_a_log_alone(model: keras.Model, tmp_path: Path) -> None:
    explainer = GradCAM(linear_outputs(model))
    callbacks = [
        ExplainEpochs(explainer, X[:2], 0, folder=tmp_path / "maps", name="where"),
        ExplainEpochs(Saliency(linear_outputs(model)), X[:2], log_dir=tmp_path / "logs"),
    ]
    model.fit(X, Y, epochs=1, verbose=0, callbacks=callbacks)
    assert len(list((tmp_path / "maps").iterdir())) == len(logged(tmp_path / "logs")) == 1


def test_wrong_calls(model: keras.Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither"):
        ExplainEpochs(Saliency(linear_outputs(model)), X[:2])
    three = keras.Sequential([layers.Input((6, 7, 3)), layers.Flatten(), layers.Dense(2)])
    callback = ExplainEpochs(Saliency(three, reducer=None), np.repeat(X[:2], 3, axis=-1), folder=tmp_path)
    with pytest.raises(InputError, match="Pass a reducer"):
        callback.on_epoch_end(0)


def test_a_data_set_is_read_once(model: keras.Model, tmp_path: Path) -> None:
    explainer = Saliency(linear_outputs(model))
    arrays = ExplainEpochs(explainer, X[:3], Y[:3], tmp_path / "arrays")
    data = tf.data.Dataset.from_tensor_slices((X[:3], Y[:3, None])).shuffle(3, seed=1)
    for name, given in {"data": data.batch(2), "iterator": iter(data)}.items():
        callback = ExplainEpochs(explainer, given, folder=tmp_path / name)
        assert sorted(callback.inputs.sum(axis=(1, 2, 3))) == sorted(X[:3].sum(axis=(1, 2, 3)))
        for epoch in (0, 1):
            callback.on_epoch_end(epoch)
        assert len(list((tmp_path / name).iterdir())) == 2
    arrays.on_epoch_end(0)
