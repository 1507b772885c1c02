"""Files that appear whole or not at all."""

from pathlib import Path

import pytest

from vis import files
from vis.errors import InputError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "result.txt"
    with files.written(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    with pytest.raises(RuntimeError), files.written(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["result.txt"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot be written"),
        files.written(tmp_path / "file" / "result.txt"),
    ):
        pass
