"""Animated GIFs."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from vis.errors import InputError
from vis.files import write_gif

GREYS = [np.full((3, 4), level, np.uint8) for level in (0, 100, 255)]


def test_frames_stay_in_their_order(tmp_path: Path) -> None:
    write_gif(tmp_path / "new" / "a.gif", GREYS, 120)
    with Image.open(tmp_path / "new" / "a.gif") as gif:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
        assert (gif.format, gif.info["duration"], gif.info["loop"]) == ("GIF", 120, 0)
    np.testing.assert_array_equal(frames, GREYS)


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    write_gif(path, GREYS[:1], 100)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_gif(path, [GREYS[0], np.zeros((3, 4), "datetime64[s]")], 100)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
    with pytest.raises(InputError, match="cannot be written"):
        write_gif(path / "b.gif", GREYS, 100)
