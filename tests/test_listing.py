"""The text file beside a group."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vis import listing
from vis.errors import InputError


@given(st.lists(st.binary(min_size=1).filter(lambda name: b"\n" not in name)))
def test_any_file_name_comes_back(names: list[bytes]) -> None:
    decoded = [os.fsdecode(name) for name in names]
    assert listing.decoded(listing.encoded(decoded)) == decoded


def test_lines_are_as_an_editor_shows_them() -> None:
    names = ["Käfer.jpg", "cr\rx.png", "line\u2028separator.png", "feed\f.png", "=1.jpg"]
    assert listing.encoded(names) == "".join(f"{name}\n" for name in names).encode()
    assert listing.decoded(b"a.png\nb.png") == ["a.png", "b.png"], "the last line may lack its end"
    assert listing.decoded(b"") == []


def test_a_line_break_in_a_name() -> None:
    with pytest.raises(InputError, match=r"'a\\nb.png' has a line break.*Rename the file"):
        listing.encoded(["c.png", "a\nb.png"])
