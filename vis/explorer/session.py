"""What the page shows of one model: its layers, its pictures, their maps, and the Python that makes them."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import io
import tempfile
import threading
import time
import typing
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from PIL import Image

from vis import attributions, describe, frameworks, methods, models, plotting
from vis.errors import InputError, LayerError, VisError, VisWarning, did_you_mean
from vis.explorer.pictures import Strip
from vis.plotting.colors import Look, one_map
from vis.question import Question
from vis.reports import report

# As in every figure of the library: where the colours of a map end.
CLIP = 1
# Maps that are kept, and explainers.
_MOST_RESULTS, _MOST_EXPLAINERS = 256, 32
# Pictures of a report.
_MOST_REPORTED = 200
# Its map does not lie over the picture.
_LEFT_OUT = ("wrt",)


@dataclass(frozen=True)
class Setting:
    """What is asked: a method with its options, for a target of a layer, on a picture.

    Args:
        picture: its number in the strip.
        method: one of `vis.methods.METHODS`.
        layer: its number in the list of layers; None for the model's output.
        target: a class or filter; None for the predicted one.
        options: the texts of the options that are not the method's own defaults, by name.
    """

    picture: int
    method: str = "saliency"
    layer: int | None = None
    target: int | None = None
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, given: Any) -> Setting:
        """Return the setting that a page sends.

        Raises:
            InputError: if it is not one.
        """
        known = ("picture", "method", "layer", "target", "options")
        if not isinstance(given, dict) or not set(given) <= set(known):
            raise InputError(f"A setting has the parts {', '.join(known)}. Received: {str(given)[:200]}.")
        picture, layer, target = (given.get(name) for name in ("picture", "layer", "target"))
        method, options = given.get("method", "saliency"), given.get("options", {})
        whole = [each for each in (picture, layer, target) if each is not None]
        if picture is None or any(isinstance(each, bool) or not isinstance(each, int) for each in whole):
            raise InputError("picture, layer and target must be whole numbers. Received others.")
        if not isinstance(method, str) or method not in methods.METHODS:
            raise InputError(
                f"Unknown method: {str(method)[:50]!r}.{did_you_mean(str(method)[:50], methods.METHODS)}"
            )
        if not isinstance(options, dict) or not all(isinstance(each, str) for each in options.values()):
            raise InputError("options must be texts by their names. Received others.")
        takes = methods.METHODS[method].options
        for name in options:
            if name not in takes or name in _LEFT_OUT:
                raise InputError(
                    f"{method} does not take {name[:50]!r} here. Take one of {', '.join(takes)}."
                )
        return cls(picture, method, layer, target, tuple(sorted(options.items())))


@dataclass(frozen=True)
class Result:
    """A map as it is shown.

    Args:
        map: the map, `(height, width)`.
        picture: the map in colours, as a PNG file.
        over: the same with its opacity, which grows with the value, as in `vis.plotting.overlay_map`.
        bar: the colours from the lowest to the highest, as a PNG file.
        low, high: the values at the ends of the colours.
        signed: whether zero is in the middle.
        cut: whether values lie beyond the ends.
        warnings: what the library has warned of.
        seconds: how long it took.
    """

    map: npt.NDArray[np.float32] = field(repr=False)
    picture: bytes = field(repr=False)
    over: bytes = field(repr=False)
    bar: bytes = field(repr=False)
    low: float
    high: float
    signed: bool
    cut: bool
    warnings: tuple[str, ...]
    seconds: float

    def told(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "picture": base64.b64encode(self.picture).decode(),
            "over": base64.b64encode(self.over).decode(),
            "bar": base64.b64encode(self.bar).decode(),
            "size": list(self.map.shape),
            "low": self.low,
            "high": self.high,
            "signed": self.signed,
            "cut": self.cut,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }


class Session:
    """A model with pictures, which answers one request after another.

    Args:
        model: a model file or a model.
        images: see `vis.explorer.pictures.Strip`.
        opened: the lines of Python that define `model`, and `images` if those are arrays; None for those of a
            file.
        **options: of `vis.question.Question`.

    Raises:
        VisError: if the model cannot be loaded, or does not take pictures.
    """

    def __init__(
        self,
        model: Path | keras.Model,
        images: Any = None,
        opened: tuple[str, ...] | None = None,
        **options: Any,
    ) -> None:
        self.question = Question(model, **options)
        self.model: Any = self.question.whole
        self.logits = self.question.explained
        self.pictures = Strip(self.question, images)
        self.layers = layers_of(self.model)
        if opened is None:
            path = str(Path(str(model)).resolve())
            unsafe = "" if options.get("safe_mode", True) else ", safe_mode=False"
            opened = (f"model = files.load_model({path!r}{unsafe})",)
        self._opened = opened
        self._computing = threading.Lock()
        self._results: OrderedDict[Setting, Result] = OrderedDict()
        self._explainers: OrderedDict[Any, Any] = OrderedDict()
        self._predictions: dict[int, dict[str, Any]] = {}

    def told(self) -> dict[str, Any]:
        """Return in plain values what the page is built of."""
        backend = keras.config.backend()
        return {
            "name": self.model.name,
            "backend": frameworks.NAMES.get(backend, backend),
            "compiles": backend != "torch",
            "layers": self.layers,
            "pictures": self.pictures.names(),
            "found": max(self.pictures.found, len(self.pictures)),
            "methods": [
                {"name": name, "explainer": method.explainer, "options": forms(name)}
                for name, method in methods.METHODS.items()
            ],
            "unreached": self._unreached(),
            "report": None
            if importlib.util.find_spec("zarr")
            else 'Needs zarr: pip install "keras-vis3[zarr]".',
        }

    def _unreached(self) -> str | None:
        """Return why guided and rectified change nothing here; None if they do, or it is not known."""
        if {layer["guided"] for layer in self.layers} <= {"-", "no"}:
            return "The model has no activation that guided or rectified backpropagation changes."
        return None

    def explain(self, setting: Setting) -> Result:
        """Return the map of a setting, as `Explainer.explain` computes it.

        Raises:
            VisError: as the explainer.
        """
        with self._computing:
            if setting in self._results:
                self._results.move_to_end(setting)
                return self._results[setting]
            began = time.monotonic()
            explainer, said = self._explainer(setting)
            image = self.pictures.input_of(setting.picture)
            with warned() as more:
                maps = np.asarray(explainer.explain(image[None], setting.target))
            result = drawn(maps[0], tuple(dict.fromkeys([*said, *more])), time.monotonic() - began)
            self._results[setting] = result
            if len(self._results) > _MOST_RESULTS:
                self._results.popitem(last=False)
            return result

    def predict(self, picture: int) -> dict[str, Any]:
        """Return the five largest outputs of the model for a picture, in the mean over positions."""
        with self._computing:
            if picture not in self._predictions:
                image = np.asarray(self.pictures.input_of(picture), np.float32)
                found = keras.tree.flatten(self.model(image[None], training=False))[0]
                output = np.asarray(keras.ops.convert_to_numpy(found), np.float64)[0]
                values = output.reshape(-1, output.shape[-1]).mean(axis=0) if output.ndim else output[None]
                best = np.argsort(-values, kind="stable")[:5]
                self._predictions[picture] = {
                    "best": [{"target": int(each), "value": float(values[each])} for each in best],
                    "count": len(values),
                }
            return self._predictions[picture]

    def script(self, setting: Setting) -> str:
        """Return a program that makes the picture of a map, `map.png`, as the page shows it."""
        layer = self._path(setting)
        kind = methods.METHODS[setting.method].explainer
        subject = self._subject(layer)
        options = {} if layer is None else {"output_layer": layer}
        options |= self._options(setting)
        given = "".join(f", {name}={value!r}" for name, value in options.items())
        target = "" if setting.target is None else f", {setting.target}"
        picture = self.pictures[setting.picture]
        lines = [
            f'"""A map of {picture.name} by {setting.method}."""'.replace("\\", "/"),
            "",
            "import os",
            "",
            f'os.environ.setdefault("KERAS_BACKEND", {keras.config.backend()!r})',
            "",
            "from PIL import Image",
            "",
            "import vis",
            "from vis import attributions, files, plotting",
            "",
            *self._opened,
            *(
                ["logits = vis.linear_outputs(model)  # the model before its softmax"]
                if subject == "logits"
                else []
            ),
            *picture.code,
            f"explainer = attributions.{kind}({subject}{given})",
            f"maps = explainer.explain(image[None]{target})",
            f'Image.fromarray(plotting.colorize(maps[0], clip_percentile={CLIP})).save("map.png")',
        ]
        return "\n".join(lines) + "\n"

    def report(self, setting: Setting) -> bytes:
        """Return the HTML file of `vis.report` with the maps of all pictures by a setting's method.

        Raises:
            InputError: if there are too many pictures, or they differ in size.
        """
        numbers = range(len(self.pictures))
        if len(numbers) > _MOST_REPORTED:
            raise InputError(
                f"A report from this page has at most {_MOST_REPORTED} pictures. Received: {len(numbers)}. "
                "Use `vis explain` and `vis report`."
            )
        with self._computing, tempfile.TemporaryDirectory(prefix="vis-explore-") as folder:
            inputs = [self.pictures.input_of(number) for number in numbers]
            if len({array.shape for array in inputs}) > 1:
                raise InputError("A report needs pictures of one size. Received: several sizes.")
            run, page = Path(folder) / "maps.zarr", Path(folder) / "report.html"
            with warned():  # the page has shown them
                explainer, _ = self._explainer(setting)
                explainer.write(np.stack(inputs), run, setting.target, progress=False)
                images = [self.pictures.shown(number) for number in numbers]
                report(run, page, images=np.stack(images), names=self.pictures.names(), progress=False)
            return page.read_bytes()

    def _path(self, setting: Setting) -> str | None:
        if setting.layer is None:
            return None
        if not 0 <= setting.layer < len(self.layers):
            raise LayerError(
                f"There are {len(self.layers)} layers, numbered from 0. Received: number {setting.layer}. "
                "Choose one of the list."
            )
        return str(self.layers[setting.layer]["path"])

    def _subject(self, path: str | None) -> str:
        """Return which model has a layer: the one before its softmax, or the whole one."""
        if self.logits is self.model:
            return "model"
        try:
            if path is not None:
                models.find_layer(self.logits, path)
        except LayerError:
            return "model"
        return "logits"

    def _options(self, setting: Setting) -> dict[str, Any]:
        """Return the arguments of an explainer.

        Raises:
            InputError: for a text that is not such a value.
        """
        arguments = methods.parameters(getattr(attributions, methods.METHODS[setting.method].explainer))
        found: dict[str, Any] = {}
        for name, text in setting.options:
            try:
                found[name] = methods.value(text, arguments[name].annotation)
            except ValueError as error:
                raise InputError(f"{name} must be {error}. Received: {text[:100]!r}.") from error
        return found

    def _explainer(self, setting: Setting) -> tuple[Any, list[str]]:
        """Return an explainer, and what the library has warned of when it was made."""
        key = (setting.method, setting.layer, setting.options)
        if key not in self._explainers:
            path = self._path(setting)
            kind = getattr(attributions, methods.METHODS[setting.method].explainer)
            subject = self.logits if self._subject(path) == "logits" else self.model
            with warned() as said:
                explainer = kind(subject, output_layer=path, **self._options(setting))
            self._explainers[key] = explainer, said
            if len(self._explainers) > _MOST_EXPLAINERS:
                self._explainers.popitem(last=False)
        self._explainers.move_to_end(key)
        found: tuple[Any, list[str]] = self._explainers[key]
        return found


@contextlib.contextmanager
def warned() -> Iterator[list[str]]:
    """Give a list for what the library warns of; other warnings are shown as before."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", VisWarning)
        yield said
    for each in caught:
        if issubclass(each.category, VisWarning):
            said.append(str(each.message))
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def layers_of(model: keras.Model) -> list[dict[str, str]]:
    """Return the rows of `vis layers`: index, path, type, shape, filters, activation, guided."""
    return [dict(zip(describe.COLUMNS, row, strict=True)) for row in describe.layer_cells(model)]


def forms(method: str) -> list[dict[str, Any]]:
    """Return what the page asks for each option of a method: its name, kind, choices and default."""
    arguments = methods.parameters(getattr(attributions, methods.METHODS[method].explainer))
    found = []
    for name in methods.METHODS[method].options:
        if name in _LEFT_OUT:
            continue
        kinds = methods.kinds_of(arguments[name].annotation)
        default = arguments[name].default
        choices = list(dict.fromkeys(_choices(arguments[name].annotation)))
        if choices and (type(None) in kinds or default is None):
            choices = ["none", *choices]
        kind = "choice" if choices else "text"
        if not choices and kinds == {bool}:
            kind = "flag"
        elif not choices and kinds <= {int, float, type(None)}:
            kind = "number"
        if default is ...:  # it follows from other arguments
            text, choices = "", ["", *choices]
        else:
            text = str(default).lower() if default is None or isinstance(default, bool) else str(default)
        found.append({"name": name, "kind": kind, "choices": choices, "default": text})
    return found


def _choices(asked: Any) -> list[str]:
    """Return the names that an annotation lists."""
    if typing.get_origin(asked) is typing.Literal:
        return [str(each) for each in typing.get_args(asked)]
    return [name for part in typing.get_args(asked) for name in _choices(part)]


def drawn(values: npt.ArrayLike, said: tuple[str, ...], seconds: float) -> Result:
    """Return a map in colours, with the scale of them.

    Raises:
        InputError: if it is not one map of finite values.
    """
    array = one_map(values)
    scale = Look(clip_percentile=CLIP).scale(array)
    low = -scale.high if scale.signed else scale.low
    steps = np.linspace(low, scale.high, 256)[None]
    colors = plotting.colorize(values, clip_percentile=CLIP)
    opacity = np.rint(255 * scale.share(array)).astype(np.uint8)
    bar = plotting.colorize(steps, signed=scale.signed)
    return Result(
        np.asarray(array, np.float32),
        png(colors),
        png(np.concatenate([colors, opacity[..., None]], axis=-1)),
        png(bar),
        low,
        scale.high,
        scale.signed,
        bool(scale.cut),
        said,
        seconds,
    )


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def told(error: BaseException) -> str:
    """Return an error as a text for the page."""
    if isinstance(error, VisError):
        return str(error)
    return f"The model could not be run: {type(error).__name__}: {error}"


def demo() -> tuple[keras.Model, npt.NDArray[Any], tuple[str, ...]]:
    """Return the demo's network, some of its pictures, and the lines of Python that define both."""
    from vis.demo.network import load_network
    from vis.demo.scenes import make_scenes

    opened: Mapping[str, str] = {
        "from vis.demo.network import load_network": "model = load_network()",
        "from vis.demo.scenes import make_scenes": 'images = make_scenes(12, "test", 1).images',
    }
    return load_network(), make_scenes(12, "test", 1).images, (*opened, *opened.values())
