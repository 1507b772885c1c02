"""What the page shows of one model: its layers, its samples, their maps, and the Python that makes them."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import tempfile
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt

from vis import describe, files, frameworks, methods, models, plotting
from vis.engine import Differentiation, Output, Source
from vis.errors import InputError, LayerError, ModelError, VisError, VisWarning
from vis.explorer import beside
from vis.explorer.beside import Beside
from vis.explorer.samples import Strip
from vis.explorer.scripts import Asked, Shown, script
from vis.explorer.settings import Setting, forms, needs_gradient
from vis.explorer.slots import Array, Drawn, Slot, drawn, in_colours, png, slots_of
from vis.question import PictureInput
from vis.reports import read_labels, report

T = TypeVar("T")
# Maps that are kept, and explainers.
_MOST_RESULTS, _MOST_EXPLAINERS = 256, 32
# Pictures of a report, and filters in a grid.
_MOST_REPORTED, _MOST_FILTERS = 200, 512
# Of a filter in the grid.
_TILE = 48
# Rules whose maps often depend on the picture alone.
_DOUBTED = ("guided", "rectified")


@dataclass(frozen=True)
class Result:
    """The maps of a setting.

    Args:
        maps: one for each input, or one of the layer `wrt`.
        doubted: whether its rule is one whose maps often depend on the picture alone.
        warnings: what the library has warned of.
        seconds: how long it took.
    """

    maps: tuple[Drawn, ...]
    doubted: bool
    warnings: tuple[str, ...]
    seconds: float

    def told(self) -> dict[str, Any]:
        """Return it in plain values."""
        return {
            "maps": [each.told() for each in self.maps],
            "doubted": self.doubted,
            "warnings": list(self.warnings),
            "seconds": self.seconds,
        }


class Session:
    """A model with samples, which answers one request after another.

    Args:
        model: a model file or a model.
        images: see `vis.explorer.samples.Strip`.
        opened: the lines of Python that define `model`, and `images` if those are arrays; None for those of a
            file.
        labels: the names of the classes, see `vis.report`.
        words: the words by their number, in the same forms, for inputs that are words.
        features: the names of the features of a table.
        safe_mode: see `vis.files.load_model`.
        **options: of `vis.question.PictureInput`.

    Raises:
        VisError: if the model cannot be loaded, or its inputs cannot be drawn.
    """

    def __init__(
        self,
        model: Path | keras.Model,
        images: Any = None,
        opened: tuple[str, ...] | None = None,
        *,
        labels: Any = None,
        words: Any = None,
        features: Sequence[str] | None = None,
        safe_mode: bool = True,
        **options: Any,
    ) -> None:
        self.model = model if isinstance(model, keras.Model) else files.load_model(model, safe_mode)
        if not models.input_tensors(self.model):
            raise ModelError(
                f"The explorer needs a functional or sequential model. Received: {self.model.name!r}, which "
                "is subclassed or not built. Wrap it: x = keras.Input(shape); keras.Model(x, model(x))."
            )
        self.logits = models.linear_outputs(self.model)
        self.slots = slots_of(self.model, None if words is None else read_labels(words), features)
        self._ranges = {
            number: PictureInput(self.model, (*slot.shape, 1)[:3], number=number, **options)
            for number, slot in enumerate(self.slots)
            if _from_files(slot, models.input_tensors(self.model)[number])
        }
        self.samples = Strip(self.model, self.slots, self._ranges, images)
        self.layers = layers_of(self.model)
        self.outputs = self._outputs()
        self.labels = None if labels is None else read_labels(labels)
        if opened is None:
            path = str(Path(str(model)).resolve())
            opened = (f"model = files.load_model({path!r}{'' if safe_mode else ', safe_mode=False'})",)
        self._opened = opened
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._explainers: OrderedDict[Any, Any] = OrderedDict()

    def told(self) -> dict[str, Any]:
        """Return in plain values what the page is built of."""
        backend = keras.config.backend()
        words = self._words_layer()
        return {
            "name": self.model.name,
            "backend": frameworks.NAMES.get(backend, backend),
            "compiles": backend != "torch",
            "layers": self.layers,
            "outputs": self.outputs,
            "slots": [slot.told() for slot in self.slots],
            "samples": self.samples.names(),
            "found": max(self.samples.found, len(self.samples)),
            "methods": [
                {"name": name, "explainer": method.explainer, "options": forms(name, words)}
                for name, method in methods.METHODS.items()
            ],
            "labels": self.labels,
            "takes_pictures": bool(self._ranges),
            "unfit": {
                "report": self._no_report(),
                "maximize": self._no_picture(),
                **dict.fromkeys(("sanity", "measures"), self._several()),
            },
        }

    def _outputs(self) -> list[int | None]:
        """Return for each output the number of its layer; None for the only one."""
        if len(self.model.outputs) == 1:
            return [None]
        paths = [row["path"] for row in self.layers]
        names = [tensor._keras_history.operation.name for tensor in self.model.outputs]
        return [paths.index(name) for name in names if name in paths]

    def _words_layer(self) -> str | None:
        """Return the layer that maps are made by if no input has a gradient."""
        layers = [slot.layer for slot in self.slots]
        return layers[0] if len(layers) == 1 else None

    def _no_report(self) -> str | None:
        if not importlib.util.find_spec("zarr"):
            return 'Save report needs zarr: pip install "keras-vis3[zarr]".'
        return self._no_picture()

    def _several(self) -> str | None:
        return None if len(self.slots) == 1 else "Needs one input."

    def _no_picture(self) -> str | None:
        """Return why what is made of pictures alone cannot be made."""
        if [slot.kind for slot in self.slots] == ["picture"] and self.slots[0].layer is None:
            return None
        return "Needs one picture as the input."

    # ---- what is computed

    def explain(self, setting: Setting) -> Result:
        """Return the maps of a setting, as `Explainer.explain` computes them.

        Raises:
            VisError: as the explainer.
        """

        def make() -> Result:
            began = time.monotonic()
            asked = self._asked(setting)
            explainer, said = self._explainer(asked)
            sample = self.samples[setting.picture].read()
            with warned() as more:
                found = explainer.explain(self._packed(sample), setting.target)
            maps = [np.asarray(each)[0] for each in keras.tree.flatten(found)]
            pairs = self._pairs(asked, sample)
            result = tuple(
                self._drawn(asked, shown, values) for shown, values in zip(pairs, maps, strict=True)
            )
            rule = (explainer.settings().get("backprop_modifier") or " ").split(" ")[0]
            warnings = tuple(dict.fromkeys([*said, *more]))
            return Result(result, rule in _DOUBTED, warnings, time.monotonic() - began)

        return self._once(("map", setting), make)

    def _drawn(self, asked: Asked, shown: Shown, values: Array) -> Drawn:
        slot = shown.slot
        if not shown.value.size:
            return in_colours(slot.name, values, laid=False)
        if slot.layer is not None and "wrt" not in asked.options and needs_gradient(asked.setting.method):
            text = f"{slot.name} has no gradient. To see its map, set wrt to {slot.layer} in the options."
            return Drawn(slot.name, values, text=text)
        return drawn(slot, shown.value, values)

    def predict(self, number: int) -> list[dict[str, Any]]:
        """Return the five largest values of each output for a sample, in the mean over positions."""

        def make() -> list[dict[str, Any]]:
            found = self.model(self._packed(self.samples[number].read()), training=False)
            outputs = [np.asarray(keras.ops.convert_to_numpy(each))[0] for each in keras.tree.flatten(found)]
            return [
                self._best(output, tensor, layer)
                for output, tensor, layer in zip(outputs, self.model.outputs, self.outputs, strict=False)
            ]

        return self._once(("predicted", number), make)

    def _best(self, output: Array, tensor: Any, layer: int | None) -> dict[str, Any]:
        values = _over_positions(output, tensor._keras_history.operation).astype(np.float64)
        best = np.argsort(-values, kind="stable")[:5]
        return {
            "name": tensor._keras_history.operation.name,
            "layer": layer,
            "best": [{"target": int(each), "value": _finite(values[each])} for each in best],
            "count": len(values),
        }

    def beside(self, kind: str, setting: Setting) -> Beside:
        """Return what stands beside the map of a setting: `"sanity"`, `"measures"` or `"maximize"`.

        Raises:
            VisError: as the library.
        """

        def make() -> Beside:
            asked = self._asked(setting)
            sample = self._packed(self.samples[setting.picture].read())
            with warned() as said:
                if kind == "sanity":
                    found = beside.sanity(self._maker(asked), self.model, sample, setting.target)
                elif kind == "measures":
                    whole = self.model if setting.layer is None else None
                    explainer = self._explainer(asked)[0]
                    found = beside.measures(explainer, whole, sample, setting.target)
                else:
                    found = self._maximize(asked, sample)
            return Beside(found.text, found.rows, found.figure, found.size, tuple(dict.fromkeys(said)))

        return self._once((kind, setting), make)

    def _maximize(self, asked: Asked, sample: Array) -> Beside:
        if (why := self._no_picture()) is not None:
            raise InputError(f"{why} Received: {', '.join(slot.kind for slot in self.slots)}.")
        asked = self._targeted(asked)
        subject = getattr(self, asked.subject)
        layer = subject.outputs[0] if asked.layer is None else asked.layer
        target = asked.target or 0
        what = f"class {target}" if asked.layer is None else f"filter {target} of {asked.layer}"
        return beside.maximize(subject, layer, target, asked.low_high, sample, what)

    def filters(self, setting: Setting) -> dict[str, Any]:
        """Return what each filter of a layer gives for a sample: a sheet of pictures, or numbers.

        Raises:
            LayerError: if there is no such layer.
        """

        def make() -> dict[str, Any]:
            path = self._path(setting)
            layer = models.find_layer(self.model, path) if path is not None else None
            read = Differentiation(Source(self.model), Output(layer, path or self.model.name))
            output = np.asarray(read.values(self.samples[setting.picture].read())[0], np.float64)
            operation = self.model.outputs[0]._keras_history.operation if layer is None else layer
            values = _over_positions(output, operation)
            found: dict[str, Any] = {"means": [_finite(each) for each in values[:_MOST_FILTERS]]}
            found |= {"count": len(values), "sheet": None}
            if output.ndim == 3:
                axis = models.filter_axis(operation, 4) % 4 - 1
                sheet, found["tile"], found["columns"] = sheet_of(np.moveaxis(output, axis, -1))
                found["sheet"] = base64.b64encode(png(sheet)).decode()
            return found

        return self._once(("filters", setting.picture, setting.layer), make)

    def script(self, setting: Setting, more: Sequence[str] = ()) -> str:
        """Return a program that writes the pictures of the maps as the page shows them, `map.png`."""
        asked = self._asked(setting)
        if "maximize" in more:
            asked = self._targeted(asked)
        sample = self.samples[setting.picture]
        return script(self._opened, sample, asked, self._pairs(asked, sample.read()), more)

    def report(self, setting: Setting) -> bytes:
        """Return the HTML file of `vis.report` with the maps of all pictures by a setting's method.

        Raises:
            InputError: if there are too many pictures, or they differ in size.
        """
        numbers = range(len(self.samples))
        if (why := self._no_report()) is not None:
            raise InputError(f"{why} Received: {', '.join(slot.kind for slot in self.slots)}.")
        if len(numbers) > _MOST_REPORTED:
            raise InputError(
                f"A report from this page has at most {_MOST_REPORTED} pictures. Received: {len(numbers)}. "
                "Use `vis explain` and `vis report`."
            )
        with tempfile.TemporaryDirectory(prefix="vis-explore-") as folder:
            inputs = [self.samples[number].read()[0] for number in numbers]
            if len({array.shape for array in inputs}) > 1:
                raise InputError("A report needs pictures of one size. Received: several sizes.")
            run, page = Path(folder) / "maps.zarr", Path(folder) / "report.html"
            with warned():  # the page has shown them
                explainer, _ = self._explainer(self._asked(setting))
                explainer.write(np.concatenate(inputs), run, setting.target, progress=False)
                images = [self.samples.shown(number) for number in numbers]
                names = self.samples.names()
                report(run, page, images=np.stack(images), names=names, labels=self.labels, progress=False)
            return page.read_bytes()

    # ---- what a setting means

    def _path(self, setting: Setting) -> str | None:
        if setting.layer is None:
            return None
        if not 0 <= setting.layer < len(self.layers):
            raise LayerError(
                f"There are {len(self.layers)} layers, numbered from 0. Received: number {setting.layer}. "
                "Choose one of the list."
            )
        return self.layers[setting.layer]["path"]

    def _asked(self, setting: Setting) -> Asked:
        path, options = self._path(setting), setting.arguments()
        by_default = self._words_layer()
        if by_default is not None and needs_gradient(setting.method):
            options = {"wrt": by_default} | options
        subject = "model" if self.logits is self.model or not has_layer(self.logits, path) else "logits"
        how = self._ranges.get(0)
        low_high = how.input_range if how is not None and how.preprocess is None else None
        return Asked(setting, subject, path, options, setting.target, low_high)

    def _targeted(self, asked: Asked) -> Asked:
        """Return what is asked with the class that the model predicts, if no target is given."""
        if asked.setting.target is not None:
            return asked
        best = self.predict(asked.setting.picture)[0]["best"][0]["target"] if asked.layer is None else 0
        return Asked(asked.setting, asked.subject, asked.layer, asked.options, best, asked.low_high)

    def _pairs(self, asked: Asked, sample: Sequence[Array]) -> list[Shown]:
        """Return what each map belongs to: an input, or the layer that is differentiated by."""
        wrt = asked.options.get("wrt")
        dicts = isinstance(models.input_structure(self.model), dict)
        if wrt is None:
            several = len(self.slots) > 1
            return [
                Shown(slot, value[0], (slot.name if dicts else number) if several else None)
                for number, (slot, value) in enumerate(zip(self.slots, sample, strict=True))
            ]
        for slot, value in zip(self.slots, sample, strict=True):
            if slot.layer == wrt:
                return [Shown(slot, value[0])]
        rank = len(models.output_shape(models.find_layer(self.model, wrt)) or ()) - 1
        if rank == 3:
            return [Shown(Slot(f"the output of {wrt}", "picture", (), ""), np.zeros(0))]
        raise InputError(
            f"Maps by the output of {wrt!r} are not drawn here: it does not have the axes of a picture. "
            f"Received: {rank} axes. "
            "Use vis.attributions."
        )

    def _packed(self, sample: Sequence[Array]) -> Any:
        return keras.tree.pack_sequence_as(models.input_structure(self.model), [*sample])

    def _maker(self, asked: Asked) -> Callable[[Any], Any]:
        """Return what makes the explainer of a model."""

        def make(model: Any) -> Any:
            subject = models.linear_outputs(model) if asked.subject == "logits" else model
            return asked.setting.explainer(subject, output_layer=asked.layer, **asked.options)

        return make

    def _explainer(self, asked: Asked) -> tuple[Any, list[str]]:
        """Return an explainer, and what the library has warned of when it was made."""
        key = (asked.setting.method, asked.setting.layer, asked.setting.options)
        if key not in self._explainers:
            with warned() as said:
                explainer = asked.setting.explainer(
                    getattr(self, asked.subject), output_layer=asked.layer, **asked.options
                )
            self._explainers[key] = explainer, said
            if len(self._explainers) > _MOST_EXPLAINERS:
                self._explainers.popitem(last=False)
        self._explainers.move_to_end(key)
        found: tuple[Any, list[str]] = self._explainers[key]
        return found

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        """Return a result that is kept."""
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > _MOST_RESULTS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        found: T = self._kept[key]
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


def has_layer(model: keras.Model, path: str | None) -> bool:
    """Tell whether a model has a layer; None stands for its output."""
    try:
        return path is None or models.find_layer(model, path) is not None
    except LayerError:
        return False


def sheet_of(output: Array) -> tuple[npt.NDArray[np.uint8], int, int]:
    """Return the channels of `(height, width, channels)` side by side in colours, on one scale.

    Returns:
        the picture, the side of a tile, and the number of tiles in a row.
    """
    height, width, count = output.shape
    step = max(1, -(-max(height, width) // _TILE))
    tiles = output[::step, ::step, :_MOST_FILTERS]
    side, count = max(tiles.shape[:2]), tiles.shape[2]
    columns = min(count, 16)
    rows = -(-count // columns)
    sheet = np.zeros((rows * side, columns * side))
    for number in range(count):
        top, left = side * (number // columns), side * (number % columns)
        sheet[top : top + tiles.shape[0], left : left + tiles.shape[1]] = tiles[..., number]
    return plotting.colorize(sheet, clip_percentile=1), side, columns


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


def _from_files(slot: Slot, symbol: Any) -> bool:
    """Tell whether an input can be a picture of a file."""
    if slot.kind != "picture":
        return False
    if len(slot.shape) == 2:
        return True
    return slot.shape[-1] in (None, 1, 3, 4) and models.input_channel_axis(symbol, 4) == -1


def _over_positions(output: Array, operation: Any) -> Array:
    """Return the mean over positions of an output for one sample, `(filters,)`."""
    if output.ndim == 0:
        return output[None]
    axis = models.filter_axis(operation, output.ndim + 1) % (output.ndim + 1) - 1
    return np.asarray(output.mean(axis=tuple(i for i in range(output.ndim) if i != axis)))


def _finite(value: Any) -> float | None:
    """Return a number as JSON can hold it: None for NaN and infinity."""
    return float(value) if np.isfinite(value) else None
