"""The Python that makes what the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from vis.explorer import beside
from vis.explorer.samples import Sample
from vis.explorer.settings import Setting
from vis.explorer.slots import CLIP, DPI, Array, Slot, call


@dataclass(frozen=True)
class Asked:
    """A setting as arguments of the library.

    Args:
        setting: what the page asks.
        subject: `"model"`, or `"logits"` for the model without its softmax.
        layer: the path of the layer; None for the output.
        options: the arguments of the explainer.
        target: the class or filter; for the predicted class, which one it is, if that is known.
        low_high: the range of the model's pixels, if it has one.
    """

    setting: Setting
    subject: str
    layer: str | None
    options: dict[str, Any]
    target: int | None = None
    low_high: tuple[float, float] | None = None

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
        key: what names it among several; None for the only one.
    """

    slot: Slot
    value: Array
    key: int | str | None = None

    def lines(self) -> list[str]:
        """Return the lines that write its picture."""
        part = "" if self.key is None else f"[{self.key!r}]"
        name = "map.png" if self.key is None else f"map-{self.slot.name}.png"
        if self.slot.kind == "picture":
            drawn = f"plotting.colorize(maps{part}[0], clip_percentile={CLIP})"
            return [f"Image.fromarray({drawn}).save({name!r})"]
        function, arguments, options = call(self.slot, self.value)
        python = [
            each.replace("maps[0]", f"maps{part}[0]").replace("sample[0]", f"sample{part}[0]")
            if isinstance(each, str)
            else repr(each)
            for each in arguments
        ]
        python += [f"{key}={value!r}" for key, value in options.items()]
        kept = []
        if self.slot.kind == "words":
            kept = [f"kept = {self.slot.words(self.value)[1]!r}  # without what fills the text up"]
        return [*kept, f"plotting.{function}({', '.join(python)}).savefig({name!r}, dpi={DPI})"]


def script(
    opened: Sequence[str], sample: Sample, asked: Asked, shown: Sequence[Shown], more: Sequence[str] = ()
) -> str:
    """Return a program that writes the pictures of a setting.

    Args:
        opened: the lines that define `model`.
        sample: what is explained.
        asked: how.
        shown: what is drawn of it.
        more: what stands beside the map, of `vis.explorer.settings.BESIDE`.
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
    if "sanity" in more:
        subject = "vis.linear_outputs(model)" if asked.subject == "logits" else "model"
        lines += [
            "check = metrics.sanity_check(",
            f"    lambda model: attributions.{kind}({subject}{asked.arguments}), model, sample{target}",
            ")",
            f'check.plot().savefig("sanity.png", dpi={DPI})',
        ]
    if "measures" in more:
        whole = ", model=model" if asked.layer is None else ""
        given = target or ", None"
        lines += [
            f"found = metrics.compare({{{asked.setting.method!r}: explainer}}, sample{given}{whole})",
            "print(found.table())",
        ]
    if "maximize" in more:
        where = f"{asked.subject}.outputs[0]" if asked.layer is None else repr(asked.layer)
        lines += [
            "picture = vis.visualize_activation(",
            f"    {asked.subject}, {where}, {asked.target}, input_range={asked.low_high!r},",
            f'    parameterization="fourier", max_iter={beside.STEPS}, seed=0,',
            ")",
            f"low, high = {'picture.min(), picture.max()' if asked.low_high is None else asked.low_high}",
            "picture = np.rint(255 * (picture - float(low)) / (high - low)).astype(np.uint8)",
            'Image.fromarray(picture.squeeze()).save("maximized.png")',
        ]
    return "\n".join(lines) + "\n"
