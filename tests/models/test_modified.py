"""The modified model: the layers, variables and predictions of the original."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from tests import native
from vis import backprop_modifiers
from vis.errors import ModelError, ModifierError, PartialOverrideWarning
from vis.models import modified, unmodified

X = np.array([[1.0, -2.0, 3.0], [0.5, 0.0, -1.0]], np.float32)
A = np.array([[1.0, -1.0], [2.0, 0.5], [-1.0, 1.0]], np.float32)
B = np.array([[1.0], [-2.0]], np.float32)


def rule(x: Any, y: Any, incoming: Any, true: Any) -> Any:
    """Ten times the true gradient: nothing else gives that."""
    return 10.0 * true


def set_weights(model: keras.Model) -> keras.Model:
    model.set_weights([A, B])
    return model


def sequential() -> keras.Model:
    return set_weights(
        keras.Sequential(
            [
                layers.Input((3,)),
                layers.Dense(2, activation="relu", use_bias=False, name="hidden"),
                layers.Dense(1, use_bias=False, name="end"),
            ],
            name="net",
        )
    )


def functional() -> keras.Model:
    entry = keras.Input((3,), name="x")
    hidden = layers.Dense(2, activation="relu", use_bias=False, name="hidden")(entry)
    return set_weights(keras.Model(entry, layers.Dense(1, use_bias=False, name="end")(hidden), name="net"))


class Net(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="net")
        self.hidden = layers.Dense(2, activation="relu", use_bias=False, name="hidden")
        self.end = layers.Dense(1, use_bias=False, name="end")

    def call(self, x: Any) -> Any:
        return self.end(self.hidden(x))


def subclassed() -> keras.Model:
    model = Net()
    model(X)
    return set_weights(model)


EACH_KIND = pytest.mark.parametrize("make", [sequential, functional, subclassed])
# By hand: both hidden units of the first sample are off or on as X @ A says, times 10 by the rule.
EXPECTED = 10.0 * ((X @ A > 0) * B.T) @ A.T


def gradient(model: Any, x: Any = X) -> Any:
    return native.gradient(model, x)


@EACH_KIND
def test_gradient_and_predictions(make: Callable[[], keras.Model]) -> None:
    model = make()
    changed = modified(model, "tenfold", rule)
    expected = np.maximum(X @ A, 0) @ B
    np.testing.assert_allclose(changed(X), expected, rtol=1e-6)
    np.testing.assert_array_equal(changed(X), model(X))
    np.testing.assert_array_equal(changed.predict(X, verbose=0), model.predict(X, verbose=0))
    np.testing.assert_allclose(gradient(changed), EXPECTED, rtol=1e-6)
    np.testing.assert_allclose(gradient(model), EXPECTED / 10, rtol=1e-6)


@EACH_KIND
def test_layers_and_variables_are_the_originals(make: Callable[[], keras.Model]) -> None:
    model = make()
    changed = modified(model, "tenfold", rule)
    assert isinstance(changed, keras.Model)
    assert changed.name == "net"
    for name in ("variables", "weights", "trainable_variables"):
        found, wanted = getattr(changed, name), getattr(model, name)
        assert len(found) == len(wanted) == 2
        assert all(a is b for a, b in zip(found, wanted, strict=True)), name
    assert changed.get_layer("hidden") is model.get_layer("hidden")
    assert [layer.name for layer in changed.layers][-2:] == ["hidden", "end"]
    assert changed.layers[-1] is model.layers[-1]


@pytest.mark.parametrize("make", [sequential, functional])
def test_symbolic_input_and_output_are_the_originals(make: Callable[[], keras.Model]) -> None:
    model = make()
    changed = modified(model, "tenfold", rule)
    assert changed.inputs[0] is model.inputs[0]
    assert changed.outputs[0] is model.outputs[0]
    assert changed.output_shape == (None, 1)
    np.testing.assert_allclose(keras.Model(changed.inputs[0], changed.outputs[0])(X), model(X), rtol=1e-6)


@EACH_KIND
def test_the_original_is_untouched(
    make: Callable[[], keras.Model], untouched: Callable[[Any], Callable[[], None]]
) -> None:
    model = make()
    check = untouched(model)
    changed = modified(model, "tenfold", rule)
    gradient(changed)
    check()


@EACH_KIND
def test_training_the_original_shows_in_the_next_call(make: Callable[[], keras.Model]) -> None:
    model = make()
    changed = modified(model, "tenfold", rule)
    gradient(changed)
    model.set_weights([-A, 3 * B])
    np.testing.assert_allclose(changed(X), np.maximum(-X @ A, 0) @ (3 * B), rtol=1e-6)
    np.testing.assert_allclose(gradient(changed), 10 * ((-X @ A > 0) * 3 * B.T) @ -A.T, rtol=1e-6)


@EACH_KIND
def test_training_mode_is_refused(make: Callable[[], keras.Model]) -> None:
    changed = modified(make(), "tenfold", rule)
    with pytest.raises(ModelError, match=r"'net'.*'tenfold'.*inference mode"):
        changed(X, training=True)
    np.testing.assert_allclose(changed(X, training=False), np.maximum(X @ A, 0) @ B, rtol=1e-6)


def test_any_batch_size() -> None:
    changed = modified(functional(), "tenfold", rule)
    for batch in (X, X[:1], np.repeat(X, 4, axis=0)):
        expected = 10.0 * ((batch @ A > 0) * B.T) @ A.T
        np.testing.assert_allclose(gradient(changed, batch), expected, rtol=1e-6)


def test_batch_norm_and_dropout_do_not_move() -> None:
    model = keras.Sequential(
        [layers.Input((3,)), layers.BatchNormalization(epsilon=0.0), layers.ReLU(), layers.Dropout(0.9)]
    )
    norm = model.layers[0]
    norm.moving_mean.assign([0.25, 0.0, 1.0])
    norm.moving_variance.assign([4.0, 1.0, 0.25])
    changed = modified(model, "tenfold", rule)
    normed = (X - [0.25, 0, 1]) / [2, 1, 0.5]
    np.testing.assert_allclose(changed(X), np.maximum(normed, 0), rtol=1e-6)
    np.testing.assert_allclose(gradient(changed), 10 * (normed > 0) / [2, 1, 0.5], rtol=1e-6)
    np.testing.assert_array_equal(norm.moving_mean, [0.25, 0, 1])
    np.testing.assert_array_equal(norm.moving_variance, [4, 1, 0.25])


def test_modified_again_has_the_last_rule_alone() -> None:
    model = functional()
    tenfold = modified(model, "tenfold", rule)
    again = modified(tenfold, "guided", backprop_modifiers.get("guided").rule)
    assert unmodified(again)[0] is model
    on = X @ A > 0
    np.testing.assert_allclose(gradient(again), (on * np.maximum(B.T, 0)) @ A.T, rtol=1e-6)
    np.testing.assert_allclose(gradient(tenfold), EXPECTED, rtol=1e-6)


def test_several_inputs_and_outputs_by_name() -> None:
    entry = {"a": keras.Input((3,), name="a"), "b": keras.Input((3,), name="b")}
    hidden = layers.ReLU()(layers.Subtract()([entry["a"], entry["b"]]))
    model = keras.Model(entry, {"sum": keras.ops.sum(hidden, axis=-1), "all": hidden})
    changed = modified(model, "tenfold", rule)
    outputs = changed({"a": X, "b": np.ones_like(X)})
    assert set(outputs) == {"sum", "all"}
    np.testing.assert_allclose(outputs["all"], np.maximum(X - 1, 0))
    on_a, on_b = native.gradients(lambda a, b: changed({"a": a, "b": b})["sum"], [X, np.ones_like(X)])
    np.testing.assert_allclose(on_a, 10.0 * (X > 1))
    np.testing.assert_allclose(on_b, -10.0 * (X > 1))


def test_model_without_variables_yet() -> None:
    for model in (keras.Sequential([layers.Dense(2, activation="relu")]), Net()):
        with pytest.raises(ModelError, match="not built"):
            modified(model, "tenfold", rule)


@pytest.mark.parametrize("wrong", [None, "net", layers.ReLU()])
def test_no_model(wrong: Any) -> None:
    with pytest.raises(ModelError, match=r"Expected a keras\.Model"):
        modified(wrong, "tenfold", rule)


def test_nothing_to_modify_names_modifier_and_model() -> None:
    model = keras.Sequential([layers.Input((3,)), layers.Dense(2)], name="plain")
    with pytest.raises(ModifierError, match=r"'tenfold' reaches no activation of the model 'plain'"):
        modified(model, "tenfold", rule)


def test_partly_modified_warns_where_the_user_stands() -> None:
    hidden = layers.Lambda(native.hidden_relu)
    model = keras.Sequential([layers.Input((3, 2)), layers.ReLU(), hidden], name="mixed")
    with pytest.warns(PartialOverrideWarning, match="1 activation of the model 'mixed' but not") as caught:
        modified(model, "tenfold", rule)
    assert len(caught) == 1


def test_nothing_on_disk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom layer that cannot be saved, in a folder that stays empty."""

    class Opaque(layers.Layer):
        def __init__(self, secret: Any) -> None:
            super().__init__()
            self.secret = secret

        def call(self, x: Any) -> Any:
            return native.relu(x) * 2.0

        def get_config(self) -> Any:
            raise NotImplementedError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    model = keras.Sequential([layers.Input((3,)), Opaque(object())])
    np.testing.assert_allclose(gradient(modified(model, "tenfold", rule)), 20.0 * (X > 0))
    assert not list(tmp_path.iterdir())


@EACH_KIND
def test_deleted_models_are_freed(make: Callable[[], keras.Model]) -> None:
    model = make()
    changed = modified(model, "tenfold", rule)
    gradient(changed)
    gone = [weakref.ref(thing) for thing in (model, changed, model.variables[0])]
    del model, changed
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3


def test_layers_are_counted_as_in_the_original() -> None:
    original = sequential()
    result = modified(original, "tenfold", rule)
    assert [id(layer) for layer in result.layers] == [id(layer) for layer in original.layers]
    assert result.get_layer("hidden") is result.get_layer(index=0) is original.layers[0]
