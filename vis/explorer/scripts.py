"""The Python that makes what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from vis.explorer.beside import Maximized
from vis.explorer.drawings import CLIP, DPI, before, call
from vis.explorer.samples import Sample
from vis.explorer.settings import Setting
from vis.explorer.slots import Array, Slot
from vis.metrics.explainers import DEFAULT_MEASURES


@dataclass(frozen=True)
class Asked:
    """A setting as arguments of the library.

    Args:
        setting: what the page asks.
        subject: `"model"`, or `"logits"` for the model without its softmax.
        layer: the path of the layer; None for the output.
        options: the arguments of the explainer.
    """

    setting: Setting
    subject: str
    layer: str | None
    options: dict[str, Any]

    def explainer(self, subject: keras.Model) -> Any:
        """Return the explainer of a model."""
        return self.setting.explainer(subject, output_layer=self.layer, **self.options)

    @property
    def arguments(self) -> str:
        """The arguments of the explainer after its model, as Python."""
        named = ({} if self.layer is None else {"output_layer": self.layer}) | self.options
        return "".join(f", {name}={value!r}" for name, value in named.items())


@dataclass(frozen=True)
class Shown:
    """A map that is drawn.

    Args:
        slot: its input.
        value: the sample, without its batch axis.
        maps: the maps of the batch, as Python.
        sample: the batch of the input, as Python.
        file: what its picture is called.
        missing: why there is nothing to draw; empty if there is.
    """

    slot: Slot
    value: Array
    maps: str = "maps"
    sample: str = "sample"
    file: str = "map.png"
    missing: str = ""

    def lines(self) -> list[str]:
        """Return the lines that write its picture."""
        if self.missing:
            return [f"# {self.missing}"]
        if self.slot.kind == "picture":
            drawn = f"plotting.colorize({self.maps}[0], clip_percentile={CLIP})"
            return [f"Image.fromarray({drawn}).save({self.file!r})"]
        function, arguments, options = call(self.slot, self.value)
        python = [self._named(each) if isinstance(each, str) else repr(each) for each in arguments]
        python += [f"{key}={value!r}" for key, value in options.items()]
        return [
            *map(self._named, before(self.slot, self.value)),
            f"plotting.{function}({', '.join(python)}).savefig({self.file!r}, dpi={DPI})",
        ]

    def _named(self, python: str) -> str:
        """Return Python about the maps and the sample of one input."""
        return python.replace("maps", self.maps).replace("sample[", f"{self.sample}[")


def script(
    opened: Sequence[str],
    sample: Sample,
    asked: Asked,
    shown: Sequence[Shown],
    sanity: bool = False,
    measures: Sequence[str] = (),
    maximized: Maximized | None = None,
) -> str:
    """Return a program that writes the pictures of a setting.

    Args:
        opened: the lines that define `model`.
        sample: what is explained.
        asked: how.
        shown: what is drawn of it.
        sanity: whether the sanity curve is drawn, too.
        measures: the names of those that are printed.
        maximized: the picture that is made.
    """
    kind = asked.setting.explainer.__name__
    target = "" if asked.setting.target is None else f", {asked.setting.target}"
    lines = [
        f"# A map of {' '.join(sample.name.split())} by {asked.setting.method}.",
        "",
        "import os",
        "",
        f'os.environ.setdefault("KERAS_BACKEND", {keras.config.backend()!r})',
        "",
        "import numpy as np",
        "from PIL import Image",
        "",
        "import vis",
        "from vis import attributions, files, metrics, plotting",
        "",
        *opened,
    ]
    if asked.subject == "logits":
        lines.append("logits = vis.linear_outputs(model)  # the model before its softmax")
    lines += [
        *sample.code,
        f"explainer = attributions.{kind}({asked.subject}{asked.arguments})",
        f"maps = explainer.explain(sample{target})",
        *(line for each in shown for line in each.lines()),
    ]
    if sanity:
        subject = "vis.linear_outputs(model)" if asked.subject == "logits" else "model"
        lines += [
            "check = metrics.sanity_check(",
            f"    lambda model: attributions.{kind}({subject}{asked.arguments}), model, sample{target}",
            ")",
            f'check.plot().savefig("sanity.png", dpi={DPI})',
        ]
    if measures:
        whole = ", model=model" if asked.layer is None else ""
        given = target or ", None"
        some = "" if measures == DEFAULT_MEASURES else f", {list(measures)!r}"
        lines += [
            f"found = metrics.compare({{{asked.setting.method!r}: explainer}}, sample{given}{some}{whole})",
            "print(found.table())",
        ]
    if maximized is not None:
        lines += maximized.lines(asked.subject)
    return "\n".join(lines) + "\n"
