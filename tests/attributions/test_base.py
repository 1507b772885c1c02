"""What always holds for every explainer: samples as if alone, one trace, flat memory, untouched models."""

import functools
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import vis.engine.traces
from tests import native
from vis.attributions import (
    AblationCAM,
    Attribution,
    DeconvNet,
    EigenCAM,
    Explainer,
    FeatureAblation,
    GradCAM,
    GradCAMPlusPlus,
    GradientInput,
    GuidedBackprop,
    GuidedGradCAM,
    HiResCAM,
    HsicAttribution,
    IntegratedGradients,
    KernelShap,
    LayerCAM,
    Lime,
    Occlusion,
    Rise,
    Saliency,
    ScoreCAM,
    SmoothGrad,
    SobolAttribution,
    SquareGrad,
    VarGrad,
    XGradCAM,
)
from vis.backprop_modifiers import guided
from vis.errors import InputError, LayerError, ModelError, PartialOverrideWarning, SoftmaxWarning

# Some maps of places are empty here: their samples matter all the same.
pytestmark = pytest.mark.filterwarnings("ignore::vis.errors.EmptyMapWarning")


def random(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


EXPLAINERS: dict[str, Callable[..., Any]] = {
    "saliency": Saliency,
    "gradient input": GradientInput,
    "deconvnet": DeconvNet,
    "guided": GuidedBackprop,
    "integrated": lambda model, **given: IntegratedGradients(model, steps=5, **given),
    "smooth": lambda model, **given: SmoothGrad(model, nb_samples=5, **given),
    "square": lambda model, **given: SquareGrad(model, nb_samples=5, **given),
    "variance": lambda model, **given: VarGrad(model, nb_samples=5, **given),
    "smooth cam": lambda model, **given: SmoothGrad(GradCAM(model), nb_samples=3, **given),
    "smooth integrated": lambda model, **given: SmoothGrad(
        IntegratedGradients(model, steps=3), nb_samples=3, **given
    ),
    "cam": GradCAM,
    "cam++": GradCAMPlusPlus,
    "layer cam": LayerCAM,
    "hires cam": HiResCAM,
    "xgrad cam": XGradCAM,
    "guided cam": GuidedGradCAM,
    "score cam": ScoreCAM,
    "faster score cam": lambda model, **given: ScoreCAM(model, max_channels=2, **given),
    "ablation cam": AblationCAM,
    "eigen cam": EigenCAM,
    "occlusion": Occlusion,
    "feature ablation": lambda model, **given: FeatureAblation(model, features=2, **given),
    "rise": lambda model, **given: Rise(model, nb_samples=9, grid_size=2, **given),
    "lime": lambda model, **given: Lime(model, features=2, nb_samples=12, **given),
    "kernel shap": lambda model, **given: KernelShap(model, features=3, **given),
    "sobol": lambda model, **given: SobolAttribution(model, features=3, nb_design=4, **given),
    "hsic": lambda model, **given: HsicAttribution(model, features=3, nb_design=8, **given),
}
BY_CHANNELS = ("score cam", "faster score cam", "ablation cam", "eigen cam")
BY_SCORES = ("occlusion", "feature ablation", "rise", "lime", "kernel shap", "sobol", "hsic")
WITHOUT_GRADIENT = (*BY_SCORES, *BY_CHANNELS)
# Subtracting the mean of the squares from that of the mean loses digits.
NEAR = {"variance": 1e-4}

X, Y = random(7, 6, 5, 2), np.array([0, 2, 1, 1, 0, 2, 2])


def network(fixed: int | None = None, dtype: Any = None) -> keras.Model:
    keras.utils.set_random_seed(21)
    return keras.Sequential(
        [
            layers.Input(batch_shape=(fixed, 6, 5, 2), dtype=getattr(dtype, "compute_dtype", dtype)),
            layers.Conv2D(4, 3, activation="relu", bias_initializer="ones", name="conv", dtype=dtype),
            layers.BatchNormalization(dtype=dtype),
            layers.Dropout(0.5, dtype=dtype),
            layers.Flatten(dtype=dtype),
            layers.Dense(6, "relu", bias_initializer="ones", name="dense", dtype=dtype),
            layers.Dense(3, name="end", dtype=dtype),
        ]
    )


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return network()


def traces_of(model: Any) -> set[int]:
    """The traces about a model; those of other models may go at any time."""
    entries = list(vis.engine.traces._traces._entries.values())
    return {id(trace) for trace, about in entries if any(item() is model for item in about)}


def close(found: Any, expected: Any, name: str = "", near: float = 1e-6) -> None:
    near = max(near, NEAR.get(name, 0))
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=near, atol=near * np.abs(expected).max())


every_explainer = pytest.mark.parametrize("name", EXPLAINERS)


# ---- each sample as if alone ---------------------------------------------------------------------------


@every_explainer
def test_a_batch_is_its_samples_one_by_one(model: keras.Model, name: str) -> None:
    """In any order, for any batch size, and whether or not it divides the number of samples."""
    make = EXPLAINERS[name]
    one = make(model, batch_size=1)
    alone = np.concatenate([one.explain(x[None], [y]) for x, y in zip(X, Y, strict=True)])
    assert alone.shape == (7, 6, 5, 1) and alone.dtype == np.float32
    order = np.random.default_rng(1).permutation(7)
    for batch_size in (2, 3, None):
        explainer = make(model, batch_size=batch_size)
        close(explainer.explain(X, Y), alone, name)
        close(explainer.explain(X[order], Y[order]), alone[order], name)
    close(make(model)(X, Y), alone, name)


@every_explainer
def test_no_samples(model: keras.Model, name: str) -> None:
    for batch_size in (64, None):
        found = EXPLAINERS[name](model, batch_size=batch_size).explain(X[:0], Y[:0])
        assert found.shape == (0, 6, 5, 1) and found.dtype == np.float32


@every_explainer
def test_a_model_of_a_fixed_batch_size(model: keras.Model, name: str) -> None:
    fixed = network(4)
    fixed.set_weights(model.get_weights())
    expected = EXPLAINERS[name](model).explain(X, Y)
    for batch_size in (64, None):
        close(EXPLAINERS[name](fixed, batch_size=batch_size).explain(X, Y), expected, name, 1e-5)


def test_the_predicted_class_of_a_model_of_a_fixed_batch_size(model: keras.Model) -> None:
    fixed = network(4)
    fixed.set_weights(model.get_weights())
    close(Saliency(fixed).explain(X), Saliency(model).explain(X), near=1e-5)


def test_the_predicted_class() -> None:
    model, x = network(), 100 * (X - X.mean())
    # The same on every backend, and with predictions that differ.
    model.set_weights(
        [
            np.ones(variable.shape) if "variance" in variable.path else random(*variable.shape, seed=seed)
            for seed, variable in enumerate(model.weights, 7)
        ]
    )
    best = np.asarray(model(x)).argmax(axis=1)
    assert len(set(best)) > 1
    assert np.array_equal(Saliency(model).explain(x), Saliency(model).explain(x, best))


# ---- the model -----------------------------------------------------------------------------------------


@every_explainer
def test_the_model_is_untouched(name: str, untouched: Any) -> None:
    model = network()
    model(X)
    weights = model.get_weights()
    check = untouched(model)
    EXPLAINERS[name](model).explain(X, Y)
    EXPLAINERS[name](model, output_layer="dense").explain(X, 1) if "smooth " not in name else None
    check()
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))


@every_explainer
def test_training_changes_the_next_map(name: str) -> None:
    model = network()
    explainer = EXPLAINERS[name](model)
    before = explainer.explain(X, Y)
    for variable in model.trainable_variables:
        variable.assign(1.1 * variable + 0.02)
    after = explainer.explain(X, Y)
    assert np.abs(after - before).max() > 1e-3 * np.abs(before).max()
    assert np.array_equal(after, EXPLAINERS[name](model).explain(X, Y))


def test_a_fit_changes_the_next_map() -> None:
    model = network()
    explainer = Saliency(model)
    before = explainer.explain(X, Y)
    model.compile("sgd", "mse")
    model.fit(X, random(7, 3, seed=9), epochs=2, verbose=0)
    assert np.abs(explainer.explain(X, Y) - before).max() > 1e-3 * np.abs(before).max()


def test_a_changed_activation_is_seen() -> None:
    model = network()
    explainer = Saliency(model)
    before = explainer.explain(X, Y)
    model.get_layer("dense").activation = keras.activations.tanh
    assert np.abs(explainer.explain(X, Y) - before).max() > 1e-3


@every_explainer
def test_one_trace_for_many_calls(name: str) -> None:
    model = network()
    explainer = EXPLAINERS[name](model, batch_size=4)
    explainer.explain(X, Y)
    explainer.explain(X)
    held = traces_of(model)
    assert held
    for count in (1, 2, 5, 7):
        explainer.explain(X[:count], Y[:count])
        explainer.explain(X[:count].astype(np.float64), np.eye(3)[Y[:count]])
        explainer.explain(X[:count], int(Y[count - 1]))
        explainer.explain(iter(X[:count]))
    EXPLAINERS[name](model, batch_size=2).explain(X, Y)
    assert traces_of(model) == held


def test_models_that_are_deleted_are_gone() -> None:
    kept: dict[str, list[Any]] = {}
    for name in EXPLAINERS:
        model = network()
        explainer = EXPLAINERS[name](model)
        explainer.explain(X, Y)
        explainer.explain(X[:2])
        entries = list(vis.engine.traces._traces._entries.values())
        traces = [weakref.ref(trace) for trace, about in entries if about[0]() is model]
        assert len(traces) > 1
        kept[name] = [weakref.ref(model), weakref.ref(model.layers[0].kernel), *traces]
    del model, explainer, entries
    gc.collect()
    assert not [name for name, references in kept.items() if any(item() is not None for item in references)]


def test_an_explainer_keeps_its_model() -> None:
    explainer = Saliency(network())
    gc.collect()
    assert explainer.explain(X, Y).any()


def test_two_threads(model: keras.Model) -> None:
    names = ["saliency", "guided", "cam", "integrated"]
    explainers = [EXPLAINERS[name](model, batch_size=3) for name in names]
    expected = [explainer.explain(X, Y) for explainer in explainers]
    other = network()
    found: dict[int, list[Any]] = {}

    def work(number: int) -> None:
        own = [EXPLAINERS[name](other, batch_size=3) for name in names]
        maps = []
        for _ in range(4):
            maps.append([explainer.explain(X, Y) for explainer in explainers])
            maps.append([explainer.explain(X, Y) for explainer in own])
        found[number] = maps

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for maps in found.values():
        for round_ in maps:
            for part, wanted in zip(round_, expected, strict=True):
                close(part, wanted)


def test_two_explainers_in_turn(model: keras.Model) -> None:
    plain, excited = Saliency(model, grad_modifier=None), GuidedBackprop(model, reducer="max")
    first, second = plain.explain(X, Y), excited.explain(X, Y)
    assert np.abs(first - second).max() > 1e-3
    for _ in range(2):
        assert np.array_equal(plain.explain(X, Y), first)
        assert np.array_equal(excited.explain(X, Y), second)


class Subclassed(keras.Model):
    def __init__(self, sequence: keras.Model) -> None:
        super().__init__()
        self.steps = list(sequence.layers)

    def call(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x


@every_explainer
def test_a_subclassed_model(model: keras.Model, name: str) -> None:
    sub = Subclassed(model)
    sub(X)
    if "smooth cam" == name:
        made = [SmoothGrad(GradCAM(each, conv_layer="conv"), nb_samples=3) for each in (sub, model)]
    else:
        more = {"conv_layer": "conv"} if "cam" in name else {}
        made = [EXPLAINERS[name](each, **more) for each in (sub, model)]
    found, expected = (explainer.explain(X, Y) for explainer in made)
    close(found, expected, name)


def test_a_subclassed_model_takes_bytes_and_batches_of_a_stream(model: keras.Model) -> None:
    sub = Subclassed(model)
    sub(X)
    pixels = np.random.default_rng(0).integers(0, 255, (3, 6, 5, 2), np.uint8)
    close(Saliency(sub).explain(pixels, 1), Saliency(model).explain(pixels, 1))
    close(Saliency(sub).explain(iter([X[:4], X[4:]]), Y), Saliency(model).explain(X, Y))


@every_explainer
def test_a_modified_model(model: keras.Model, name: str) -> None:
    """A guided model brings its derivative along; what takes none does not mind."""
    explain = EXPLAINERS[name]
    found = explain(guided(model)).explain(X, Y)
    plain = explain(model).explain(X, Y)
    if name in WITHOUT_GRADIENT:
        close(found, plain)
    elif name in ("guided", "deconvnet"):
        assert np.array_equal(found, plain)
    else:
        assert np.abs(found - plain).max() > 1e-3 * np.abs(plain).max()
    if name in ("saliency", "cam", "layer cam", "integrated", "smooth"):
        assert np.array_equal(found, explain(model, backprop_modifier="guided").explain(X, Y))


@every_explainer
def test_half_precision(model: keras.Model, name: str) -> None:
    policy = "mixed_bfloat16" if name in ("smooth", "occlusion", "cam++") else "mixed_float16"
    half = network(dtype=keras.DTypePolicy(policy))
    half.set_weights(model.get_weights())
    found = EXPLAINERS[name](half).explain(X, Y)
    assert found.dtype == np.float32
    if name in ("saliency", "gradient input", "integrated", "smooth", "cam", "occlusion"):
        expected = EXPLAINERS[name](model).explain(X, Y)
        near = 0.02 if policy == "mixed_float16" else 0.1
        close(found, expected, near=near)


@pytest.mark.parametrize("name", [name for name in EXPLAINERS if "smooth " not in name])
@pytest.mark.in_64_bits
def test_double_precision(model: keras.Model, name: str) -> None:
    double = network(dtype="float64")
    double.set_weights(model.get_weights())
    found = EXPLAINERS[name](double).explain(X.astype(np.float64), Y)
    assert found.dtype == np.float32
    close(found, EXPLAINERS[name](model).explain(X.astype(np.float64), Y), near=2e-3)


# ---- shapes --------------------------------------------------------------------------------------------

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    ((5,), (5,)),
    ((6, 3), (6, 3)),
    ((6, 5, 3), (6, 5, 1)),
    ((6, 5, 11), (6, 5, 1)),
    ((4, 1, 2), (4, 1, 1)),
    ((3, 4, 5, 2), (3, 4, 5, 1)),
]
PLAIN = ["saliency", "gradient input", "deconvnet", "guided", "integrated", "smooth", "variance"]


@functools.cache
def of_shape(shape: tuple[int, ...]) -> keras.Model:
    keras.utils.set_random_seed(21)
    hidden = layers.Dense(8, "relu", bias_initializer="ones")
    return keras.Sequential([layers.Input(shape), layers.Flatten(), hidden, layers.Dense(2)])


@pytest.mark.parametrize(("shape", "reduced"), SHAPES, ids=str)
@pytest.mark.parametrize("name", PLAIN)
def test_shapes(shape: tuple[int, ...], reduced: tuple[int, ...], name: str) -> None:
    model = of_shape(shape)
    x, explain = random(3, *shape), EXPLAINERS[name]
    raw = explain(model, reducer=None).explain(x, 1)
    assert raw.shape == (3, *shape)
    for reducer, function in {"max": np.max, "mean": np.mean, "min": np.min, "sum": np.sum}.items():
        found = explain(model, reducer=reducer).explain(x, 1)
        assert found.shape == (3, *reduced) and found.dtype == np.float32
        expected = raw if shape == reduced else function(raw, axis=-1, keepdims=True)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_images_of_any_size() -> None:
    keras.utils.set_random_seed(21)
    model = keras.Sequential(
        [
            layers.Input((None, None, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(2),
        ]
    )
    for name in EXPLAINERS:
        explainer = EXPLAINERS[name](model)
        for size in ((6, 7), (9, 5)):
            assert explainer.explain(random(2, *size, 3), 0).shape == (2, *size, 1)


# ---- the output layer ----------------------------------------------------------------------------------


@every_explainer
def test_the_output_layer_acts(model: keras.Model, name: str) -> None:
    """Whether named by its index, its name or itself, or by the earlier name of the argument."""
    explain = EXPLAINERS[name]
    if name.startswith("smooth "):
        with pytest.raises(InputError, match="uses the settings of that explainer"):
            explain(model, output_layer=-2)
        return
    shorter = keras.Model(model.inputs, model.get_layer("dense").output)
    found = explain(model, output_layer=-2).explain(X, 4)
    close(found, explain(shorter).explain(X, 4), name)
    for form in ("dense", model.get_layer("dense"), 4, np.int64(-2)):
        assert explain(model, output_layer=form).score.layer is model.get_layer("dense")
    assert np.array_equal(explain(model, output_layer="dense").explain(X, 4), found)
    assert np.array_equal(explain(model, output_layer_index=-2).explain(X, 4), found)
    ends = explain(model).explain(X, 1)
    other = explain(model, output_layer="dense").explain(X, 1)
    # The principal direction is that of every class.
    assert (np.abs(other - ends).max() > 1e-3 * np.abs(ends).max()) == (name != "eigen cam")
    close(explain(model, output_layer=-1).explain(X, 1), ends, name)


def test_a_path_into_a_nested_model(model: keras.Model) -> None:
    entry = keras.Input((6, 5, 2))
    outer = keras.Model(entry, layers.Dense(2)(model(entry)))
    close(Saliency(outer, f"{model.name}/dense").explain(X, 4), Saliency(model, "dense").explain(X, 4))
    close(Saliency(outer, model.name).explain(X, Y), Saliency(model).explain(X, Y))
    close(Saliency(model, model).explain(X, Y), Saliency(model).explain(X, Y))


def test_a_filter_of_a_convolution(model: keras.Model) -> None:
    """A class of outputs with places is their mean over these."""
    found = Saliency(model, "conv", grad_modifier=None, reducer=None).explain(X, 2)
    mean = keras.Model(model.inputs, ops.mean(model.get_layer("conv").output, axis=(1, 2)))
    close(found, Saliency(mean, grad_modifier=None, reducer=None).explain(X, 2))


# ---- scores on the way, and explainers of one's own ----------------------------------------------------


@every_explainer
def test_explained_yields_batches_with_their_targets_and_scores(model: keras.Model, name: str) -> None:
    explainer = EXPLAINERS[name](model, batch_size=3)
    parts = list(explainer.explained(X, Y, scores=True))
    assert [len(part.maps[0]) for part in parts] == [3, 3, 1]
    whole = np.concatenate([part.maps[0] for part in parts])
    assert np.array_equal(whole, explainer.explain(X, Y))
    assert np.array_equal(np.concatenate([part.targets for part in parts]), np.eye(3)[Y])
    scores = np.concatenate([part.scores for part in parts])
    np.testing.assert_allclose(scores, np.asarray(model(X))[np.arange(7), Y], rtol=1e-4, atol=1e-5)


def test_scores_of_a_model_of_a_fixed_batch_size(model: keras.Model) -> None:
    fixed = network(4)
    fixed.set_weights(model.get_weights())
    for name in ("saliency", "integrated", "occlusion"):
        parts = list(EXPLAINERS[name](fixed, batch_size=4).explained(X, Y, scores=True))
        assert [len(part.scores) for part in parts] == [4, 3] == [len(part.targets) for part in parts]
        scores = np.concatenate([part.scores for part in parts])
        np.testing.assert_allclose(scores, np.asarray(model(X))[np.arange(7), Y], rtol=1e-4, atol=1e-5)


def test_an_explainer_of_ones_own(model: keras.Model) -> None:
    class Values(Explainer):
        def attribute(self, arrays: Any, targets: Any) -> Attribution:
            return Attribution([array * targets.sum() for array in arrays])

    explainer = Values(model, reducer="sum")
    np.testing.assert_allclose(explainer(X, 1), 7 * X.sum(axis=-1, keepdims=True), rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError):
        Explainer(model)


# ---- warnings and wrong calls --------------------------------------------------------------------------


@every_explainer
def test_a_softmax_warns_and_its_logits_do_not(name: str) -> None:
    soft = keras.Sequential([network(), layers.Softmax()])
    soft.build((None, 6, 5, 2))
    with pytest.warns(SoftmaxWarning, match=r"vis\.linear_outputs") as caught:
        EXPLAINERS[name](soft)
    assert len(caught) == 1 and caught[0].filename == __file__
    from vis import linear_outputs

    EXPLAINERS[name](linear_outputs(soft))


def test_a_softmax_at_the_output_layer_warns() -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([layers.Input((4,)), layers.Dense(3, "softmax", name="soft"), layers.Dense(2)])
    with pytest.warns(SoftmaxWarning, match="'soft'"):
        Saliency(model, "soft")
    Saliency(model)


def test_guided_where_a_relu_hides_warns() -> None:
    model = keras.Sequential(
        [
            layers.Input((4, 2)),
            layers.Lambda(native.hidden_relu),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    for explainer in (GuidedBackprop(model), DeconvNet(model), Saliency(model, backprop_modifier="guided")):
        with pytest.warns(PartialOverrideWarning):
            explainer.explain(np.ones((2, 4, 2)), 0)


@every_explainer
def test_wrong_models(name: str) -> None:
    explain = EXPLAINERS[name]
    with pytest.raises(ModelError, match=r"Expected a keras\.Model"):
        explain("model.keras")
    with pytest.raises(ModelError, match=r"is not built"):
        explain(keras.Sequential([layers.Conv2D(2, 2), layers.Flatten(), layers.Dense(2)]))


@every_explainer
def test_wrong_settings(model: keras.Model, name: str) -> None:
    explain = EXPLAINERS[name]
    for wrong in (0, -3, 2.5, "all", True):
        with pytest.raises(InputError, match=r"batch_size must be an integer >= 1\. Received: "):
            explain(model, batch_size=wrong)
    if name.startswith("smooth "):
        return
    with pytest.raises(LayerError, match=r"no layer 'dens'\. Did you mean 'dense'"):
        explain(model, output_layer="dens")
    with pytest.raises(LayerError, match=r"Layer index 9 is out of range"):
        explain(model, output_layer_index=9)
    with pytest.raises(InputError, match="output_layer and output_layer_index name the same argument"):
        explain(model, output_layer=-1, output_layer_index=-1)
