"""The HTML file of a run: its parts, in the order of the page."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from html import escape
from importlib.resources import files as resources
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from vis import plotting
from vis.plotting.colors import Look
from vis.reports.drawings import Inputs, Picture, drawing
from vis.reports.run import Row, Run

_EXACT: dict[str, Any] = {"optimize": True}
_LOSSY: dict[str, Any] = {"quality": 75, "optimize": True}
_ROWS = "<!-- rows -->"


class Page:
    """The parts of the file.

    Args:
        run: the run.
        inputs: its pictures.
        look: how maps are coloured.
        drawn: the rows that are shown.
        table: the name of the table beside the file.
    """

    def __init__(self, run: Run, inputs: Inputs, look: Look, drawn: range, table: str) -> None:
        self._run, self._inputs, self._look, self._drawn, self._table = run, inputs, look, drawn, table

    def frame(self) -> tuple[str, str]:
        """Return the parts before and after the rows."""
        run = self._run
        style, script = _asset("page.css"), _asset("page.js")
        method = str(run.settings.get("method", "Explanations"))
        said = {
            "csp": (
                f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
                f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
            ),
            "title": escape(f"{method}: {run.path.name}"),
            "method": escape(method),
            "model": escape(str(run.settings.get("model", "a model"))),
            "group": escape(run.path.name),
            "facts": "".join(f"<li>{fact}</li>" for fact in self._facts()),
            "notes": "".join(f'<p class="note">{escape(note)}</p>' for note in self._notes()),
            "legend": self._legend(),
            "skipped": self._skipped(),
            "settings": self._settings(),
            "table": escape(self._table),
            "version": escape(str(run.versions.get("vis", ""))),
            "style": style,
            "script": script,
        }
        before, after = Template(_asset("page.html")).substitute(said).split(_ROWS)
        return before, after

    def card(self, row: Row, size: int) -> str:
        """Return the HTML of a row."""
        run, found = self._run, drawing(row, self._inputs, self._look)
        data = {
            "row": row.number,
            "name": row.name,
            "score": "" if row.score is None else f"{row.score:.9g}",
            "prediction": "" if row.prediction is None else row.prediction,
            "target": "" if row.target is None or run.chosen else row.target,
            "equal": "" if row.equal is None or run.chosen else int(row.equal),
            "words": f"{row.name} {run.named(row.prediction)} {run.named(row.target)}",
        }
        attributes = "".join(f' data-{key}="{escape(str(value))}"' for key, value in data.items())
        lines = []
        if row.prediction is not None:
            lines.append(("Predicted", _class(run, row.prediction)))
        if row.target is not None and not (run.chosen and row.prediction is not None):
            mark = ' <strong class="differs">differs</strong>' if row.equal is False else ""
            lines.append(("Target", _class(run, row.target) + mark))
        if row.score is not None:
            lines.append(("Score", f"{row.score:.4g}"))
        told = "".join(f"<div><dt>{term}</dt><dd>{words}</dd></div>" for term, words in lines)
        panels = "".join(_image(picture, title, size) for title, picture in found.panels.items())
        problem = f'<p class="problem">{escape(found.problem)}</p>' if found.problem else ""
        return (
            f'<li class="card"{attributes}><h3><bdi>{escape(row.name)}</bdi></h3>'
            f'<div class="panels">{panels}</div>{problem}<dl>{told}</dl></li>\n'
        )

    def _facts(self) -> Iterator[str]:
        run = self._run
        yield f"<b>{run.count - run.skipped:,}</b> maps"
        if run.skipped:
            yield f'<b>{run.skipped:,}</b> <a href="#skipped">skipped</a>'
        equal = [] if run.chosen else [row.equal for row in run.rows(range(0)) if row.equal is not None]
        if equal:
            yield f"<b>{100 * np.mean(equal):.1f} %</b> predicted as their target"

    def _notes(self) -> Iterator[str]:
        run = self._run
        if not run.complete:
            yield f"The run is not finished: {run.count:,} inputs are done so far."
        if len(self._drawn) < run.count:
            yield (
                f"This page shows the {len(self._drawn):,} rows from {self._drawn.start:,} to "
                f"{self._drawn.stop - 1:,} of {run.count:,}; {self._table} lists all. Choose others with "
                "first and count (--first, --count)."
            )
        if self._inputs.problem:
            yield self._inputs.problem
        elif not run.source and run.of_pictures:
            yield (
                "The run does not say how its pictures got their shape. They are shown cropped at the middle."
            )

    def _legend(self) -> str:
        look = self._look
        strip = np.linspace(-1 if look.signed else 0, 1, 128)[None].repeat(12, axis=0)
        picture = plotting.colorize(strip, **{**vars(look), "clip_percentile": 0})
        magnitude = "magnitude" if look.signed or look.absolute else "value"
        end = f"its largest {magnitude}"
        if look.clip_percentile:
            end = f"the {100 - look.clip_percentile:g}th percentile of its {magnitude}s"
        scale = f"minus to plus {end}, with zero in the middle" if look.signed else f"0 to {end}"
        words = [
            "Left to right: the input, its map, the map over the input." if self._run.of_pictures else "",
            f"Colours of a map: from {scale}.",
            "Magnitudes are drawn: the sign is left out." if look.absolute else "",
            "Each map has its own scale: compare where maps point, not how bright they are.",
            "The predicted class is explained." if self._run.chosen else "The target is explained.",
            "Its output is the score.",
        ]
        said = " ".join(filter(None, words))
        return f'<p class="legend">{_image(picture, "", 128)}<span>{escape(said)}</span></p>'

    def _skipped(self) -> str:
        found = [row for row in self._run.rows(range(0)) if row.skipped is not None]
        if not found:
            return ""
        lines = "".join(
            f"<tr><td>{row.number}</td><td><bdi>{escape(row.name)}</bdi></td>"
            f"<td>{escape(row.skipped or '')}</td></tr>"
            for row in found
        )
        opened = " open" if len(found) <= 10 else ""
        return (
            f'<details id="skipped"{opened}><summary>Skipped: {len(found):,}</summary>'
            '<div class="wide" tabindex="0" role="region" aria-label="Skipped inputs"><table><thead><tr>'
            '<th scope="col">Row</th><th scope="col">File</th><th scope="col">Reason</th></tr></thead>'
            f"<tbody>{lines}</tbody></table></div></details>\n"
        )

    def _settings(self) -> str:
        run = self._run
        pairs = [
            *run.settings.items(),
            *((f"source: {name}", value) for name, value in run.source.items()),
            *run.about.items(),
            *((f"version: {name}", value) for name, value in run.versions.items()),
        ]
        return "".join(
            f'<tr><th scope="row">{escape(name.replace("_", " "))}</th><td>{escape(_plain(value))}</td></tr>'
            for name, value in pairs
        )


def _image(picture: Picture, title: str, size: int) -> str:
    """Return an element with a picture inside, smaller if it is larger than some size."""
    image = Image.fromarray(picture)
    image.thumbnail((size, size))
    # Small pictures are stored without loss, because compression artefacts would show.
    small = image.width * image.height <= 64 * 64
    kind, options = ("PNG", _EXACT) if small else ("JPEG", _LOSSY)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    data = base64.b64encode(buffer.getvalue()).decode()
    sharp = ' class="pixels"' if small else ""
    return (
        f'<img{sharp} alt="{escape(title)}" width="{image.width}" height="{image.height}" '
        f'src="data:image/{kind.lower()};base64,{data}">'
    )


def _class(run: Run, number: int | str) -> str:
    """Return a class with its label, or what else is explained."""
    label = run.label(number)
    name = "" if label is None else f"<bdi>{escape(label)}</bdi> "
    return f'{name}<span class="{"number" if name else "only"}">{escape(str(number))}</span>'


def _plain(value: Any) -> str:
    """Return a setting in words."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _asset(name: str) -> str:
    return (resources("vis.reports") / "assets" / name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return what a Content-Security-Policy calls the content of an element."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
