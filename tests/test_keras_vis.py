"""keras-vis's names, signatures and the meaning of its own tests, through its import paths."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from PIL import Image

from tests import native
from vis import linear_outputs
from vis.backprop_modifiers import guided
from vis.callbacks import GifGenerator, OptimizerCallback
from vis.input_modifiers import Jitter
from vis.losses import ActivationMaximization, Loss
from vis.optimizer import Optimizer
from vis.regularizers import LPNorm, TotalVariation
from vis.utils import utils
from vis.visualization import (
    get_num_filters,
    overlay,
    visualize_activation,
    visualize_saliency,
    visualize_saliency_with_losses,
)

PAGE = Path(__file__).parents[1] / "docs" / "coming-from" / "keras-vis.md"

# Every public name of keras-vis 0.5 that has the same path here, with its parameters there.
_WITH_LOSSES = "input_tensor, losses, seed_input, wrt_tensor=None, grad_modifier='absolute', keepdims=False"
_SALIENCY = (
    "model, layer_idx, filter_indices, seed_input, wrt_tensor=None, backprop_modifier=None,"
    "grad_modifier='absolute', keepdims=False"
)
_CAM = (
    "model, layer_idx, filter_indices, seed_input, penultimate_layer_idx=None, backprop_modifier=None,"
    "grad_modifier=None"
)
_CAM_WITH_LOSSES = "input_tensor, losses, seed_input, penultimate_layer, grad_modifier=None"
_ACTIVATION = (
    "model, layer_idx, filter_indices=None, wrt_tensor=None, seed_input=None, input_range=(0, 255),"
    "backprop_modifier=None, grad_modifier=None, act_max_weight=1, lp_norm_weight=10, tv_weight=10,"
    "**optimizer_params"
)
_ACTIVATION_WITH_LOSSES = (
    "input_tensor, losses, wrt_tensor=None, seed_input=None, input_range=(0, 255), **optimizer_params"
)
_STEP = "self, i, named_losses, overall_loss, grads, wrt_value"
NAMES: dict[str, dict[str, str | None]] = {
    "vis.visualization": {
        "visualize_saliency": _SALIENCY,
        "visualize_saliency_with_losses": _WITH_LOSSES,
        "visualize_cam": _CAM,
        "visualize_cam_with_losses": _CAM_WITH_LOSSES,
        "visualize_activation": _ACTIVATION,
        "visualize_activation_with_losses": _ACTIVATION_WITH_LOSSES,
        "get_num_filters": "layer",
        "overlay": "array1, array2, alpha=0.5",
    },
    "vis.visualization.saliency": {
        "visualize_saliency": _SALIENCY,
        "visualize_saliency_with_losses": _WITH_LOSSES,
        "visualize_cam": _CAM,
        "visualize_cam_with_losses": _CAM_WITH_LOSSES,
    },
    "vis.visualization.activation_maximization": {
        "visualize_activation": _ACTIVATION,
        "visualize_activation_with_losses": _ACTIVATION_WITH_LOSSES,
    },
    "vis.losses": {
        "Loss": "",
        "Loss.build_loss": "self",
        "ActivationMaximization": "layer, filter_indices",
    },
    "vis.regularizers": {
        "TotalVariation": "img_input, beta=2.",
        "LPNorm": "img_input, p=6.",
    },
    "vis.optimizer": {
        "Optimizer": "input_tensor, losses, input_range=(0, 255), wrt_tensor=None, norm_grads=True",
        "Optimizer.minimize": "self, seed_input=None, max_iter=200, input_modifiers=None,"
        "grad_modifier=None, callbacks=None, verbose=True",
    },
    "vis.callbacks": {
        "OptimizerCallback": "",
        "OptimizerCallback.callback": _STEP,
        "OptimizerCallback.on_end": "self",
        "Print": "",
        "GifGenerator": "path, input_range=(0, 255)",
    },
    "vis.input_modifiers": {
        "InputModifier": "",
        "InputModifier.pre": "self, inp",
        "InputModifier.post": "self, inp",
        "Jitter": "jitter=0.05",
    },
    "vis.grad_modifiers": {
        "negate": "grads",
        "absolute": "grads",
        "invert": "grads",
        "relu": "grads",
        "small_values": "grads",
        "get": "identifier",
    },
    "vis.backprop_modifiers": {
        "guided": "model",
        "rectified": "model",
        "relu": "model",
        "deconv": "model",
        "get": "identifier",
    },
    "vis.utils.utils": {
        "reverse_enumerate": "iterable",
        "listify": "value",
        "add_defaults_to_kwargs": "defaults, **kwargs",
        "apply_modifications": "model, custom_objects=None",
        "random_array": "shape, mean=128., std=20.",
        "find_layer_idx": "model, layer_name",
        "deprocess_input": "input_array, input_range=(0, 255)",
        "stitch_images": "images, margin=5, cols=5",
        "get_img_shape": "img",
        "lookup_imagenet_labels": "indices",
        "load_img": "path, grayscale=False, target_size=None",
        # The font of keras-vis, FreeSans, is one that few systems have.
        "draw_text": "img, text, position=(10, 10), font=None, font_size=14, color=(0, 0, 0)",
        "bgr2rgb": "img",
        "normalize": "array, min_value=0., max_value=1.",
        "slicer": None,
    },
}
# The rest of its names, for which the page says what to use.
_BACKEND = ["modify_model_backprop", "set_random_seed"]
ELSEWHERE: dict[str, list[str]] = {
    "vis.regularizers": ["normalize"],
    "vis.utils.utils": ["get_identifier", "logger"],
    "vis.utils.test_utils": ["across_data_formats", "skip_backends"],
    "vis.backend": _BACKEND,
    "vis.backend.tensorflow_backend": _BACKEND,
    "vis.backend.theano_backend": _BACKEND,
}
PATHS = [(module, name) for module, names in NAMES.items() for name in names]


def found(module: str, name: str) -> Any:
    thing: Any = importlib.import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


@pytest.mark.parametrize(("module", "name"), PATHS, ids=map(".".join, PATHS))
def test_a_name_has_its_path_and_its_parameters(module: str, name: str) -> None:
    thing, parameters = found(module, name), NAMES[module][name]
    if parameters is None:
        return
    theirs = inspect.signature(eval(f"lambda {parameters}: None")).parameters.values()
    signature = inspect.signature(thing)
    ours = list(signature.parameters.values())
    positional = [p for p in ours if p.kind is p.POSITIONAL_OR_KEYWORD]
    for place, wanted in enumerate(theirs):
        if wanted.kind is wanted.VAR_KEYWORD:
            if wanted.name != "optimizer_params":
                assert ours[-1].kind is wanted.VAR_KEYWORD
                continue
            # What keras-vis passes on to the optimizer has its name here.
            options = set(inspect.signature(Optimizer.minimize).parameters) - {"self"}
            assert options <= set(signature.parameters)
            continue
        assert positional[place].name == wanted.name
        if wanted.default is not wanted.empty:
            assert positional[place].default == wanted.default
    # What is new here is optional.
    signature.bind(*[p.name for p in theirs if p.default is p.empty and p.kind is not p.VAR_KEYWORD])


def sections() -> dict[str, list[str]]:
    """Return the names in the first column of the table under each heading of the page that is a module."""
    parts = re.split(r"^## `([\w.]+)`$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    bodies = zip(parts[1::2], parts[2::2], strict=True)
    return {module: re.findall(r"^\| `([\w.]+)` \|", body, re.MULTILINE) for module, body in bodies}


def test_the_page_has_every_module_and_every_name_once() -> None:
    wanted = {
        module: sorted([*NAMES.get(module, {}), *ELSEWHERE.get(module, [])])
        for module in {**NAMES, **ELSEWHERE}
    }
    assert {module: sorted(names) for module, names in sections().items()} == wanted


def classifier() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            layers.Input((9, 8, 3)),
            layers.Conv2D(6, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(24, activation="softmax", name="predictions"),
        ]
    )


def perceptron() -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [layers.Input((9, 8, 3)), layers.Flatten(), layers.Dense(10, activation="relu"), layers.Dense(1)]
    )


IMAGE = np.random.default_rng(0).random((9, 8, 3)).astype(np.float32)


def test_the_code_of_the_page_runs_and_says_the_truth() -> None:
    _, code = re.findall(
        r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert len(code.splitlines()) < 20
    names: dict[str, Any] = {"model": classifier(), "image": IMAGE}
    exec(code, names)
    expected = visualize_saliency(
        linear_outputs(classifier()), "predictions", 3, IMAGE, backprop_modifier="guided"
    )
    assert np.array_equal(names["heatmap"], expected) and expected.shape == (9, 8)
    assert names["energy"].shape == (9, 8)
    assert not np.allclose(names["energy"], expected, atol=0.1)


@pytest.mark.parametrize("make", [perceptron, lambda: linear_outputs(classifier())], ids=["dense", "conv"])
@pytest.mark.parametrize("by", ["model", "losses"])
def test_saliency_of_an_image(make: Callable[[], keras.Model], by: str) -> None:
    model = make()

    def saliency(**settings: Any) -> Any:
        if by == "model":
            return visualize_saliency(model, -1, 0, IMAGE[None], **settings)
        losses = [(ActivationMaximization(model.layers[-1], 0), -1)]
        return visualize_saliency_with_losses(model.inputs[0], losses, IMAGE[None], **settings)

    flat, kept = saliency(), saliency(keepdims=True)
    assert flat.shape == (9, 8) and kept.shape == (9, 8, 3)
    for one in (flat, kept):
        assert (one.min(), one.max()) == (0, 1)
    # Scaling keeps the order, so the maximum may be taken before it or after.
    largest = kept.max(axis=-1)
    np.testing.assert_allclose(flat, (largest - largest.min()) / np.ptp(largest), atol=1e-5)


@pytest.mark.parametrize("keepdims", [False, True])
def test_saliency_of_a_vector(keepdims: bool) -> None:
    keras.utils.set_random_seed(3)
    model = keras.Sequential([layers.Input((35,)), layers.Dense(64, activation="tanh"), layers.Dense(50)])
    vector = np.linspace(-1, 1, 35)[None]
    found = visualize_saliency(model, -1, 0, vector, keepdims=keepdims)
    assert found.shape == (35,)
    assert len(set(found.tolist())) > 30 and (found.min(), found.max()) == (0, 1)


class SquaredOutput(Loss):
    name = "dummy-loss"

    def __init__(self, model: keras.Model) -> None:
        self.output = model.outputs[0]

    def build_loss(self) -> Any:
        return ops.sum(self.output * self.output)


class Recorder(OptimizerCallback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def callback(self, i: int, named_losses: Any, overall_loss: Any, grads: Any, wrt_value: Any) -> None:
        assert i == len(self.losses) and [name for name, _ in named_losses] == ["dummy-loss"]
        self.losses.append(float(overall_loss))


@pytest.fixture
def linear() -> keras.Model:
    inputs = layers.Input((2,))
    model = keras.Model(inputs, layers.Dense(4)(inputs))
    model.set_weights([np.array([[1.0, 2, 0, -1], [0, 1, -2, 1]]), np.zeros(4)])
    return model


@pytest.mark.parametrize("wrt", [None, "input"])
def test_minimize_with_respect_to_the_input(linear: keras.Model, wrt: str | None) -> None:
    recorder = Recorder()
    tensor = None if wrt is None else linear.input
    optimizer = Optimizer(linear.input, [(SquaredOutput(linear), 1)], wrt_tensor=tensor)
    start = np.array([[120.0, -90.0]])
    picture, gradient, value = optimizer.minimize(start, callbacks=[recorder], verbose=False)
    assert picture.shape == (2,) and gradient.shape == value.shape == (1, 2)
    assert np.linalg.norm(gradient) == pytest.approx(1)
    assert not np.allclose(value, start, atol=50)
    assert len(recorder.losses) == 200
    assert recorder.losses[0] == pytest.approx(((start @ linear.get_weights()[0]) ** 2).sum())
    assert recorder.losses[-1] < 0.01 * recorder.losses[0]


def test_minimize_with_respect_to_the_output(linear: keras.Model) -> None:
    optimizer = Optimizer(linear.input, [(SquaredOutput(linear), 1)], wrt_tensor=linear.output)
    start = np.array([[3.0, -1.0]])
    picture, gradient, value = optimizer.minimize(start, verbose=False)
    # The input is not what is differentiated by, so it stays.
    assert picture.tolist() == utils.deprocess_input(start[0]).tolist()
    output = start @ linear.get_weights()[0]
    np.testing.assert_allclose(value, output, rtol=1e-6)
    np.testing.assert_allclose(gradient, output / np.linalg.norm(output), rtol=1e-5)


@pytest.fixture
def data_format(request: pytest.FixtureRequest) -> Iterator[str]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format(request.param)
    yield request.param
    keras.config.set_image_data_format(before)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"], indirect=True)
@pytest.mark.parametrize("dims", [(1, 2), (1, 2, 3)], ids=["2-D", "3-D"])
def test_the_shape_of_images_does_not_depend_on_their_format(data_format: str, dims: tuple[int, ...]) -> None:
    images = ops.ones((5, 4, *dims) if data_format == "channels_first" else (5, *dims, 4))
    assert utils.get_img_shape(images) == (5, 4, *dims)
    assert utils.get_img_shape(images[utils.slicer[:, 1:3, ...]]) == (5, 2, *dims)


KERNEL, LAST = np.array([[-1.0, 1.0], [-1.0, 1.0]]), np.array([[-1.0], [1.0]])
CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1], [-1, 0], [0, -1], [-1, -1]], np.float32)


def two_layers(separate: bool, kernel: Any, last: Any) -> keras.Model:
    units = kernel.shape[1]
    hidden = (
        [layers.Dense(units, use_bias=False), layers.Activation("relu")]
        if separate
        else [layers.Dense(units, activation="relu", use_bias=False)]
    )
    model = keras.Sequential([layers.Input((2,)), *hidden, layers.Dense(1, use_bias=False)])
    model.set_weights([kernel, last])
    return model


def gradients(model: keras.Model, points: Any) -> Any:
    return native.gradient(model, points)


@pytest.mark.parametrize("separate", [False, True], ids=["activation=", "Activation"])
@pytest.mark.parametrize("drawn", [False, True], ids=["keras-vis", "drawn"])
def test_guided_gradients_of_two_layers(separate: bool, drawn: bool) -> None:
    random = np.random.default_rng(0)
    kernel, last = (random.normal(size=(2, 6)), random.normal(size=(6, 1))) if drawn else (KERNEL, LAST)
    points = random.normal(size=(9, 2)).astype(np.float32) if drawn else CORNERS
    model = two_layers(separate, kernel, last)
    modified = guided(model)

    open_ = points @ kernel > 0
    plain = (open_ * last[:, 0]) @ kernel.T
    positive = (open_ * np.where(last[:, 0] > 0, last[:, 0], 0)) @ kernel.T
    assert not np.allclose(plain, positive)
    np.testing.assert_allclose(gradients(modified, points), positive, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradients(model, points), plain, rtol=1e-5, atol=1e-6)
    assert np.array_equal(modified(points), model(points))
    for layer in modified.layers:
        if hasattr(layer, "activation"):
            assert layer.activation is model.get_layer(layer.name).activation


def test_guided_gradients_by_hand() -> None:
    found = gradients(guided(two_layers(False, KERNEL, LAST)), CORNERS)
    assert found.tolist() == [[0, 0], [1, 1], [1, 1], [1, 1], [0, 0], [0, 0], [0, 0]]


@pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")  # some random filters are dead
def test_the_cells_of_a_notebook_on_filters() -> None:
    model = classifier()
    layer_idx = utils.find_layer_idx(model, "conv")
    filters = np.arange(get_num_filters(model.layers[layer_idx]))[:3]
    first = [
        visualize_activation(model, layer_idx, filter_indices=idx, max_iter=5, seed=0) for idx in filters
    ]
    pictures = [
        visualize_activation(
            model,
            layer_idx,
            filter_indices=idx,
            tv_weight=0.0,
            seed_input=first[number],
            input_modifiers=[Jitter(0.2, seed=0)],
            max_iter=5,
        )
        for number, idx in enumerate(filters)
    ]
    assert all(picture.shape == (9, 8, 3) and picture.dtype == np.uint8 for picture in pictures)
    written = [
        utils.draw_text(picture, str(idx), (0, 0)) for idx, picture in zip(filters, pictures, strict=True)
    ]
    sheet = utils.stitch_images(written, margin=2, cols=2)
    assert sheet.shape == (2 * 9 + 2, 2 * 8 + 2, 3)
    assert np.array_equal(sheet[11:, :8], written[2]) and not np.array_equal(written[2], pictures[2])


def test_the_cells_of_a_notebook_on_attention() -> None:
    model = classifier()
    layer_idx = utils.find_layer_idx(model, "predictions")
    model.layers[layer_idx].activation = keras.activations.linear
    model = utils.apply_modifications(model)
    picture = (255 * IMAGE).astype(np.uint8)
    seen = []
    for modifier in (None, "guided", "relu"):
        grads = visualize_saliency(
            model, layer_idx, filter_indices=20, seed_input=IMAGE, backprop_modifier=modifier
        )
        heatmap = np.uint8(255 * np.stack([grads] * 3, axis=-1))
        seen.append(overlay(heatmap, picture, alpha=0.7))
        wanted = 0.7 * heatmap + 0.3 * picture
        assert seen[-1].dtype == np.uint8 and abs(seen[-1] - wanted).max() <= 0.5 + 1e-6
    assert not np.array_equal(seen[0], seen[1]) and not np.array_equal(seen[1], seen[2])


def test_the_film_of_an_optimization(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = linear_outputs(classifier())
    losses = [
        (ActivationMaximization(model.get_layer("predictions"), [20]), 2),
        (LPNorm(model.inputs[0]), 10),
        (TotalVariation(model.inputs[0]), 10),
    ]
    film = GifGenerator(str(tmp_path / "progress"))
    picture, gradient, value = Optimizer(model.inputs[0], losses).minimize(
        max_iter=4, verbose=True, seed=0, input_modifiers=[Jitter()], callbacks=[film]
    )
    assert picture.shape == (9, 8, 3) and gradient.shape == value.shape == (1, 9, 8, 3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"Iteration: {step}" for step in (1, 2, 3, 4)]
    assert all(name in lines[0] for name in ("ActivationMax Loss", "L-6.0 Norm Loss", "TV(2.0) Loss"))
    with Image.open(tmp_path / "progress.gif") as written:
        assert (written.n_frames, written.size) == (4, (8, 9))
