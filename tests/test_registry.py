"""Names, aliases, clashes and what a user may pass instead of a name."""

from typing import Any

import pytest

from vis import backprop_modifiers, grad_modifiers, parameterizations
from vis.attributions import operators
from vis.errors import ModifierError
from vis.registry import Registry


def wrap(thing: object, name: str) -> object:
    if not callable(thing):
        raise TypeError("a thing is a function")
    return thing


@pytest.fixture
def things() -> Registry[object]:
    registry: Registry[object] = Registry("thing", wrap)
    registry.register("first", "alias")(len)
    return registry


def test_a_name_and_its_alias_are_one_object(things: Registry[object]) -> None:
    assert things.get("first") is things.get("alias") is len
    assert things.names() == ["first", "alias"]


def test_a_bare_callable_is_taken(things: Registry[object]) -> None:
    assert things.get(max) is max


def test_an_unknown_name_shows_the_nearest_and_all(things: Registry[object]) -> None:
    with pytest.raises(ModifierError, match=r"Unknown thing: 'frist'. Did you mean 'first'\?.*alias, first"):
        things.get("frist")


def test_something_else_is_refused(things: Registry[object]) -> None:
    with pytest.raises(ModifierError, match=r"Not a thing: a thing is a function. Received: 3"):
        things.get(3)


def test_a_clash_raises_and_changes_nothing(things: Registry[object]) -> None:
    with pytest.raises(ModifierError, match="'alias' is taken"):
        things.register("new", "alias")(max)
    assert things.get("alias") is len
    assert things.names() == ["first", "alias"]


@pytest.mark.parametrize("names", [(), ("",), (3,)])
def test_a_name_is_needed(things: Registry[object], names: tuple[str, ...]) -> None:
    with pytest.raises(ModifierError, match="register"):
        things.register(*names)


# Each is run as a notebook runs a cell, once or twice: what it defines is `thing`.
CELLS = {
    "function": "def thing(x): return {value}",
    "changed default": "def thing(x, by={value}): return x",
    "method": "class Own:\n    def call(self, x): return {value}\nthing = Own().call",
    "class": "class thing:\n    value = {value}",
    "object of a class": "class Own:\n    def __call__(self, x): return {value}\nthing = Own()",
    "object of a data class": (
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Own:\n    by: int = 3\n"
        "    def __call__(self, x): return {value}\nthing = Own()"
    ),
    "wrapped": "from functools import cache\n@cache\ndef thing(x): return {value}",
    "partial": "from functools import partial\ndef own(x, by): return {value}\nthing = partial(own, by=3)",
}
# Those that have no name of their own, which a changed cell cannot be known to define again.
NAMELESS = {
    "lambda": "thing = lambda x: {value}",
    "function of a function": (
        "def make(by):\n    def own(x): return by\n    return own\nthing = make({value})"
    ),
    "object with another value": (
        "class Own:\n    def __init__(self, by): self.by = by\n"
        "    def __call__(self, x): return x\nthing = Own({value})"
    ),
    "function written in C": "import numpy\nthing = [numpy.abs, numpy.negative][{value} - 1]",
    "partial of another value": "from functools import partial\nthing = partial(max, {value})",
}


def run_cell(code: str, value: int, module: str = "__main__") -> object:
    namespace = {"__name__": module}
    exec(compile(code.format(value=value), f"<cell of {module}>", "exec"), namespace)
    return namespace["thing"]


@pytest.mark.parametrize("name", [*CELLS, *NAMELESS])
def test_a_cell_that_is_run_again_replaces_what_it_has_registered(
    things: Registry[object], name: str
) -> None:
    cell = {**CELLS, **NAMELESS}[name]
    things.register("own", "also")(run_cell(cell, 1))
    again = run_cell(cell, 2 if name in CELLS else 1)
    assert things.register("own")(again) is again
    assert things.get("own") is things.get("also") is again
    assert things.names() == ["first", "alias", "own", "also"]


@pytest.mark.parametrize("name", [*CELLS, *NAMELESS])
def test_what_is_defined_elsewhere_raises(things: Registry[object], name: str) -> None:
    cell = {**CELLS, **NAMELESS}[name]
    first = things.register("own")(run_cell(cell, 1))
    others = [run_cell("def other(x): return x\nthing = other", 1)]
    if name not in ("function written in C", "partial of another value"):  # the same, wherever
        others.append(run_cell(cell, 1, "a_package"))
    if name in NAMELESS:
        others.append(run_cell(cell, 2))
    for other in others:
        with pytest.raises(ModifierError, match="'own' is taken"):
            things.register("own")(other)
    assert things.get("own") is first


@pytest.mark.parametrize(
    ("registry", "cell"),
    [
        (grad_modifiers, "def thing(g): return {value} * g"),
        (backprop_modifiers, "def thing(x, y, grad, true_grad): return {value} * true_grad"),
        (operators, "def thing(model, inputs, targets): return {value}"),
        (
            parameterizations,
            "from dataclasses import dataclass\nfrom vis.parameterizations import Pixels\n"
            "@dataclass(frozen=True)\nclass Own(Pixels):\n    regularization = {value}\nthing = Own()",
        ),
    ],
)
def test_every_registry_takes_a_cell_again(registry: Any, cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held = registry.names.__self__
    for table in ("_objects", "_registered"):  # what is registered here goes again
        monkeypatch.setattr(held, table, dict(getattr(held, table)))
    old = registry.register("of a cell", "its alias")(run_cell(cell, 1))
    new = registry.register("of a cell", "its alias")(run_cell(cell, 2))
    assert new is not old
    assert registry.get("of a cell") is registry.get("its alias") is new
    with pytest.raises(ModifierError, match="is taken"):
        registry.register("of a cell")(run_cell(cell, 1, "a_package"))
    with pytest.raises(ModifierError, match="is taken"):
        registry.register(next(name for name in registry.names() if name != "of a cell"))(run_cell(cell, 1))
