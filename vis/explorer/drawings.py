"""Maps as they are shown: in colours beside a scale, or as the figures that notebooks show."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vis import plotting
from vis.explorer.slots import MOST_CHANNELS, Array, Slot
from vis.plotting.colors import Look, one_map

# As in every figure of the library: where the colours of a map end.
CLIP = 1
DPI = 110


@dataclass(frozen=True)
class Drawn:
    """A map as it is shown: in colours with a scale, or as a figure of a notebook.

    Args:
        name: the input, or the layer.
        map: the map.
        picture: the map in colours, as a PNG file; None for a figure.
        over: the same with its opacity, which grows with the value, as in `vis.plotting.overlay_map`; None
            where there is no picture below it.
        bar: the colours from the lowest to the highest, as a PNG file.
        low, high: the values at the ends of the colours.
        signed: whether zero is in the middle.
        cut: whether values lie beyond the ends.
        figure: the figure, as a PNG file; None for a picture.
        text: the figure in words.
    """

    name: str
    map: Array = field(repr=False)
    picture: bytes | None = field(default=None, repr=False)
    over: bytes | None = field(default=None, repr=False)
    bar: bytes | None = field(default=None, repr=False)
    low: float = 0.0
    high: float = 0.0
    signed: bool = False
    cut: bool = False
    figure: bytes | None = field(default=None, repr=False)
    text: str = ""

    def told(self) -> dict[str, Any]:
        """Return it in plain values."""
        files = {name: getattr(self, name) for name in ("picture", "over", "bar", "figure")}
        return {
            "name": self.name,
            "size": list(np.shape(self.map)),
            "low": self.low,
            "high": self.high,
            "signed": self.signed,
            "cut": self.cut,
            "text": self.text,
            **{key: None if data is None else base64.b64encode(data).decode() for key, data in files.items()},
        }


def drawn(slot: Slot, value: Array, values: Array) -> Drawn:
    """Return the map of a sample of an input.

    Args:
        slot: the input.
        value: the sample, without its batch axis.
        values: the map, without its batch axis.

    Raises:
        InputError: if the map cannot be drawn.
    """
    if slot.kind == "picture":
        return in_colours(slot.name, values, laid=one_map(values).shape == _sides(value, values))
    figure = figure_of(slot, value, values)
    return Drawn(slot.name, values, figure=saved(figure), text=_in_words(slot, value, values))


def figure_of(slot: Slot, value: Array, values: Array) -> Any:
    """Return the figure that a notebook shows of a sample and its map."""
    name, arguments, options = call(slot, value)
    if slot.is_wide:
        wide = values + np.zeros_like(value)
        most = np.sort(np.argsort(-np.abs(wide).sum(axis=0), kind="stable")[:MOST_CHANNELS])
        options["channels"] = [str(each) for each in most]
        return plotting.plot_series(value[:, most], wide[:, most], **options)
    given: dict[str, Any] = {"sample[0]": value, "maps[0]": values, "maps": values[None]}
    if slot.kind == "words":
        rows = values if slot.shape or slot.dtype == "string" else np.asarray(values)[None]
        given = dict.fromkeys(("maps[0][kept]", "maps[kept]"), rows[slot.words(value)[1]])
    found = [given[each] if isinstance(each, str) else each for each in arguments]
    return getattr(plotting, name)(*found, **options)


def before(slot: Slot, value: Array) -> list[str]:
    """Return the lines of Python that what `call` returns needs."""
    if slot.kind == "words":
        return [f"kept = {slot.words(value)[1]!r}  # without what fills the text up"]
    if slot.is_wide:
        order = 'np.argsort(-np.abs(wide).sum(axis=0), kind="stable")'
        return [
            "wide = maps[0] + np.zeros_like(sample[0])",
            f"most = np.sort({order}[:{MOST_CHANNELS}])  # the channels with the largest values",
        ]
    return []


def call(slot: Slot, value: Array) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the function of `vis.plotting` that draws a map, its arguments and its options.

    An argument that is a text is Python.
    """
    if slot.kind == "words":
        options = {"clip_percentile": CLIP, "width": 5.0}
        rows = "maps[0]" if slot.shape or slot.dtype == "string" else "maps"
        return "plot_tokens", [slot.words(value)[0], f"{rows}[kept]"], options
    if slot.kind == "features":
        names = None if slot.names is None else [*slot.names.values()]
        return "plot_features", [names, "maps[0]" if slot.shape else "maps"], {}
    if slot.is_wide:
        named = "channels=[str(each) for each in most]"
        return "plot_series", ["sample[0][:, most]", "wide[:, most]", named], {"clip_percentile": CLIP}
    name = "plot_series" if slot.kind == "series" else "plot_volume"
    return name, ["sample[0]", "maps[0]"], {"clip_percentile": CLIP}


def in_colours(name: str, values: Array, laid: bool) -> Drawn:
    """Return a map in colours, with the scale of them; `laid`: whether it lies over a picture."""
    array = one_map(values)
    scale = Look(clip_percentile=CLIP).scale(array)
    low = -scale.high if scale.signed else scale.low
    steps = np.linspace(low, scale.high, 256)[None]
    colors = plotting.colorize(values, clip_percentile=CLIP)
    opacity = np.rint(255 * scale.share(array)).astype(np.uint8)
    return Drawn(
        name,
        np.asarray(array, np.float32),
        png(colors),
        png(np.concatenate([colors, opacity[..., None]], axis=-1)) if laid else None,
        png(plotting.colorize(steps, signed=scale.signed)),
        low,
        scale.high,
        scale.signed,
        bool(scale.cut),
    )


def saved(figure: Any) -> bytes:
    """Return a figure as the bytes of a PNG file, as `savefig` writes it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def png(picture: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def _sides(value: Array, values: Array) -> tuple[int, ...]:
    """Return the height and width of a picture, whichever of its axes holds the channels."""
    shape = one_map(values).shape
    return next((sides for sides in (value.shape[:2], value.shape[1:]) if sides == shape), value.shape[:2])


def _in_words(slot: Slot, value: Array, values: Array) -> str:
    """Return the largest values of a map with what they belong to."""
    rows = values if slot.shape or slot.dtype == "string" else np.asarray(values)[None]
    flat = rows.reshape(len(rows), -1).sum(axis=1)
    if slot.kind == "words":
        known, kept = slot.words(value)
        flat = flat[kept]
    elif slot.names is not None:
        known = [*slot.names.values()]
    else:
        unit = {"features": "feature", "series": "time", "volume": "slice"}[slot.kind]
        known = [f"{unit} {number}" for number in range(len(flat))]
    best = np.argsort(-np.abs(flat), kind="stable")[:5]
    text = f"{slot.name}, largest: " + ", ".join(f"{known[each]} {flat[each]:.3g}" for each in best)
    if slot.is_wide:
        text += f". Drawn: the {MOST_CHANNELS} of {slot.shape[1]} channels with the largest values"
    return text
