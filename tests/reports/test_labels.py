"""Names of classes, in the forms in which people have them."""

import json
from pathlib import Path
from typing import Any

import pytest

from vis.errors import InputError
from vis.reports import read_labels
from vis.reports.labels import check_labels

NAMES = {0: "tench", 1: "great white shark, Carcharodon", 2: "=cat"}


@pytest.mark.parametrize(
    "held",
    [
        [*NAMES.values()],
        {str(number): name for number, name in NAMES.items()},
        {str(number): [f"n0{number}", name] for number, name in NAMES.items()},
        {name: number for number, name in NAMES.items()},
    ],
    ids=["list", "object", "keras.applications", "class_indices"],
)
def test_json(tmp_path: Path, held: Any) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(held))
    assert read_labels(path) == read_labels(str(path)) == read_labels(held) == NAMES


@pytest.mark.parametrize("text", ["tench\n{}\n=cat\n", "\ufefftench\r\n{}\r\n=cat", "tench\n{}\n=cat\n\n\n"])
def test_one_name_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.format(NAMES[1]).encode())
    assert read_labels(path) == NAMES
    assert read_labels(dict(NAMES)) == read_labels(tuple(NAMES.values())) == NAMES


def test_an_empty_line_is_a_class_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\n\nc\n")
    assert read_labels(tmp_path / "labels.txt") == {0: "a", 1: "", 2: "c"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Received: none"),
        ("[", "are no JSON"),
        ("[1, 2]", "one name for each class"),
        ('{"tench": "fish"}', "one name for each class"),
        ('{"-1": "fish"}', "with the class -1"),
        ('{"0": []}', "one name for each class"),
        ('{"0": null}', "None in place of a name"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_labels(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path, words in [(tmp_path / "none", "No such file"), (tmp_path, "cannot be read"), ("\0", "be read")]:
        with pytest.raises(InputError, match=words):
            read_labels(path)
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_labels(tmp_path / "binary")
    with pytest.raises(InputError, match="Received: int"):
        read_labels(3)  # type: ignore[arg-type]


def test_every_class_that_occurs_has_a_name() -> None:
    check_labels(NAMES, [0, 2])
    words = r"classes 0 to 2 \(3 in all\), and none for class 5; the largest class that occurs is 7"
    with pytest.raises(InputError, match=words):
        check_labels(NAMES, [0, 5, 7])
