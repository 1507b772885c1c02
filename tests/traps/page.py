"""Generates docs/traps.md from the entries: `python -m tests.traps.page`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

from tests.traps import test_always_holds
from tests.traps.known_values import INTEGRATED, KNOWN
from tests.traps.reports import REPORTS
from tests.traps.sections import SECTIONS
from tests.traps.trap import METHODS, Trap

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
PAGE = Path(__file__).parents[2] / "docs" / "traps.md"

INTRODUCTION = """\
# Traps

Models and inputs that make tools of this kind fail, collected from reports of their users, and what this
library does with each. Every cell is a test: `NIGHTLY=1 python -m pytest tests/traps`. Without `NIGHTLY=1`,
all methods but guided take turns where nothing special is expected. `python -m tests.traps.page` generates
this page from the tests, and a test checks that it is up to date.

- **reached**: the rule of guided or rectified backprop acts on every activation. The map is correct and
  differs from the plain one, and the gradient of the original model is unchanged.
- **holds**: the map is correct: it equals that of an oracle without this library, the framework's gradient of
  the model or of the network written out, with a hand-written gradient for guided and rectified.
- **warned**: the map is correct, and a warning says why it shows less than it seems to.
- **refused**: no map. The error says what was wrong, what was received and what to do.
- `-`: the method does not apply.

"saliency" is `visualize_saliency`, "guided" and "rectified" are its backprop modifiers, "CAM" is
`visualize_cam`, and "explainers" are `Saliency`, `SmoothGrad`, `IntegratedGradients`, `GuidedBackprop` and
`GradCAM`; where guided or CAM is refused, so is `GuidedBackprop` or `GradCAM`.

The suite runs on TensorFlow, JAX and PyTorch. Each has a column: ✓ where all methods do what the row says,
else what differs there.
"""


def on(backend: str, trap: Trap) -> str:
    """Return where a backend differs from what the row of a trap says."""
    there = trap.of(backend).handled
    methods: dict[str, list[str]] = {}
    for method in METHODS:
        if there[method] != trap.handled[method]:
            methods.setdefault(there[method], []).append(method)
    return "; ".join(f"{', '.join(names)}: {handled}" for handled, names in methods.items()) or "✓"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def numbers(values: Iterable[float]) -> str:
    """Return numbers as a vector."""
    return f"({', '.join(f'{value:.4g}' for value in values)})"


def page() -> str:
    """Return the page."""
    parts = [INTRODUCTION]
    for title, traps in SECTIONS.items():
        rows = [
            [trap.name, *(trap.handled[each] for each in METHODS), *(on(backend, trap) for backend in NAMES)]
            for trap in traps
        ]
        parts.append(f"## {title}\n\n{table(['trap', *METHODS, *NAMES.values()], rows)}")
    held = [
        [inspect.getdoc(test).splitlines()[0], f"`{name}`"]  # type: ignore[union-attr]
        for name, test in vars(test_always_holds).items()
        if name.startswith("test_")
    ]
    parts.append(f"## What always holds\n\n{table(['property', 'test'], held)}")
    rows = [
        [known.name, *map(numbers, (known.x, known.vanilla, known.guided, known.rectified))]
        for known in KNOWN
    ]
    name, start, end, wanted = INTEGRATED
    parts.append(
        "## Known values\n\nThe rows of a kernel correspond to its inputs, as in Keras.\n\n"
        + table(["network", "input", "vanilla", "guided", "rectified"], rows)
        + f"\nIntegrated gradients of {name} from {numbers(start)} to {numbers(end)}: {numbers(wanted)}, "
        "that is (2.5, 3, sin 3 - sin 1).\n"
    )
    reported = [
        [situation, holds, ", ".join(f"`tests/{test}`" for test in tests)]
        for situation, holds, tests in REPORTS
    ]
    parts.append(f"## From reports\n\n{table(['situation', 'result', 'tests'], reported)}")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
