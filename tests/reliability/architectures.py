"""Random small networks: descriptions of plain values, that build a model and print as a program.

What a description asks for is cut to what fits (a kernel no larger than the image), so that every one builds.
A printed `Architecture(...)` is Python: it is a test case wherever the names of this file are imported.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st
from keras import layers, ops

DTYPE = "float64"
IMAGES = ((6, 5, 2), (4, 7, 1), (5, 3, 3))
VECTORS = ((5,), (3,))

SMOOTH = ("linear", "tanh", "sigmoid", "softplus")
FUSED = ("relu", "relu6", "leaky_relu", "elu", *SMOOTH)
ACTIVATIONS: dict[str, Callable[[], Any]] = {
    "Activation relu": lambda: layers.Activation("relu", dtype=DTYPE),
    "ReLU": lambda: layers.ReLU(dtype=DTYPE),
    "ReLU 6": lambda: layers.ReLU(max_value=6, dtype=DTYPE),
    "ReLU 3": lambda: layers.ReLU(max_value=3, dtype=DTYPE),
    "ReLU slope": lambda: layers.ReLU(negative_slope=0.1, dtype=DTYPE),
    "ReLU 6 slope": lambda: layers.ReLU(max_value=6, negative_slope=0.1, dtype=DTYPE),
    "ReLU 3 slope": lambda: layers.ReLU(max_value=3, negative_slope=0.1, dtype=DTYPE),
    "LeakyReLU": lambda: layers.LeakyReLU(0.3, dtype=DTYPE),
    "ELU": lambda: layers.ELU(dtype=DTYPE),
    "ELU half": lambda: layers.ELU(alpha=0.5, dtype=DTYPE),
    "PReLU": lambda: layers.PReLU(dtype=DTYPE),
    **{name: lambda name=name: layers.Activation(name, dtype=DTYPE) for name in SMOOTH},
}
SHARED, AS_OPERATION = "shared ReLU", "ops.relu"
SMOOTH_LAYERS = SMOOTH[1:]
BENT_LAYERS = tuple(name for name in ACTIVATIONS if name not in SMOOTH)

Size = tuple[int, ...]
MERGES = ("add", "concatenate", "multiply")


# ---- parts: what becomes one layer ------------------------------------------------------------------------

plain = dataclass(frozen=True, repr=False)


class Printed:
    """Prints as the call that makes it, without what is as by default."""

    def __repr__(self) -> str:
        pairs = [(each, getattr(self, each.name)) for each in dataclasses.fields(self)]
        said = [f"{each.name}={value!r}" for each, value in pairs if value != each.default]
        return f"{type(self).__name__}({', '.join(said)})"


@plain
class Part(Printed):
    """A part of a network; most are one layer."""

    def layer(self, shape: Size) -> Any:
        """Return the layer for an input of this shape, without its batch axis."""
        raise NotImplementedError

    def __call__(self, x: Any, built: Built) -> Any:
        return self.layer(tuple(x.shape[1:]))(x)


@plain
class Conv(Part):
    filters: int = 2
    kernel: tuple[int, int] = (2, 2)
    strides: int = 1
    padding: str = "valid"
    activation: str = "linear"
    bias: bool = True

    def layer(self, shape: Size) -> Any:
        kernel = _fitting(self.kernel, shape, self.padding)
        return layers.Conv2D(
            self.filters, kernel, self.strides, self.padding, use_bias=self.bias, activation=self.activation,
            dtype=DTYPE,
        )  # fmt: skip


@plain
class Depthwise(Part):
    multiplier: int = 1
    kernel: tuple[int, int] = (2, 2)
    strides: int = 1
    padding: str = "valid"
    activation: str = "linear"

    def layer(self, shape: Size) -> Any:
        return layers.DepthwiseConv2D(
            _fitting(self.kernel, shape, self.padding), self.strides, self.padding, self.multiplier,
            activation=self.activation, dtype=DTYPE,
        )  # fmt: skip


@plain
class Dense(Part):
    units: int = 2
    activation: str = "linear"
    bias: bool = True

    def layer(self, shape: Size) -> Any:
        return layers.Dense(self.units, self.activation, use_bias=self.bias, dtype=DTYPE)


@plain
class Pool(Part):
    kind: str = "average"
    size: tuple[int, int] = (2, 2)
    strides: int = 2
    padding: str = "valid"

    def layer(self, shape: Size) -> Any:
        kind = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[self.kind]
        return kind(_fitting(self.size, shape, self.padding), self.strides, self.padding, dtype=DTYPE)


@plain
class Pad(Part):
    rows: tuple[int, int] = (1, 1)
    columns: tuple[int, int] = (1, 1)

    def layer(self, shape: Size) -> Any:
        return layers.ZeroPadding2D((self.rows, self.columns), dtype=DTYPE)


@plain
class BatchNorm(Part):
    def layer(self, shape: Size) -> Any:
        return layers.BatchNormalization(dtype=DTYPE)


@plain
class LayerNorm(Part):
    def layer(self, shape: Size) -> Any:
        return layers.LayerNormalization(dtype=DTYPE)


@plain
class Dropout(Part):
    def layer(self, shape: Size) -> Any:
        return layers.Dropout(0.5, dtype=DTYPE)


@plain
class Flatten(Part):
    def layer(self, shape: Size) -> Any:
        return layers.Flatten(dtype=DTYPE)


@plain
class GlobalPool(Part):
    def layer(self, shape: Size) -> Any:
        return layers.GlobalAveragePooling2D(dtype=DTYPE)


@plain
class Act(Part):
    """An activation of its own: a layer, a call of the one ReLU layer of the model, or an operation."""

    kind: str = "ReLU"

    def layer(self, shape: Size) -> Any:
        return ACTIVATIONS[self.kind]()

    def __call__(self, x: Any, built: Built) -> Any:
        if self.kind == AS_OPERATION:
            return ops.relu(x)
        if self.kind == SHARED:
            return built.relu(x)
        return super().__call__(x, built)


# ---- parts that hold parts --------------------------------------------------------------------------------


@plain
class Twice(Part):
    """One convolution (of features: one dense layer) that keeps the shape, called twice, one on the other."""

    kernel: tuple[int, int] = (2, 2)
    activation: str = "relu"

    def __call__(self, x: Any, built: Built) -> Any:
        width = x.shape[-1]
        image = len(x.shape) == 4
        part = (
            Conv(width, self.kernel, 1, "same", self.activation) if image else Dense(width, self.activation)
        )
        layer = part.layer(tuple(x.shape[1:]))
        return layer(layer(x))


@plain
class Branches(Part):
    """Two ways that meet again; an empty one is a skip connection."""

    left: tuple[Part, ...] = ()
    right: tuple[Part, ...] = ()
    merge: str = "add"

    def __call__(self, x: Any, built: Built) -> Any:
        return merged(self.merge, chain(self.left, x, built), chain(self.right, x, built))


@plain
class Nested(Part):
    """A model inside; called a second time on what is normalized, if `merge` says how both meet."""

    parts: tuple[Part, ...] = ()
    sequential: bool = False
    merge: str | None = None

    def __call__(self, x: Any, built: Built) -> Any:
        inner = self.model(tuple(x.shape[1:]), built)
        if self.merge is None:
            return inner(x)
        return merged(self.merge, inner(x), inner(BatchNorm()(x, built)))

    def model(self, shape: Size, built: Built) -> keras.Model:
        entry = keras.Input(shape, dtype=DTYPE)
        if not self.sequential:
            return keras.Model(entry, chain(self.parts or (Act("linear"),), entry, built))
        model = keras.Sequential([entry])
        for part in self.parts:
            now = tuple(model.layers[-1].output.shape[1:]) if model.layers else shape
            model.add(part.model(now, built) if isinstance(part, Nested) else part.layer(now))
        return model


def chain(parts: tuple[Part, ...], x: Any, built: Built) -> Any:
    for part in parts:
        x = part(x, built)
    return x


def merged(kind: str, a: Any, b: Any) -> Any:
    """Merge two tensors: the smaller image is padded, and where channels must agree, so many are made."""
    if len(a.shape) == 4:
        size = [max(a.shape[axis], b.shape[axis]) for axis in (1, 2)]
        a, b = (_padded_to(size, each) for each in (a, b))
    if kind != "concatenate" and a.shape[-1] != b.shape[-1]:
        b = layers.Dense(a.shape[-1], dtype=DTYPE)(b)
    kinds = {"add": layers.Add, "concatenate": layers.Concatenate, "multiply": layers.Multiply}
    return kinds[kind](dtype=DTYPE)([a, b])


def _padded_to(size: list[int], x: Any) -> Any:
    missing = [(0, wanted - now) for wanted, now in zip(size, x.shape[1:3], strict=True)]
    return Pad(*missing).layer(())(x) if any(after for _, after in missing) else x


def _fitting(size: tuple[int, int], shape: Size, padding: str) -> tuple[int, int]:
    if padding == "same":
        return size
    return min(size[0], shape[0]), min(size[1], shape[1])


# ---- whole networks ---------------------------------------------------------------------------------------


@plain
class Head(Printed):
    """An output: what leads to it, and its layer, dense for features, a convolution or dense for images.

    It stands behind the whole body, or, if `early`, beside it: on the first input as it enters the body.
    """

    parts: tuple[Part, ...] = (Flatten(),)
    layer: Part = Dense(2)
    early: bool = False


@dataclass
class Built:
    """What all of one model shares."""

    relu: Any


@plain
class Architecture(Printed):
    """A network: one or two inputs, the parts on each, how they meet, the body, and one or two outputs."""

    shapes: tuple[Size, ...] = ((5,),)
    entries: tuple[tuple[Part, ...], ...] = ((),)
    merge: str = "add"
    body: tuple[Part, ...] = ()
    heads: tuple[Head, ...] = (Head(()),)
    seed: int = 0

    def build(self) -> keras.Model:
        """Return the model, in float64, with random weights; its output layers are named out0 and out1."""
        built = Built(layers.ReLU(dtype=DTYPE))
        inputs = [keras.Input(shape, dtype=DTYPE) for shape in self.shapes]
        entered = [chain(parts, x, built) for parts, x in zip(self.entries, inputs, strict=True)]
        x = entered[0] if len(entered) == 1 else merged(self.merge, *entered)
        x = chain(self.body, x, built)
        outputs = []
        for number, head in enumerate(self.heads):
            below = chain(head.parts, entered[0] if head.early else x, built)
            layer = head.layer.layer(tuple(below.shape[1:]))
            layer.name = f"out{number}"
            outputs.append(layer(below))
        model = keras.Model(_one_or_all(inputs), _one_or_all(outputs))
        rng = np.random.default_rng(self.seed)
        for variable in model.variables:
            if "float" in str(variable.dtype):
                variable.assign(_weight(variable, rng))
        return model

    def inputs(self, count: int) -> list[npt.NDArray[np.float64]]:
        """Return random samples, an array per input."""
        rng = np.random.default_rng(self.seed + 1)
        return [rng.normal(size=(count, *shape)) for shape in self.shapes]

    def uses(self, kind: type, **options: Any) -> bool:
        """Tell whether a part of this kind is anywhere in it, with these options if any are given."""
        return any(
            isinstance(part, kind) and all(getattr(part, name) == value for name, value in options.items())
            for part in _parts(self)
        )


def _one_or_all(several: list[Any]) -> Any:
    return several[0] if len(several) == 1 else several


def _parts(node: Any) -> Iterator[Any]:
    if dataclasses.is_dataclass(node):
        yield node
        node = tuple(getattr(node, each.name) for each in dataclasses.fields(node))
    if isinstance(node, tuple):
        for item in node:
            yield from _parts(item)


def _weight(variable: Any, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return random values such that neither the values nor the gradients grow or vanish on the way."""
    shape = tuple(variable.shape)
    match variable.name:
        case "kernel":
            return rng.normal(size=shape) * (2 / max(np.prod(shape[:-1]), 1)) ** 0.5
        case "gamma":
            return rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1, 1], shape)
        case "moving_variance":
            return rng.uniform(0.5, 2, shape)
        case "alpha":
            return rng.uniform(-0.5, 0.5, shape)
    return rng.normal(size=shape) * 0.3


# ---- strategies -------------------------------------------------------------------------------------------

_SIDES = st.integers(1, 3)
_KERNELS = st.tuples(_SIDES, _SIDES)
_PADDINGS = st.sampled_from(("valid", "same"))
_PADS = st.sampled_from(((0, 0), (0, 1), (1, 1), (2, 0)))
_MERGE = st.sampled_from(MERGES)


def _single(image: bool, smooth: bool) -> list[st.SearchStrategy[Part]]:
    """Return strategies of parts that are one layer."""
    fused = st.sampled_from(SMOOTH if smooth else FUSED)
    alone = st.sampled_from(SMOOTH_LAYERS if smooth else (*BENT_LAYERS, *SMOOTH_LAYERS))
    found: list[st.SearchStrategy[Part]] = [
        st.builds(Dense, units=st.integers(1, 4), activation=fused, bias=st.booleans()),
        st.builds(Act, alone),
        st.just(BatchNorm()),
        st.just(LayerNorm()),
        st.just(Dropout()),
    ]
    if image:
        options = {"kernel": _KERNELS, "strides": st.integers(1, 2), "padding": _PADDINGS}
        kinds = ("average",) if smooth else ("max", "average")
        conv = st.builds(Conv, filters=st.integers(1, 3), activation=fused, bias=st.booleans(), **options)
        found = [
            conv,
            conv,
            st.builds(Depthwise, multiplier=st.integers(1, 2), activation=fused, **options),
            st.builds(Pool, st.sampled_from(kinds), st.tuples(_SIDES, _SIDES), st.integers(1, 2), _PADDINGS),
            st.builds(Pad, _PADS, _PADS),
            *found,
        ]
    return found


def _pairs(image: bool, smooth: bool) -> st.SearchStrategy[tuple[Part, ...]]:
    """Return a strategy of two layers that can be folded into one."""
    fused = st.sampled_from(SMOOTH if smooth else FUSED)
    dense = st.builds(Dense, units=st.integers(1, 4), bias=st.booleans())
    if not image:
        return st.tuples(dense, st.just(BatchNorm()))
    conv = st.builds(Conv, filters=st.integers(1, 3), kernel=_KERNELS, padding=_PADDINGS, bias=st.booleans())
    depthwise = st.builds(Depthwise, multiplier=st.integers(1, 2), kernel=_KERNELS)
    same = st.sampled_from(((Pad(), (3, 3)), (Pad((0, 1), (1, 1)), (2, 3)), (Pad((0, 0), (0, 1)), (1, 2))))
    padded = st.builds(lambda pair, act: (pair[0], Conv(2, pair[1], activation=act)), same, fused)
    return st.one_of(st.tuples(st.one_of(conv, depthwise, dense), st.just(BatchNorm())), padded)


def _chains(image: bool, smooth: bool, depth: int, most: int = 3) -> st.SearchStrategy[tuple[Part, ...]]:
    """Return a strategy of parts that keep the number of axes."""
    single = _single(image, smooth)
    one: list[st.SearchStrategy[Part]] = [*single, *single]
    if not smooth:
        one.append(st.sampled_from((Act(SHARED), Act(AS_OPERATION))))
    one.append(st.builds(Twice, _KERNELS, st.sampled_from(SMOOTH if smooth else FUSED)))
    if depth:
        inside = _chains(image, smooth, depth - 1, 2)
        branches = st.builds(Branches, left=st.one_of(st.just(()), inside), right=inside, merge=_MERGE)
        one += [
            branches,
            branches,
            branches,
            st.builds(Nested, inside, st.just(False), st.one_of(st.none(), _MERGE)),
            st.builds(Nested, _plain(image, smooth, depth - 1), st.just(True), st.one_of(st.none(), _MERGE)),
        ]
    links = st.one_of(*(part.map(lambda part: (part,)) for part in one), _pairs(image, smooth))
    return st.lists(links, max_size=most).map(lambda found: tuple(part for link in found for part in link))


def _plain(image: bool, smooth: bool, depth: int) -> st.SearchStrategy[tuple[Part, ...]]:
    """Return a strategy of what a sequential model holds: layers, and sequential models."""
    one = _single(image, smooth)
    if depth:
        one.append(st.builds(Nested, _plain(image, smooth, depth - 1), st.just(True)))
    return st.lists(st.one_of(*one), min_size=1, max_size=3).map(tuple)


@st.composite
def architectures(draw: Any) -> Architecture:
    """Draw a network. One of four has no activation that bends, and no maximum."""
    smooth = draw(st.sampled_from((False, False, False, True)))
    count = draw(st.sampled_from((1, 1, 2)))
    shapes = tuple(draw(st.sampled_from((*IMAGES, *VECTORS))) for _ in range(count))
    all_images = all(len(shape) == 3 for shape in shapes)
    # Inputs of two kinds meet as features.
    image = all_images and draw(st.sampled_from((True, True, False)))
    leave = st.sampled_from(((Flatten(),), (GlobalPool(),)))
    entries = []
    for shape in shapes:
        is_image = len(shape) == 3
        parts = draw(_chains(is_image, smooth, 1, 2)) if count == 2 or not image else ()
        entries.append(parts + (draw(leave) if is_image and not image else ()))
    body = draw(_chains(image, smooth, 2, 5))
    units, activations = (
        st.integers(1, 3),
        st.sampled_from(SMOOTH if smooth else ("linear", "linear", *FUSED)),
    )
    heads = []
    for number in range(draw(st.sampled_from((1, 1, 2)))):
        as_image = image and draw(st.sampled_from((False, False, True)))
        if as_image:
            layer = draw(
                st.one_of(
                    st.builds(Conv, units, _KERNELS, activation=activations),
                    st.builds(Dense, units, activations),
                )
            )
            parts = ()
        else:
            parts = draw(leave) if image else ()
            parts += draw(_chains(False, smooth, 1, 2))
            layer = draw(st.builds(Dense, units, activations))
        heads.append(Head(parts, layer, number == 1 and draw(st.booleans())))
    return Architecture(shapes, tuple(entries), draw(_MERGE), body, tuple(heads), draw(st.integers(0, 2**16)))
