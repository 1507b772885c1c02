"""The only place with colour: maps as pictures and figures.

Maps without negative values are drawn from dark to bright, signed maps in diverging colours centred on 0.
Figures are returned, neither shown nor registered with pyplot: `figure.savefig("picture.png")`; in a notebook
they show themselves.
"""

from vis.plotting.colors import DIVERGING, SEQUENTIAL, colorize
from vis.plotting.figures import Figure
from vis.plotting.over import overlay_map
from vis.plotting.pictures import plot_grid, plot_maps, plot_saliency
from vis.plotting.spread import plot_spread

__all__ = [
    "DIVERGING",
    "SEQUENTIAL",
    "Figure",
    "colorize",
    "overlay_map",
    "plot_grid",
    "plot_maps",
    "plot_saliency",
    "plot_spread",
]
