"""Activation maximization through the verbs, on small networks and on the demo's."""

import keras
import numpy as np
import pytest
from keras import layers

from vis import errors, linear_outputs
from vis.demo.network import load_network
from vis.input_modifiers import Jitter
from vis.losses import ActivationMaximization
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
