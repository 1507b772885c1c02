"""The pictures of docs/pictures.md: the script draws each of them."""

import re
import runpy
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from tests import native

DOCS = Path(__file__).parents[2] / "docs"


@native.once
def test_the_script_draws_what_the_pages_show(tmp_path: Path) -> None:
    main = runpy.run_path(str(DOCS / "pictures" / "draw.py"))["main"]
    result = CliRunner().invoke(main, ["--output", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    page = (DOCS / "pictures.md").read_text().partition("\n## Text, series, volumes, tables")[0]
    page += (DOCS / "explainers" / "without-gradients.md").read_text()
    shown = re.findall(r"!\[.+\]\((?:\.\./)?pictures/([\w-]+\.png)\)", page)
    assert sorted(shown) == sorted(path.name for path in tmp_path.iterdir())
    for name in shown:
        with Image.open(tmp_path / name) as drawn, Image.open(DOCS / "pictures" / name) as kept:
            # Another version of Matplotlib may lay a figure out by a pixel more or less.
            assert np.abs(np.subtract(drawn.size, kept.size)).max() <= 5
            assert np.asarray(drawn.convert("RGB")).std() > 20
