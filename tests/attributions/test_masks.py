"""Masked steps: noise, paths and patches leave them alone, and nothing is attributed to them."""

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests import native
from vis.attributions import (
    AblationCAM,
    FeatureAblation,
    GradCAM,
    GradientInput,
    GuidedBackprop,
    IntegratedGradients,
    Occlusion,
    Rise,
    Saliency,
    ScoreCAM,
    SmoothGrad,
    SquareGrad,
    VarGrad,
)
from vis.errors import StretchedMapWarning

# Where zeros are right, a warning about them is beside the point.
pytestmark = [
    pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning"),
    # The oldest Keras says so of attention, from inside of it.
    pytest.mark.filterwarnings("ignore:(.|\\n)*does not support masking:UserWarning"),
]

LENGTHS = np.array([3, 8, 5])
CLASSES = np.array([0, 1, 1])


def series(value: float = 0.0, seed: int = 0, at_front: bool = False) -> np.ndarray:
    """Three series of eight steps; what is behind their lengths holds `value`."""
    x = np.random.default_rng(seed).normal(size=(3, 8, 2)).astype(np.float32)
    x[padding(at_front)] = value
    return x


def padding(at_front: bool = False) -> np.ndarray:
    masked = np.arange(8) >= LENGTHS[:, None]
    return masked[:, ::-1] if at_front else masked


class Scaled(layers.Layer):
    """A mask by `compute_mask`, and a call that masks by itself and changes what it lets through."""

    def __init__(self, value: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value = value

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        return ops.any(ops.not_equal(x, self.value), axis=-1)

    def call(self, x: Any) -> Any:
        counts = ops.any(ops.not_equal(x, self.value), axis=-1, keepdims=True)
        return 2 * x * ops.cast(counts, x.dtype)


class ByHand(keras.Model):
    """Asks for the mask and hands it on itself."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.masking, self.gru, self.scores = layers.Masking(value), layers.GRU(4), layers.Dense(2)

    def build(self, input_shape: Any) -> None:
        self.gru.build(input_shape)
        self.scores.build((None, 4))
        self.built = True

    def call(self, x: Any) -> Any:
        return self.scores(self.gru(x, mask=self.masking.compute_mask(x)))


def sequential(first: list[Any], last: list[Any], steps: Any = 8) -> keras.Model:
    return keras.Sequential([layers.Input((steps, 2)), *first, *last, layers.Dense(2)])


def nested(value: float) -> keras.Model:
    inner = keras.Sequential([layers.Input((8, 2)), layers.Masking(value), layers.GRU(4)])
    return keras.Sequential([layers.Input((8, 2)), layers.Dropout(0.5), inner, layers.Dense(2)])


def merged(value: float) -> keras.Model:
    entry = keras.Input((8, 2))
    masked = layers.Masking(value)(entry)
    both = layers.Add()([layers.Dense(3, "tanh")(masked), layers.GRU(3, return_sequences=True)(masked)])
    return keras.Model(entry, layers.Dense(2)(layers.GlobalAveragePooling1D()(both)))


def attention(value: float) -> keras.Model:
    entry = keras.Input((8, 2))
    masked = layers.Masking(value)(entry)
    seen = layers.MultiHeadAttention(2, 3)(masked, masked)
    return keras.Model(entry, layers.Dense(2)(layers.GlobalAveragePooling1D()(seen)))


def called(value: float) -> keras.Model:
    model = ByHand(value)
    model(series(value))
    return model


# Each masks the steps that hold a value.
MODELS: dict[str, Callable[[float], keras.Model]] = {
    "gru": lambda v: sequential([layers.Masking(v)], [layers.GRU(4)]),
    "any length": lambda v: sequential([layers.Masking(v)], [layers.LSTM(4)], None),
    "two": lambda v: sequential(
        [layers.Masking(v)], [layers.Bidirectional(layers.GRU(3, return_sequences=True)), layers.LSTM(3)]
    ),
    "mean": lambda v: sequential(
        [layers.Masking(v)], [layers.Dense(4, "tanh"), layers.GlobalAveragePooling1D()]
    ),
    "flat": lambda v: sequential([layers.Masking(v)], [layers.Flatten(), layers.Dense(4, "tanh")]),
    "own layer": lambda v: sequential([Scaled(v)], [layers.GRU(4)]),
    "nested": nested,
    "merged": merged,
    "attention": attention,
    "by hand": called,
}


def build(name: str, value: float) -> keras.Model:
    keras.utils.set_random_seed(3)
    return MODELS[name](value)


EXPLAINERS: dict[str, Callable[..., Any]] = {
    "Saliency": Saliency,
    "inverted": lambda model: Saliency(model, grad_modifier="invert"),
    "GradientInput": GradientInput,
    "IntegratedGradients": lambda model: IntegratedGradients(model, baseline=0.3, steps=4),
    "SmoothGrad": lambda model: SmoothGrad(model, nb_samples=4),
    "absolute": lambda model: SmoothGrad(model, nb_samples=4, noise_scale="absolute"),
    "SquareGrad": lambda model: SquareGrad(model, nb_samples=4),
    "VarGrad": lambda model: VarGrad(model, nb_samples=4, batch_size=3),
    "Occlusion": lambda model: Occlusion(model, patch_size=2, patch_stride=1, occlusion_value=0.3),
    "both": lambda model: SmoothGrad(IntegratedGradients(model, steps=3), nb_samples=3),
    "of patches": lambda model: SmoothGrad(Occlusion(model, patch_size=3), nb_samples=3),
    "FeatureAblation": lambda model: FeatureAblation(model, features=2, baseline=0.3),
    "Rise": lambda model: Rise(model, nb_samples=20, grid_size=(4, 2), baseline=0.3),
}


@pytest.mark.filterwarnings("ignore:Layer '.*' .* does not support masking:UserWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_nothing_is_attributed_to_masked_steps(name: str, value: float) -> None:
    model = build(name, value)
    for at_front in (False, True):
        masked = padding(at_front)
        for explainer in EXPLAINERS.values():
            maps = explainer(model)(series(value, at_front=at_front), CLASSES)
            assert not maps[masked].any() and np.abs(maps[~masked]).max() > 0


@pytest.mark.filterwarnings("ignore:Layer '.*' .* does not support masking:UserWarning")
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("method", "value"), [("gauss-legendre", -1.0), ("trapezoid", 0.0)])
def test_integrated_gradients_are_complete(name: str, method: str, value: float) -> None:
    """Also where the path, or only its start, crosses the value that is masked."""
    model = build(name, value)
    for baseline in (value, 0.5, -value):
        steps = 30 if method == "gauss-legendre" else 301
        explainer = IntegratedGradients(model, baseline=baseline, steps=steps, method=method, batch_size=None)
        assert np.abs(explainer.residuals(series(value), CLASSES)).max() < 2e-4


def with_given_mask(model: keras.Model, dtype: str = "float32") -> keras.Model:
    """The layers behind the first of a sequential model, with the mask as an input of its own."""
    entry, mask = keras.Input((8, 2), dtype=dtype), keras.Input((8,), dtype="bool")
    gru, scores = model.layers[1:]
    return keras.Model([entry, mask], scores(gru(entry, mask=mask)))


def test_they_are_those_of_a_model_that_is_given_the_mask() -> None:
    """A slow oracle: noise, steps and patches one by one, under a mask that is an input of the model."""
    model = build("gru", -1.0)
    other, x, counts = with_given_mask(model), series(-1.0), ~padding()
    where = counts[..., None]

    def gradient(x: np.ndarray) -> np.ndarray:
        return np.asarray(GradientInput(other)([x.astype(np.float32), counts], CLASSES)[0]) / x

    def score(x: np.ndarray) -> np.ndarray:
        return np.asarray(other([x.astype(np.float32), counts]))[np.arange(3), CLASSES]

    near: dict[str, float] = {"rtol": 1e-3, "atol": 1e-6}
    scale = [np.ptp(sample[kept]) for sample, kept in zip(x, counts, strict=True)]
    drawn = [np.random.default_rng([0, k, 0]).standard_normal((8, 2), np.float32) for k in range(5)]
    noisy = [x + 0.3 * np.reshape(scale, (3, 1, 1)) * each * where for each in drawn]
    maps = np.stack([gradient(each) for each in noisy]) * where
    np.testing.assert_allclose(SmoothGrad(model, nb_samples=5, noise=0.3)(x, CLASSES), maps.mean(0), **near)
    np.testing.assert_allclose(
        VarGrad(model, nb_samples=5, noise=0.3)(x, CLASSES), maps.var(0, ddof=1), **near
    )

    # A baseline that is the masked value, so that the start of the path would be masked as a whole.
    x0 = np.full_like(x, -1)
    path = [(gradient(x0 + a * (x - x0)) * weight, a) for a, weight in ((1e-6, 0.25), (0.5, 0.5), (1, 0.25))]
    expected = (x - x0) * sum(part for part, _ in path) * where
    explainer = IntegratedGradients(model, baseline=-1, steps=3, method="trapezoid")
    np.testing.assert_allclose(explainer(x, CLASSES), expected, **near)
    rise = score(x) - score(np.where(where, x0, x))
    np.testing.assert_allclose(
        explainer.residuals(x, CLASSES), rise - expected.sum(axis=(1, 2)), rtol=1e-3, atol=1e-5
    )

    covered = np.zeros((3, 8, 2))
    for step in range(0, 8, 2):
        patch = x.copy()
        patch[:, step : step + 2] = -1
        covered[:, step : step + 2] = (score(x) - score(np.where(where, patch, x)))[:, None, None]
    found = Occlusion(model, patch_size=2, occlusion_value=-1)(x, CLASSES)
    np.testing.assert_allclose(found, covered * where, **near)


@pytest.mark.parametrize("explainer", EXPLAINERS.values(), ids=EXPLAINERS)
def test_a_map_does_not_depend_on_its_neighbours(explainer: Any) -> None:
    model = build("merged", 0.0)
    made, x = explainer(model), series()
    alone = np.concatenate([made(x[i : i + 1], CLASSES[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(made(x, CLASSES), alone, rtol=1e-4, atol=1e-6)


def test_a_batch_without_padding_is_explained_as_if_nothing_were_masked() -> None:
    model, x = build("gru", 0.0), series()[1:2]
    plain = keras.Sequential([layers.Input((8, 2)), *model.layers[1:]])
    for explainer in EXPLAINERS.values():
        np.testing.assert_allclose(explainer(model)(x, 1), explainer(plain)(x, 1), rtol=1e-4, atol=1e-6)


def test_a_model_of_a_fixed_batch_size() -> None:
    model, x = build("gru", 0.0), series()
    fixed = keras.Sequential([layers.Input(batch_shape=(2, 8, 2)), *model.layers])
    for explainer in EXPLAINERS.values():
        expected = explainer(model)(x, CLASSES)
        np.testing.assert_allclose(explainer(fixed)(x, CLASSES), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [8, None])
@pytest.mark.parametrize("last", ["lstm", "mean", "attention"])
def test_tokens(steps: int | None, last: str) -> None:
    keras.utils.set_random_seed(0)
    tokens = keras.Input((steps,), dtype="int32")
    x = layers.Embedding(20, 4, mask_zero=True, name="embedding")(tokens)
    if last == "attention":
        x = layers.MultiHeadAttention(2, 3)(x, x)
    x = layers.LSTM(3)(x) if last == "lstm" else layers.GlobalAveragePooling1D()(layers.Dense(5, "tanh")(x))
    model = keras.Model(tokens, layers.Dense(2)(x))
    given = np.random.default_rng(0).integers(1, 20, (3, 8))
    given[padding()] = 0
    for name, explainer in EXPLAINERS.items():
        if name not in ("Occlusion", "of patches", "FeatureAblation", "Rise"):
            maps = _of_embedding(explainer, model)(given, CLASSES)
            assert not maps[padding()].any() and np.abs(maps[~padding()]).max() > 0
    # The map of a text does not know how far it is padded.
    path = IntegratedGradients(model, wrt="embedding", baseline=0.2)
    np.testing.assert_allclose(path(given[:1, :8], 0)[:, :3], path(_short(given, steps), 0)[:, :3], atol=1e-6)
    assert np.abs(path.residuals(given, CLASSES)).max() < 1e-4
    patches = Occlusion(model, patch_size=1)(given, CLASSES)
    assert not patches[padding()].any() and np.abs(patches[~padding()]).max() > 0


@pytest.mark.parametrize("sentences", [3, None])
def test_words_of_sentences(sentences: int | None) -> None:
    """Masks that are made anew at each step of a wrapper."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([layers.Input((5, 2)), layers.Masking(), layers.GRU(3)])
    outer = [layers.TimeDistributed(inner), layers.GRU(3), layers.Dense(2)]
    model = keras.Sequential([layers.Input((sentences, 5, 2)), *outer])
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 2)).astype(np.float32)
    x[0, 1, 2:] = x[1, 2, 4:] = 0
    masked = ~x.any(axis=-1)
    for explainer in (Saliency, IntegratedGradients, lambda model: SmoothGrad(model, nb_samples=3)):
        maps = explainer(model)(x, 1)
        assert not maps[masked].any() and np.abs(maps[~masked]).max() > 0
    path = IntegratedGradients(model, steps=301, method="trapezoid", batch_size=None)
    assert np.abs(path.residuals(x, 1)).max() < 1e-4


@pytest.mark.filterwarnings("ignore:Layer '.*' .* does not support masking:UserWarning")
def test_class_activation_maps_and_modifiers() -> None:
    keras.utils.set_random_seed(0)
    entry = keras.Input((8, 2))
    x = layers.GRU(4, return_sequences=True)(layers.Masking()(entry))
    x = layers.Conv1D(5, 3, padding="same", activation="relu", name="conv")(x)
    model = keras.Model(entry, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))
    # Where a loop hides the steps of a recurrent layer, they cannot be followed.
    hidden = pytest.warns(StretchedMapWarning) if native.COMPILES else contextlib.nullcontext()
    with hidden:
        of_conv = GradCAM(model)(series(), CLASSES)
    for maps in (of_conv, GuidedBackprop(model)(series(), CLASSES)):
        assert not maps[padding()].any()
        assert maps[~padding()].any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy: str) -> None:
    keras.utils.set_random_seed(0)
    stack = [layers.Masking(-1.0, dtype=policy), layers.Dense(4, "tanh", dtype=policy)]
    end = [layers.GlobalAveragePooling1D(dtype=policy), layers.Dense(2, dtype=policy)]
    model = keras.Sequential([layers.Input((8, 2)), *stack, *end])
    explainer = IntegratedGradients(model, baseline=-1, steps=21, method="trapezoid")
    maps = explainer(series(-1.0), CLASSES)
    assert not maps[padding()].any() and np.abs(maps[~padding()]).max() > 0
    assert np.abs(explainer.residuals(series(-1.0), CLASSES)).max() < 0.05


def test_only_the_input_that_is_masked_is_left_alone() -> None:
    keras.utils.set_random_seed(0)
    entry, table = keras.Input((8, 2), name="series"), keras.Input((3,), name="table")
    x = layers.GRU(4)(layers.Masking()(entry))
    model = keras.Model({"series": entry, "table": table}, layers.Dense(2)(layers.concatenate([x, table**2])))
    given = {"series": series(), "table": np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)}
    for explainer in (Saliency, IntegratedGradients, lambda model: VarGrad(model, nb_samples=3)):
        maps = explainer(model)(given, CLASSES)
        assert not maps["series"][padding()].any() and np.abs(maps["series"][~padding()]).max() > 0
        assert np.abs(maps["table"]).min() > 0
    assert np.abs(IntegratedGradients(model).residuals(given, CLASSES)).max() < 1e-4


def test_masks_follow_a_setting_that_is_changed() -> None:
    keras.utils.set_random_seed(0)
    embedding = layers.Embedding(9, 3, mask_zero=True, name="embedding")

    class Tokens(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.gru, self.scores = embedding, layers.GRU(4), layers.Dense(2)

        def call(self, tokens: Any) -> Any:
            return self.scores(self.gru(self.embedding(tokens)))

    model, tokens = Tokens(), np.array([[3, 4, 0, 0]])
    model(tokens)
    explainer = SmoothGrad(model, wrt="embedding", nb_samples=3)
    assert not explainer(tokens, 0)[:, 2:].any()
    embedding.mask_zero = False
    assert explainer(tokens, 0)[:, 2:].all()
    embedding.mask_zero = True
    assert not explainer(tokens, 0)[:, 2:].any()


def _of_embedding(explainer: Any, model: keras.Model) -> Any:
    """Make an explainer of what the embedding returns."""
    made = explainer(model)
    for each in (made, getattr(made, "explainer", made)):
        each.score = dataclasses.replace(each.score, wrt=model.get_layer("embedding"))
    return made


def _short(given: np.ndarray, steps: int | None) -> np.ndarray:
    return given[:1] if steps else given[:1, :4]


@pytest.mark.filterwarnings("ignore::vis.errors.StretchedMapWarning")
@pytest.mark.parametrize("kind", [ScoreCAM, AblationCAM])
def test_weights_of_channels_keep_the_masks(kind: Any) -> None:
    """They are those of a model that is given the mask, whatever is changed to find them."""
    keras.utils.set_random_seed(0)
    first = layers.SimpleRNN(4, return_sequences=True, name="seen")
    second, end = layers.SimpleRNN(3), layers.Dense(2)
    model = keras.Sequential([layers.Input((8, 2)), layers.Masking(-1.0), first, second, end])
    entry, mask = keras.Input((8, 2)), keras.Input((8,), dtype="bool")
    other = keras.Model([entry, mask], end(second(first(entry, mask=mask), mask=mask)))
    x = series(-1.0)
    found = kind(model, conv_layer="seen")(x, CLASSES)
    expected = kind(other, conv_layer="seen")([x, ~padding()], CLASSES)
    np.testing.assert_allclose(found, expected * ~padding()[..., None], rtol=1e-4, atol=1e-6)
    alone = np.concatenate(
        [kind(model, conv_layer="seen")(x[i : i + 1], CLASSES[i : i + 1]) for i in range(3)]
    )
    np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-6)
