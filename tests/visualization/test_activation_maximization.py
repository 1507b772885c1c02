"""The functions of activation maximization, on small networks and on the demo's."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis import errors, linear_outputs, watching
from vis.callbacks import OptimizerCallback
from vis.demo.network import load_network
from vis.input_modifiers import Jitter
from vis.losses import ActivationMaximization
from vis.parameterizations import Fourier, Pixels, RandomAffine
from vis.visualization import visualize_activation, visualize_activation_with_losses


def bright_or_dark(data_format: str = "channels_last") -> keras.Model:
    """Filter 0 likes bright left halves, filter 1 dark ones."""
    shape = (4, 6, 1) if data_format == "channels_last" else (1, 4, 6)
    model = keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(2, use_bias=False)])
    kernel = np.zeros((4, 6))
    kernel[:, :3] = 1
    model.set_weights([np.stack([kernel.ravel(), -kernel.ravel()], axis=-1)])
    return model


@pytest.mark.parametrize(("index", "brighter"), [(0, True), (1, False)])
def test_the_picture_shows_what_the_filter_likes(index: int, brighter: bool) -> None:
    weights = {"lp_norm_weight": 0, "tv_weight": 0}
    picture = visualize_activation(bright_or_dark(), -1, index, max_iter=30, seed=0, **weights)
    assert picture.shape == (4, 6, 1) and picture.dtype == np.uint8
    difference = picture[:, :3].mean() - picture[:, 3:].mean()
    assert difference > 20 if brighter else difference < -20


def test_a_range_of_fractions_gives_fractions() -> None:
    picture = visualize_activation(bright_or_dark(), -1, 0, input_range=(-1.0, 1.0), max_iter=30, seed=0)
    assert picture.dtype == np.float32
    assert -1 <= picture.min() < -0.2 and 0.2 < picture.max() <= 1


def test_several_filters_are_one_picture_for_their_sum() -> None:
    model = bright_or_dark()
    with pytest.raises(errors.FilterError):
        visualize_activation(model, -1, [0, 2], max_iter=1)
    # The two cancel: nothing but rounding is left to descend.
    weights = {"lp_norm_weight": 0, "tv_weight": 0}
    with pytest.warns(errors.EmptyMapWarning, match="None of 5 steps has lowered the loss"):
        one = visualize_activation(model, -1, [0, 1], max_iter=5, seed=0, **weights)
    assert abs(one[:, :3].mean() - one[:, 3:].mean()) < 20


def test_with_losses_and_jitter_and_a_seed() -> None:
    model = bright_or_dark()
    losses = [(ActivationMaximization(model.layers[-1], 0), 1)]
    pictures = [
        visualize_activation_with_losses(
            model.inputs[0], losses, max_iter=10, seed=3, input_modifiers=[Jitter(1, seed=1)]
        )
        for _ in range(2)
    ]
    assert np.array_equal(*pictures)


def test_a_softmax_warns_and_a_subclassed_model_is_refused() -> None:
    model = keras.Sequential(
        [layers.Input((4, 4, 1)), layers.Flatten(), layers.Dense(2, activation="softmax")]
    )
    with pytest.warns(errors.SoftmaxWarning):
        visualize_activation(model, -1, 0, max_iter=1)

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.end = layers.Dense(1)

        def call(self, x: object) -> object:
            return self.end(x)

    with pytest.raises(errors.ModelError, match="no symbolic input to optimize"):
        visualize_activation(Own(), -1, 0)


def test_each_digit_has_a_picture_that_is_taken_for_it() -> None:
    network = load_network()
    logits = linear_outputs(network)
    pictures = [
        visualize_activation(logits, -1, digit, input_range=(0.0, 1.0), max_iter=40, seed=0)
        for digit in range(10)
    ]
    probabilities = network.predict(np.stack(pictures), verbose=0)
    assert np.diag(probabilities).min() > 0.9


class Recorder(OptimizerCallback):
    """Keeps the losses and the images that it hears of."""

    def __init__(self) -> None:
        self.losses: list[Any] = []
        self.images: list[np.ndarray] = []
        self.iterations: list[int] = []
        self.ends = 0

    def callback(self, i: int, named_losses: Any, overall_loss: Any, grads: Any, wrt_value: Any) -> None:
        self.losses.append(overall_loss)
        self.images.append(np.array(wrt_value))
        self.iterations.append(i)

    def on_end(self) -> None:
        self.ends += 1


def convolutions(data_format: str = "channels_last") -> keras.Model:
    """Three filters over colours, the same ones whichever way the axes lie."""
    last = data_format == "channels_last"
    inputs = layers.Input((7, 8, 3) if last else (3, 7, 8))
    image = layers.UpSampling2D(1, data_format=data_format)(inputs)
    # TensorFlow convolves on a CPU with the channels last only.
    image = image if last else layers.Permute((2, 3, 1))(image)
    x = layers.Conv2D(3, 3, activation="tanh", name="filters", data_format="channels_last")(image)
    model = keras.Model(inputs, layers.Flatten()(x))
    random = np.random.default_rng(0)
    model.set_weights([0.2 * random.normal(size=(3, 3, 3, 3)), random.normal(size=3)])
    return model


SHORT: dict[str, Any] = {
    "max_iter": 4,
    "seed": 3,
    "input_range": (0.0, 1.0),
    "optimizer": keras.optimizers.RMSprop(0.05),
}


@pytest.mark.parametrize(
    ("filters", "settings"),
    [
        (None, {"lp_norm_weight": 0, "tv_weight": 0}),
        ([2, 0], {"lp_norm_weight": 1, "tv_weight": 2}),
        ([-1, 1, -1], {"parameterization": "fourier"}),
        ((1, -2, 0), {"parameterization": Pixels(RandomAffine(0.2, 30, 0.2))}),
        (range(3), {"seed_input": np.full((7, 8, 3), 0.4), "grad_modifier": np.sign, "tv_weight": 0}),
        (np.array([0, -1]), {"input_modifiers": Jitter}),
    ],
    ids=["pixels", "regularized", "fourier", "pixels that move", "seed input, modified", "jitter"],
)
def test_each_filter_has_the_picture_that_it_has_alone(filters: Any, settings: dict[str, Any]) -> None:
    def run(filters: Any, each: bool) -> Any:
        # A jitter of its own for each run, as it draws from where the last run left it.
        own = {"input_modifiers": [Jitter(2, seed=1)]} if "input_modifiers" in settings else {}
        return visualize_activation(model, "filters", filters, each=each, **SHORT, **(settings | own))

    model = convolutions()
    together = run(filters, True)
    chosen = [0, 1, 2] if filters is None else list(filters)
    assert together.shape == (len(chosen), 7, 8, 3) and together.dtype == np.float32
    np.testing.assert_allclose(together, [run(index, False) for index in chosen], atol=2e-4)
    for one, index in enumerate(chosen):
        for other in range(one):
            same = index % 3 == chosen[other] % 3
            distance = np.abs(together[one] - together[other]).max()
            assert distance < 1e-6 if same else distance > 0.01


@pytest.mark.parametrize("filters", [1, [1]])
def test_each_of_one_filter_is_one_picture_in_a_batch(filters: Any) -> None:
    model = convolutions()
    found = visualize_activation(model, "filters", filters, each=True, **SHORT)
    assert found.shape == (1, 7, 8, 3)
    alone = visualize_activation(model, "filters", 1, **SHORT)
    np.testing.assert_allclose(found[0], alone, atol=1e-5)


def test_each_has_its_channels_last() -> None:
    image = np.random.default_rng(1).uniform(0.1, 0.9, (7, 8, 3))
    first, last = (
        visualize_activation(
            convolutions(data_format),
            "filters",
            [0, 2],
            each=True,
            seed_input=seed_input,
            parameterization="fourier",
            **SHORT,
        )
        for data_format, seed_input in (
            ("channels_first", np.moveaxis(image, -1, 0)),
            ("channels_last", image),
        )
    )
    assert first.shape == last.shape == (2, 7, 8, 3)
    np.testing.assert_allclose(first, last, atol=1e-4)


def test_each_of_what_is_no_picture() -> None:
    for shape, made_of in (((6, 2), "pixels"), ((2, 3, 4, 1), Fourier(None))):
        model = keras.Sequential([layers.Input(shape), layers.Flatten(), layers.Dense(3)])
        found = visualize_activation(model, -1, each=True, parameterization=made_of, **SHORT)
        assert found.shape == (3, *shape)


def test_bytes_of_each() -> None:
    model = bright_or_dark()
    weights = {"lp_norm_weight": 0, "tv_weight": 0}
    pictures = visualize_activation(model, -1, each=True, max_iter=30, seed=0, **weights)
    assert pictures.shape == (2, 4, 6, 1) and pictures.dtype == np.uint8
    bright, dark = (float(picture[:, :3].mean()) - float(picture[:, 3:].mean()) for picture in pictures)
    assert bright > 20 and dark < -20


@pytest.mark.parametrize("input_range", [(0, 255), (0.0, 1.0), (-1, 1)])
def test_waves_show_what_the_filter_likes_within_the_range(input_range: tuple[float, float]) -> None:
    recorder = Recorder()
    model = bright_or_dark()
    pictures = visualize_activation(
        model,
        -1,
        each=True,
        input_range=input_range,
        max_iter=30,
        seed=0,
        parameterization=Fourier(None),
        optimizer=keras.optimizers.Adam(1.0),
        callbacks=[recorder],
    )
    low, high = input_range
    bright, dark = pictures[..., 0].astype(np.float64)
    assert bright[:, :3].mean() > low + 0.9 * (high - low) > low + 0.1 * (high - low) > dark[:, :3].mean()
    images = np.stack(recorder.images)
    assert images.shape == (30, 2, 4, 6, 1)
    assert low <= images.min() < low + 0.2 * (high - low) and high - 0.2 * (high - low) < images.max() <= high
    # The picture is the image with the best loss, not stretched.
    losses = np.stack(recorder.losses)
    assert losses.shape == (30, 2)
    for sample, step in enumerate(losses.argmin(axis=0)):
        found = images[step, sample]
        assert np.array_equal(pictures[sample], np.rint(found) if high == 255 else found)


def test_callbacks_hear_of_each_filter() -> None:
    model = convolutions()
    together = Recorder()
    visualize_activation(model, "filters", each=True, callbacks=[together], **SHORT)
    for index in range(3):
        alone = Recorder()
        visualize_activation(model, "filters", index, callbacks=[alone], **SHORT)
        assert all(type(loss) is float for loss in alone.losses)
        np.testing.assert_allclose([loss[index] for loss in together.losses], alone.losses, rtol=1e-3)


def test_samples_of_losses() -> None:
    model = convolutions()
    losses = [(ActivationMaximization(model.get_layer("filters"), [0, 2], each=True), 1)]
    pictures = visualize_activation_with_losses(model, losses, samples=2, **SHORT)
    weights = {"lp_norm_weight": 0, "tv_weight": 0}
    expected = visualize_activation(model, "filters", [0, 2], each=True, **SHORT, **weights)
    np.testing.assert_allclose(pictures, expected, atol=1e-6)


def test_each_through_a_modified_model() -> None:
    inputs = layers.Input((3, 4, 1))
    x = layers.Dense(2, use_bias=False)(layers.ReLU()(layers.Flatten()(inputs)))
    model = keras.Model(inputs, x)
    weights = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    model.set_weights([weights])
    recorder = Recorder()
    settings: dict[str, Any] = {"lp_norm_weight": 0, "tv_weight": 0, "seed_input": np.full((3, 4, 1), 0.5)}
    visualize_activation(
        model,
        -1,
        each=True,
        backprop_modifier="guided",
        callbacks=[recorder],
        **(SHORT | {"max_iter": 2, "optimizer": keras.optimizers.SGD(0.1)}),
        **settings,
    )
    # Of minus the activation, guided passes on what comes in positive: where the weight is negative.
    guided = np.maximum(-weights, 0).T
    expected = 0.5 - 0.1 * guided / np.linalg.norm(guided, axis=1, keepdims=True)
    np.testing.assert_allclose(recorder.images[1].reshape(2, 12), expected, rtol=1e-5)


def test_a_dead_filter_warns_beside_a_living_one() -> None:
    model = bright_or_dark()
    (kernel,) = model.get_weights()
    kernel[:, 1] = 0
    model.set_weights([kernel])
    settings: dict[str, Any] = {"lp_norm_weight": 0, "tv_weight": 0, **SHORT}
    visualize_activation(model, -1, 0, **settings)
    for how in ({"filter_indices": 1}, {"filter_indices": [1, 1], "each": True}, {"each": True}):
        with pytest.warns(errors.EmptyMapWarning, match="lowered the loss"):
            visualize_activation(model, -1, **how, **settings)


def test_wrong_calls_with_each() -> None:
    model = bright_or_dark()
    with pytest.raises(errors.FilterError, match="Filter index 2 is out of range"):
        visualize_activation(model, -1, [0, 2], each=True, max_iter=1)
    with pytest.raises(errors.FilterError, match="No filter"):
        visualize_activation(model, -1, [], each=True, max_iter=1)
    with pytest.raises(errors.InputError, match="Input modifiers change pixels"):
        visualize_activation(model, -1, each=True, parameterization="fourier", input_modifiers=[Jitter()])
    with pytest.raises(errors.ModifierError, match=r"Did you mean 'pixels'\?"):
        visualize_activation(model, -1, 0, parameterization="pixel")
    fixed = keras.Sequential([layers.Input(batch_shape=(2, 4, 6, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(errors.InputError, match=r"takes 2 samples at once\. Received: samples=3"):
        visualize_activation(fixed, -1, each=True, max_iter=1)
    assert visualize_activation(fixed, -1, [0, 1], each=True, **SHORT).shape == (2, 4, 6, 1)


def test_each_and_another_number_of_samples() -> None:
    with pytest.raises(errors.VisError, match="samples"):
        visualize_activation(bright_or_dark(), -1, each=True, samples=5, **SHORT)


def test_waves_of_each_digit_are_taken_for_it() -> None:
    network = load_network()
    pictures = visualize_activation(
        linear_outputs(network),
        -1,
        each=True,
        input_range=(0.0, 1.0),
        max_iter=60,
        seed=0,
        parameterization="fourier",
    )
    assert pictures.shape == (10, 64, 64, 3) and pictures.dtype == np.float32
    assert 0 <= pictures.min() and pictures.max() <= 1
    probabilities = network.predict(pictures, verbose=0)
    assert np.diag(probabilities).min() > 0.9


@pytest.mark.parametrize("given", [{}, {"tv_weight": 0}, {"tv_weight": None, "lp_norm_weight": None}])
def test_a_vector_has_no_total_variation(given: dict[str, Any]) -> None:
    model = keras.Sequential([layers.Input((5,)), layers.Dense(3)])
    found = visualize_activation(model, -1, 0, max_iter=3, seed=0, **given)
    assert found.shape == (5,)
    with pytest.raises(errors.InputError, match="at least 3 axes"):
        visualize_activation(model, -1, 0, max_iter=3, tv_weight=10)


def test_weights_that_are_not_chosen_are_those_of_pixels() -> None:
    model = bright_or_dark()

    def picture(parameterization: str, **weights: Any) -> Any:
        settings: dict[str, Any] = {"max_iter": 5, "seed": 0, "input_range": (0.0, 255.0)}
        return visualize_activation(model, -1, 0, parameterization=parameterization, **settings, **weights)

    ten: dict[str, Any] = {"lp_norm_weight": 10, "tv_weight": 10}
    none: dict[str, Any] = {"lp_norm_weight": None, "tv_weight": None}
    for kind, same, other, least in (("pixels", ten, none, 1), ("fourier", none, ten, 0.1)):
        found = picture(kind)
        np.testing.assert_array_equal(found, picture(kind, **same))
        assert np.abs(found - picture(kind, **other)).max() > least


def off_at_the_start(kind: str, below: float = 0.3) -> keras.Model:
    """Return a model of fractions whose filters look for edges: those from 1 on are off on a grey picture."""
    random = np.random.default_rng(3)
    kernel = random.normal(size=(3, 3, 3, 4)).astype(np.float32) / 5
    kernel -= kernel.mean(axis=(0, 1, 2))
    bias = np.asarray([0.1, *[-below] * 3], np.float32)
    inputs = layers.Input((12, 12, 3))
    fused = {"fused": "relu", "ReLU6": "relu6", "deep": "relu"}.get(kind)
    conv = layers.Conv2D(4, 3, activation=fused, name="conv")
    x = conv(inputs)
    if kind == "layer":
        x = layers.ReLU()(x)
    conv.set_weights([kernel, bias])
    if kind == "deep":  # nothing leaves the layers before
        x = layers.DepthwiseConv2D(2, activation="relu", depthwise_initializer="ones")(x)
    return keras.Model(inputs, x)


FOURIER: dict[str, Any] = {
    "parameterization": "fourier",
    "input_range": (0.0, 1.0),
    "max_iter": 60,
    "seed": 0,
}


def test_a_watcher_does_not_change_a_second_descent() -> None:
    """The steps in which a filter that is off is looked for decide about where the next ones begin."""
    model, heard = off_at_the_start("deep"), []
    found = visualize_activation(model, -1, 2, **FOURIER)
    with watching(lambda *now: heard.append(now)):
        watched = visualize_activation(model, -1, 2, **FOURIER)
    assert heard.count((0, 60, "steps")) == 3, "with fewer descents, this tests nothing"
    assert np.array_equal(watched, found)


@pytest.mark.parametrize("kind", ["fused", "layer", "ReLU6", "deep"])
def test_a_filter_that_is_off_at_the_start_gets_a_picture(kind: str) -> None:
    model = off_at_the_start(kind)
    grey = np.full((1, 12, 12, 3), 0.5)
    assert not model.predict(grey, verbose=0)[..., 1:].any() and model.predict(grey, verbose=0)[..., 0].all()
    pictures = visualize_activation(model, -1, [0, 1, 2, 3], each=True, **FOURIER)
    activations = model.predict(pictures, verbose=0).mean(axis=(1, 2))
    assert (np.diag(activations) > 0).all()
    for index in (0, 2) if kind == "fused" else ():
        one = visualize_activation(model, -1, index, **FOURIER)
        np.testing.assert_allclose(one, pictures[index], atol=1e-4)


def test_pixels_that_are_off_at_the_start() -> None:
    model = off_at_the_start("fused")
    settings: dict[str, Any] = {**FOURIER, "parameterization": "pixels", "lp_norm_weight": 0, "tv_weight": 0}
    settings["optimizer"] = keras.optimizers.Adam(0.05)
    start = np.random.default_rng(0).uniform(0.45, 0.55, (12, 12, 3))
    recorder = Recorder()
    visualize_activation(model, -1, 2, seed_input=start, callbacks=[recorder], **settings)
    assert model.predict(recorder.images[0], verbose=0)[..., 2].max() == 0
    assert model.predict(recorder.images[-1], verbose=0)[..., 2].max() > 0
    assert recorder.iterations == list(range(len(recorder.images))) and recorder.ends == 1
    assert 120 < len(recorder.images) < 180


@pytest.mark.parametrize("parameterization", ["fourier", "pixels"])
def test_regularizers_do_not_make_a_filter_dead(parameterization: str) -> None:
    inputs = layers.Input((12, 12, 3))
    model = keras.Model(inputs, off_at_the_start("fused")(layers.Rescaling(1 / 255)(inputs)))
    chosen = [1, 2, 3]
    settings = {**FOURIER, "parameterization": parameterization, "tv_weight": 1e-6, "lp_norm_weight": 1e-6}
    settings |= {"input_range": (0.0, 255.0), "max_iter": 100}
    pictures = visualize_activation(model, -1, chosen, each=True, **settings)
    assert (np.diag(model.predict(pictures, verbose=0).mean(axis=(1, 2))[:, chosen]) > 0).all()


@pytest.mark.parametrize("parameterization", ["fourier", "pixels"])
def test_the_warning_tells_a_dead_filter_from_a_start_where_it_is_off(parameterization: str) -> None:
    settings = {**FOURIER, "max_iter": 30, "parameterization": parameterization}
    dead = off_at_the_start("fused", below=1e4)
    with pytest.warns(errors.EmptyMapWarning, match="are dead for all of 60 inputs tried"):
        visualize_activation(dead, -1, 2, **settings)
    with pytest.warns(errors.EmptyMapWarning, match=r"lowered the loss of the samples \[1\].* are dead for"):
        visualize_activation(dead, -1, [0, 1], each=True, **{**settings, "parameterization": "fourier"})


def test_the_warning_tells_a_filter_that_other_losses_hold_off() -> None:
    inputs = layers.Input((12, 12, 3))
    model = keras.Model(inputs, off_at_the_start("fused")(layers.Rescaling(1 / 255)(inputs)))
    with pytest.warns(errors.EmptyMapWarning, match="become active on their own.* Lower tv_weight"):
        visualize_activation(model, -1, 1, seed=0, max_iter=100)


def test_the_derivative_that_was_asked_for_stays() -> None:
    model = off_at_the_start("fused")
    with pytest.warns(errors.EmptyMapWarning, match="for every input on the way from this start"):
        visualize_activation(model, -1, 2, backprop_modifier="guided", **FOURIER)


def test_a_misspelled_option_is_named_and_wrt_has_an_older_name() -> None:
    entry = layers.Input((3,))
    hidden = layers.Dense(2, name="hidden")(entry)
    model = keras.Model(entry, layers.Dense(1)(hidden))
    with pytest.raises(TypeError, match="unexpected keyword argument 'max_itr'"):
        visualize_activation(model, -1, 0, max_itr=3)
    options = {"seed_input": [1.0, 2.0, 3.0], "max_iter": 5}
    expected = visualize_activation(model, -1, 0, "hidden", **options)
    for wrt in ("hidden", hidden, model.get_layer("hidden")):
        assert np.array_equal(visualize_activation(model, -1, 0, wrt=wrt, **options), expected)
    losses = [(ActivationMaximization(model.layers[-1], 0), 1)]
    found = visualize_activation_with_losses(model, losses, wrt="hidden", **options)
    assert np.array_equal(found, expected)
    with pytest.raises(errors.InputError, match="wrt and wrt_tensor name the same argument"):
        visualize_activation(model, -1, 0, "hidden", wrt="hidden")
