"""What the page shows of one model: its layers, its samples, their maps, and the Python that makes them."""

from __future__ import annotations

import contextlib
import importlib.util
import re
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

from vis import describe, files, frameworks, methods, models
from vis.engine import Differentiation, Output, Source
from vis.errors import InputError, LayerError, ModelError, VisError, VisWarning
from vis.explorer import beside, outputs
from vis.explorer.beside import Beside, Maximized
from vis.explorer.drawings import Drawn, drawn, in_colours
from vis.explorer.samples import Strip
from vis.explorer.scripts import Asked, Shown, script
from vis.explorer.settings import Setting, forms, needs_gradient, needs_layer
from vis.explorer.slots import Array, Kind, Slot, slots_of
from vis.question import PictureInput
from vis.reports import read_labels, report

T = TypeVar("T")
# Maps that are kept, and explainers.
_MOST_RESULTS, _MOST_EXPLAINERS = 256, 32
# Pictures of a report.
_MOST_REPORTED = 200
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
        words = None if words is None else read_labels(words)
        with _its_own_errors(self.model):
            self.logits = models.linear_outputs(self.model)
            self.slots = slots_of(self.model, words, features)
        self._ranges = {
            number: PictureInput(self.model, (*slot.shape, 1)[:3], number=number, **options)
            for number, slot in enumerate(self.slots)
            if _from_files(slot, models.input_tensors(self.model)[number])
        }
        self.samples = Strip(self.model, self.slots, self._ranges, images)
        self.layers = layers_of(self.model)
        self.outputs = self._outputs()
        self.labels = None if labels is None else read_labels(labels)
        self.labelled = self._labelled()
        if opened is None:
            path = str(Path(str(model)).resolve())
            opened = (f"model = files.load_model({path!r}{'' if safe_mode else ', safe_mode=False'})",)
        self._opened = opened
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._explainers: OrderedDict[Any, Any] = OrderedDict()

    def told(self) -> dict[str, Any]:
        """Return in plain values what the page is built of."""
        backend = keras.config.backend()
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
                {"name": name, "explainer": method.explainer, "options": forms(name, self._wrt(name))}
                for name, method in methods.METHODS.items()
            ],
            "labels": self.labels,
            "labelled": self.labelled,
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
        return [_row_of(self.model, tensor, paths) for tensor in self.model.outputs]

    def _labelled(self) -> list[int | None]:
        """Return the outputs that the names of the classes belong to, as in `outputs`.

        Raises:
            InputError: if they belong to none.
        """
        if self.labels is None:
            return []
        counts = [_classes(tensor) for tensor in self.model.outputs]
        several = len(counts) > 1
        fits = [
            count is None or (len(self.labels) == count if several else max(self.labels) < count)
            for count in counts
        ]
        if not any(fits):
            raise InputError(
                f"labels must name the classes of an output, of which there are "
                f"{' and '.join(map(str, counts))}. Received: {len(self.labels)} names, up to class "
                f"{max(self.labels)}."
            )
        return [layer for layer, fit in zip(self.outputs, fits, strict=True) if fit]

    def _wrt(self, method: str) -> str | None:
        """Return the layer that a method makes maps by if no input has a gradient."""
        if any(slot.layer is None for slot in self.slots):
            return None
        if not needs_layer(method, any(slot.dtype == "string" for slot in self.slots)):
            return None
        return next((slot.layer for slot in self.slots if slot.over), None)

    def _no_report(self) -> str | None:
        if not importlib.util.find_spec("zarr"):
            return 'Save report needs zarr: pip install "keras-vis3[zarr]".'
        pictures = [slot.kind for slot in self.slots] == ["picture"]
        return None if pictures else "Needs one picture as the input."

    def _several(self) -> str | None:
        return None if len(self.slots) == 1 else "Needs one input."

    def _no_picture(self) -> str | None:
        """Return why no picture can be made that maximizes a target."""
        if [slot.kind for slot in self.slots] != ["picture"]:
            return "Needs one picture as the input."
        if len(self.slots[0].shape) != 3:
            return "Needs a picture with an axis of channels."
        if self.slots[0].layer is not None:
            return f"Needs an input that has a gradient, and {self.slots[0].dtype} has none."
        return None

    def _refuse(self, why: str | None) -> None:
        """Raise `InputError` if there is a reason why something cannot be made of this model."""
        if why is not None:
            given = ", ".join(f"{slot.name} ({slot.kind})" for slot in self.slots)
            raise InputError(f"{why} Received: {given}.")

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
                found = explainer.explain(self._given(sample), setting.target)
            if isinstance(found, dict):
                found = [found[slot.name] for slot in self.slots]
            maps = [np.asarray(each)[0] for each in keras.tree.flatten(found)]
            pairs = self._pairs(asked, sample, self.samples[setting.picture].named)
            result = tuple(
                self._drawn(asked, shown, values) for shown, values in zip(pairs, maps, strict=True)
            )
            rule = (explainer.settings().get("backprop_modifier") or " ").split(" ")[0]
            warnings = tuple(dict.fromkeys([*said, *more]))
            return Result(result, rule in _DOUBTED, warnings, time.monotonic() - began)

        return self._once(("map", setting), make)

    def _drawn(self, asked: Asked, shown: Shown, values: Array) -> Drawn:
        if shown.missing:
            return Drawn(shown.slot.name, values, text=shown.missing)
        if shown.slot.kind == "picture" and not shown.value.size:
            return in_colours(shown.slot.name, values, laid=False)
        return drawn(shown.slot, shown.value, values)

    def _missing(self, asked: Asked, slot: Slot, value: Array) -> str:
        """Return why there is no map of an input; empty if there is one."""
        if slot.layer is not None and "wrt" not in asked.options and needs_gradient(asked.setting.method):
            if slot.over:
                return f"{slot.name} has no gradient. To see its map, set wrt to {slot.layer} in the options."
            return (
                f"{slot.name} has no gradient. See what it does by occlusion, which leaves parts of it out."
            )
        if slot.kind == "words" and not slot.words(value)[1]:
            return f"{slot.name} holds no words."
        return ""

    def predict(self, number: int) -> list[dict[str, Any]]:
        """Return the five largest values of each output for a sample, in the mean over positions."""

        def make() -> list[dict[str, Any]]:
            with _its_own_errors(self.model):
                found = self.model(self._packed(self.samples[number].read()), training=False)
            values = [np.asarray(keras.ops.convert_to_numpy(each))[0] for each in keras.tree.flatten(found)]
            return [
                self._best(output, tensor, layer)
                for output, tensor, layer in zip(values, self.model.outputs, self.outputs, strict=True)
            ]

        return self._once(("predicted", number), make)

    def _best(self, output: Array, tensor: Any, layer: int | None) -> dict[str, Any]:
        operation = tensor._keras_history.operation
        name = operation.name if layer is None else self.layers[layer]["path"]
        return {"name": name, "layer": layer, **outputs.best(output, operation)}

    def beside(self, kind: str, setting: Setting) -> Beside:
        """Return what stands beside the map of a setting: `"sanity"`, `"measures"` or `"maximize"`.

        Raises:
            VisError: as the library.
        """

        if kind != "maximize":
            self._refuse(self._several())

        def make() -> Beside:
            asked = self._asked(setting)
            sample = self._given(self.samples[setting.picture].read())
            with warned() as said:
                if kind == "sanity":
                    found = beside.sanity(self._maker(asked), self.model, sample, setting.target)
                elif kind == "measures":
                    whole = self.model if setting.layer is None else None
                    explainer = self._explainer(asked)[0]
                    found = beside.measures(explainer, whole, sample, setting.target)
                else:
                    found = self._maximized(setting).of(getattr(self, asked.subject))
            return Beside(found.text, found.rows, found.figure, found.size, tuple(dict.fromkeys(said)))

        return self._once((kind, setting), make)

    def _maximized(self, setting: Setting) -> Maximized:
        """Return how the picture of the target is made, of the class that is predicted if there is none.

        Raises:
            InputError: if there is none of this model.
        """
        self._refuse(self._no_picture())
        target = setting.target
        if target is None and setting.layer in self.outputs:
            target = self.predict(setting.picture)[self.outputs.index(setting.layer)]["best"][0]["target"]
        how, (sample,) = self._ranges.get(0), self.samples[setting.picture].read()
        low_high = how.input_range if how is not None and how.preprocess is None else None
        first = models.input_channel_axis(models.input_tensors(self.model)[0], 4) == 1
        return Maximized(
            self._path(setting),
            target or 0,
            low_high,
            sample.shape[1:],
            sample.shape[2:] if first else sample.shape[1:3],
            None in self.slots[0].shape,
        )

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
            return outputs.filters(output, operation)

        return self._once(("filters", setting.picture, setting.layer), make)

    def script(self, setting: Setting, more: Sequence[str] = ()) -> str:
        """Return a program that writes the pictures of the maps as the page shows them, `map.png`."""
        asked, sample = self._asked(setting), self.samples[setting.picture]
        measures: tuple[str, ...] = ()
        if "measures" in more:  # without those that this map does not have
            rows = self.beside("measures", setting).rows[1:]
            measures = tuple(name for name, value, *_ in rows if value != "-")
        maximized = self._maximized(setting) if "maximize" in more else None
        shown = self._pairs(asked, sample.read(), sample.named)
        return script(self._opened, sample, asked, shown, "sanity" in more, measures, maximized)

    def report(self, setting: Setting) -> bytes:
        """Return the HTML file of `vis.report` with the maps of all pictures by a setting's method.

        Raises:
            InputError: if there are too many pictures, or they differ in size.
        """
        numbers = range(len(self.samples))
        self._refuse(self._no_report())
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
        if (by_default := self._wrt(setting.method)) is not None:
            options = {"wrt": by_default} | options
        subject = "model" if self.logits is self.model or not has_layer(self.logits, path) else "logits"
        return Asked(setting, subject, path, options)

    def _pairs(self, asked: Asked, sample: Sequence[Array], named: bool) -> list[Shown]:
        """Return what each map belongs to: an input, or the layer that is differentiated by.

        Args:
            asked: how the maps are made.
            sample: the inputs, each `(1, ...)`.
            named: whether a script has them by their names.
        """
        values = [np.asarray(each[0], each.dtype) for each in sample]
        wrt = asked.options.get("wrt")
        inputs_ = [self._python(number, named) for number in range(len(self.slots))]
        if wrt is None:
            # A class activation map may lie over one of several inputs.
            covered = self._explainer(asked)[0].covered([*sample]) if len(self.slots) > 1 else [0]
            shown: list[Shown] = []
            for number in covered:
                slot, (key, maps) = self.slots[number], inputs_[number]
                file = "map.png" if len(covered) == 1 else self._file(number)
                missing = self._missing(asked, slot, values[number])
                maps = maps if len(covered) > 1 else "maps"
                shown.append(Shown(slot, values[number], maps, key, file, missing))
            return shown
        for slot, value, (key, _) in zip(self.slots, values, inputs_, strict=True):
            if slot.layer == wrt and slot.over:
                return [Shown(slot, value, sample=key, missing=self._missing(asked, slot, value))]
        rank = len(models.output_shape(models.find_layer(self.model, wrt)) or ()) - 1
        kinds: dict[int, Kind] = {1: "features", 3: "picture"}
        if rank in kinds:
            return [Shown(Slot(f"the output of {wrt}", kinds[rank], (None,), ""), np.zeros(0))]
        raise InputError(
            f"Maps by the output of {wrt!r} are not drawn here: it does not have the axes of a picture. "
            f"Received: {rank} axes. "
            "Use vis.attributions."
        )

    def _file(self, number: int) -> str:
        """Return what the picture of an input's map is called in a script."""
        names = [re.sub(r"[^A-Za-z0-9_.-]", "_", slot.name) for slot in self.slots]
        name = names[number]
        return f"map-{name}.png" if names.count(name) == 1 else f"map-{name}-{number}.png"

    def _python(self, number: int, named: bool) -> tuple[str, str]:
        """Return one of the inputs of `sample` and one of its `maps`, as Python."""
        if len(self.slots) == 1:
            return "sample", "maps"
        if named:
            part = f"[{self.slots[number].name!r}]"
            return f"sample{part}", f"maps{part}"
        order = [*range(len(self.slots))]
        packed = keras.tree.pack_sequence_as(models.input_structure(self.model), order)
        return f"sample[{number}]", f"maps{_way_to(packed, number)}"

    def _given(self, sample: Sequence[Array]) -> Any:
        """Return a batch of one as the library takes it."""
        if len(self.slots) == 1:
            return sample[0]
        if isinstance(models.input_structure(self.model), dict):
            return {slot.name: value for slot, value in zip(self.slots, sample, strict=True)}
        return [*sample]

    def _packed(self, sample: Sequence[Array]) -> Any:
        """Return a batch of one as the model takes it."""
        return keras.tree.pack_sequence_as(models.input_structure(self.model), [*sample])

    def _maker(self, asked: Asked) -> Callable[[Any], Any]:
        """Return what makes the explainer of a model."""

        def make(model: Any) -> Any:
            return asked.explainer(models.linear_outputs(model) if asked.subject == "logits" else model)

        return make

    def _explainer(self, asked: Asked) -> tuple[Any, list[str]]:
        """Return an explainer, and what the library has warned of when it was made."""
        key = (asked.setting.method, asked.setting.layer, asked.setting.options)
        if key not in self._explainers:
            with warned() as said:
                explainer = asked.explainer(getattr(self, asked.subject))
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
def _its_own_errors(model: keras.Model) -> Iterator[None]:
    """Raise `ModelError` for an error of a model's own code."""
    try:
        yield
    except VisError:
        raise
    except Exception as error:
        raise ModelError(
            f"The model {model.name!r} could not be run. Received: {_said(error)}. Check "
            "that model(inputs) works."
        ) from error


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


def _classes(tensor: Any) -> int | None:
    """Return the number of classes of an output."""
    rank = len(tensor.shape)
    axis = models.filter_axis(tensor._keras_history.operation, rank) if rank > 1 else 0
    return int(tensor.shape[axis] or 0) or None if rank > 1 else 1


def _row_of(model: keras.Model, tensor: Any, paths: Sequence[str], outer: str = "") -> int | None:
    """Return the number of the row of what makes an output; None if no single row does."""
    operation, _, index = tensor._keras_history
    path = f"{outer}{operation.name}"
    if isinstance(operation, keras.Model) and len(operation.outputs) > 1:
        return _row_of(model, operation.outputs[index], paths, f"{path}/")
    if path in paths:
        return paths.index(path)
    calls = [each for each in paths if re.fullmatch(rf"{re.escape(path)}:\d+", each)]
    made = [each for each in calls if getattr(models.find_layer(model, each), "tensor", None) is tensor]
    return paths.index(made[0]) if made else None


def _way_to(structure: Any, leaf: int) -> str | None:
    """Return the way to a number in lists and dicts, as Python; None if it is not there."""
    if isinstance(structure, int):
        return "" if structure == leaf else None
    pairs = structure.items() if isinstance(structure, Mapping) else enumerate(structure)
    found = ((key, _way_to(each, leaf)) for key, each in pairs)
    return next((f"[{key!r}]{way}" for key, way in found if way is not None), None)


def has_layer(model: keras.Model, path: str | None) -> bool:
    """Tell whether a model has a layer; None stands for its output."""
    try:
        return path is None or models.find_layer(model, path) is not None
    except LayerError:
        return False


def told(error: BaseException) -> str:
    """Return an error as a text for the page."""
    if isinstance(error, VisError):
        return str(error)
    return f"The model could not be run: {_said(error)}"


def _said(error: BaseException) -> str:
    """Return an error in words, without the colours that Keras gives some."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return f"{type(error).__name__}: {plain}"


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
