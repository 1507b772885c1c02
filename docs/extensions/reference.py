"""The pages of the API reference, written from the public names of modules, and links to them."""

from __future__ import annotations

import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

# A name is documented in the first module that exports it; the others link to it.
MODULES = {
    "Functions for one input": [
        "vis.visualization",
        "vis.losses",
        "vis.grad_modifiers",
        "vis.backprop_modifiers",
    ],
    "Explainers": [
        "vis.attributions",
        "vis.attributions.operators",
        "vis.attributions.targets",
        "vis.attributions.store",
        "vis.attributions.ray",
        "vis.attributions.training",
        "vis.relevance",
    ],
    "Measures, pictures, reports": ["vis.metrics", "vis.plotting", "vis.maps", "vis.reports"],
    "Pictures of what a model responds to": [
        "vis.optimizer",
        "vis.parameterizations",
        "vis.input_modifiers",
        "vis.regularizers",
        "vis.callbacks",
    ],
    "Everything else": [
        "vis",
        "vis.errors",
        "vis.typing",
        "vis.words",
        "vis.utils.utils",
        "vis.utils.helpers",
    ],
}


def names(module: str) -> list[str]:
    """Return the public names of a module, those of classes and functions first."""
    exported = importlib.import_module(module).__all__
    return sorted(
        (name for name in exported if name != "__version__"), key=lambda name: (name.isupper(), name.lower())
    )


def homes() -> dict[str, str]:
    """Return for each public name, with its module, the one under which the same thing is documented."""
    found: dict[str, str] = {}
    first: dict[int, str] = {}
    for module in (module for group in MODULES.values() for module in group):
        for name in names(module):
            thing = getattr(importlib.import_module(module), name)
            shared = inspect.isclass(thing) or inspect.isroutine(thing)
            found[f"{module}.{name}"] = (
                first.setdefault(id(thing), f"{module}.{name}") if shared else f"{module}.{name}"
            )
    return found


def sentence(thing: Any) -> str:
    """Return the first sentence of a docstring; nothing for a constant."""
    if not (inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)):
        return ""
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.:])\s(?!`)", text)[0].rstrip(":.").replace("|", "\\|") + "."


def pages() -> dict[str, str]:
    """Return the text of each page of the reference, by its path."""
    made, home = {}, homes()
    for group in MODULES.values():
        for module in group:
            held = importlib.import_module(module)
            rows = []
            for name in names(module):
                where = home[f"{module}.{name}"]
                if where == f"{module}.{name}":
                    made[f"{module}.{name}"] = _page(module, name, getattr(held, name))
                rows.append(f"| [`{name}`](<{where}.md>) | {sentence(getattr(held, name))} |")
            table = "\n".join(["| name | |", "|---|---|", *rows])
            made[module] = f"# `{module}`\n\n{_directive('automodule', module, ':no-members:')}\n\n{table}"
    groups = [
        f"## {title}\n\n"
        + "\n".join(
            ["| module | |", "|---|---|", *(f"| [`{name}`]({name}.md) | {_about(name)} |" for name in group)]
        )
        + "\n\n"
        + "\n".join(["```{toctree}", ":hidden:", "", *group, "```"])
        for title, group in MODULES.items()
    ]
    made["index"] = "\n\n".join(["# API reference", *groups])
    return made


def _about(module: str) -> str:
    return sentence(importlib.import_module(module))


def _page(module: str, name: str, thing: Any) -> str:
    if inspect.isclass(thing):
        kind, options = "autoclass", [":members:", ":special-members: __call__", ":show-inheritance:"]
    elif callable(thing) and typing.get_origin(thing) is None:
        kind, options = "autofunction", []
    else:
        kind, options = "autodata", []
    # Outside every toctree: the navigation of each page would list them all, which takes most of a build.
    head = f"---\norphan: true\n---\n\n[API reference](index.md) / [`{module}`]({module}.md)"
    parts = [head, f"# `{name}`", _directive(kind, f"{module}.{name}", *options)]
    if inspect.isclass(thing):
        parts += _inherited(thing)
    return "\n\n".join(parts)


def _inherited(kind: type) -> list[str]:
    """Return a line for each base class of this library: its methods that the class has from it."""
    lines, seen = [], set(vars(kind))
    for base in kind.__mro__[1:]:
        if base.__module__.startswith("vis."):
            shown = [key for key, value in vars(base).items() if _is_public(key, value) and key not in seen]
            seen |= set(vars(base))
            if shown:
                lines.append(f"From `{base.__name__}`: {', '.join(f'`{key}`' for key in shown)}.")
    return lines


def _is_public(key: str, value: Any) -> bool:
    return (key == "__call__" or key[0] != "_") and (inspect.isfunction(value) or isinstance(value, property))


def _directive(kind: str, name: str, *options: str) -> str:
    return "\n".join(["```{eval-rst}", f".. {kind}:: {name}", *("   " + option for option in options), "```"])


def write(app: Sphinx) -> None:
    """Write the pages that have changed, and remove those of names that are gone."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{path}.md": text + "\n" for path, text in pages().items()}
    for path in set(folder.iterdir()) - {folder / name for name in wanted}:
        path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# What is, or cannot hold, a link.
LINKED = (nodes.reference, nodes.title, addnodes.pending_xref, addnodes.download_reference)


def _above(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


class Links(SphinxTransform):
    """Turn a public name in code, such as `vis.report` or `Saliency`, into a link to its page."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        known = self.app.public_names  # type: ignore[attr-defined]
        here = Path(self.env.docname).name
        for literal in list(self.document.findall(nodes.literal)):
            where = known.get(literal.astext().removesuffix("()"))
            if where is None or where == here or any(isinstance(node, LINKED) for node in _above(literal)):
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=where,
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
            literal.replace_self(link)
            link += literal


def know(app: Sphinx) -> None:
    """Note what each name stands for: with its module, and alone where one thing has it."""
    home = homes()
    alone: dict[str, set[str]] = {}
    for name, where in home.items():
        alone.setdefault(name.rpartition(".")[2], set()).add(where)
    single = {name: where.pop() for name, where in alone.items() if len(where) == 1 and _telling(name)}
    app.public_names = {**single, **home}  # type: ignore[attr-defined]


def _telling(name: str) -> bool:
    """Return whether a word is a name of this library and not one of the language or of prose."""
    return "_" in name or name != name.lower()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", write, priority=100)
    app.connect("builder-inited", know)
    app.add_transform(Links)
    return {"parallel_read_safe": True}
