"""Maps as pictures and figures.

Maps without negative values are drawn from dark to bright, signed maps in diverging colours centred on 0.
Functions return figures and do not register them with pyplot: save one with `figure.savefig("picture.png")`;
in a notebook, a figure shows itself.
"""

from vis.plotting.colors import DIVERGING, SEQUENTIAL, colorize
from vis.plotting.features import plot_features
from vis.plotting.figures import Figure
from vis.plotting.intervals import plot_intervals
from vis.plotting.over import overlay_map
from vis.plotting.pictures import plot_grid, plot_maps, plot_saliency
from vis.plotting.series import plot_series
from vis.plotting.sheets import plot_pictures
from vis.plotting.spread import plot_spread
from vis.plotting.tokens import TokenFigure, plot_tokens
from vis.plotting.volume import plot_volume, save_gif

__all__ = [
    "DIVERGING",
    "SEQUENTIAL",
    "Figure",
    "TokenFigure",
    "colorize",
    "overlay_map",
    "plot_features",
    "plot_grid",
    "plot_intervals",
    "plot_maps",
    "plot_pictures",
    "plot_saliency",
    "plot_series",
    "plot_spread",
    "plot_tokens",
    "plot_volume",
    "save_gif",
]


def __dir__() -> list[str]:
    return sorted(__all__)
