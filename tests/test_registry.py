"""Names, aliases, clashes and what a user may pass instead of a name."""

import pytest

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
