"""Figures of this library in the gallery: what a cell ends with is its picture, as in a notebook."""

from __future__ import annotations

from typing import Any

from sphinx_gallery.scrapers import figure_rst

from vis.plotting import Figure

# The scripts of `examples/`, in the order of the gallery; those that are not named come last.
ORDER = (
    "class_saliency",
    "grad_cam",
    "data_sets",
    "keras_tutorials",
    "imagenet_network",
    "portraits",
    "choosing_a_method",
    "backprop_modifiers",
    "relevance",
    "transformer",
    "segmentation",
    "detection",
    "regression_steering",
    "text",
    "table",
    "ecg",
    "scan",
    "video",
    "filter_saliency",
    "filter_pictures",
    "optimization_gif",
    "weighted_losses",
    "own_modifiers",
    "watch_training",
    "many_pictures",
)


class Order:
    """Sorts the scripts of the gallery."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> tuple[int, str]:
        stem = name.removesuffix(".py")
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)


class Scraper:
    """Saves the figure that the last expression of a cell has as its value."""

    def __init__(self) -> None:
        # The value stays there after the cells that follow.
        self.last: Any = None

    def __repr__(self) -> str:
        return "Scraper()"

    def __call__(self, block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
        figure = block_vars["example_globals"].get("___")
        if not isinstance(figure, Figure) or figure is self.last:
            return ""
        self.last = figure
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, dpi=110)
        return figure_rst(
            [path], gallery_conf["src_dir"], block_vars["example_globals"].get("__doc__", "").split("\n")[0]
        )
