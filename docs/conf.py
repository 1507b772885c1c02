"""How Sphinx builds the documentation: `make docs`."""

import os
import sys
from pathlib import Path

from vis.version import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")

from figures import Scraper  # noqa: E402

project, author, copyright, release = "vis", "the vis authors", "the vis authors", __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "reference",
    "repository",
]
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.json"]
html_theme = "furo"
html_title = f"vis {release}"
html_favicon = "static/favicon.svg"
html_static_path = ["static"]
html_css_files = ["vis.css"]
html_js_files = [("vis.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["attrs_inline", "deflist"]
myst_heading_anchors = 4
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "__weakref__"}
maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "image_scrapers": (Scraper(),),
    "within_subsection_order": "figures.Order",
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
    "copyfile_regex": r"",
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"Figure",
    "reset_modules": (),
    "abort_on_example_error": True,
}
