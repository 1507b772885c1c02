"""
What a filter looks for
=======================

``visualize_activation`` makes a picture that excites a filter as much as possible. You learn how to make
the pictures of many filters at once, and how to measure whether they show what the filters respond to.
"""

# %%
# The pictures are sums of waves in decorrelated colours, and are seen through random moves, turns and
# scalings (``parameterization="fourier"``): only what survives these can excite the filter. The layers are
# those before a ReLU, where no filter is dead.

import keras
import numpy as np

from vis import plotting, visualize_activation
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

STEPS = 100
# sphinx_gallery_start_ignore
# isort: split
import click

from vis.demo.script import Script

script = Script(
    globals(), click.Option(["--steps"], type=click.IntRange(min=1), default=STEPS, show_default=True)
)
STEPS = script.options["steps"]
# sphinx_gallery_end_ignore
network = load_network()
scenes = make_scenes(100, "test", 4).images

# %%
# Of each layer we take the eight filters that respond most to scenes, because filters that scenes hardly
# excite have little to show. Then we compare: how much does its picture excite a filter, as a multiple of
# what a scene does?

layers = ("norm2", "norm3", "norm4")
means = {name: keras.ops.mean(keras.ops.relu(network.get_layer(name).output), axis=(1, 2)) for name in layers}
responses = keras.Model(network.inputs, means)
to_scenes = responses.predict(scenes, batch_size=len(scenes), verbose=0)
rows, labels = {}, {}
for name in layers:
    usual = to_scenes[name].mean(axis=0)
    chosen = np.sort(np.argsort(usual)[-8:])
    rows[name] = visualize_activation(
        network,
        name,
        chosen,
        each=True,
        input_range=(0, 1.0),
        parameterization="fourier",
        max_iter=STEPS,
        seed=0,
    )
    to_pictures = responses.predict(rows[name], verbose=0)[name][:, chosen]
    ratios = np.diag(to_pictures) / usual[chosen]
    own = (to_pictures.argmax(axis=0) == np.arange(8)).sum()
    print(
        f"{name}: its picture excites a filter {np.median(ratios):.1f} times as much as a scene does; "
        f"for {own} of 8 filters no other of these pictures excites it more"
    )
    labels[name] = [f"[{filter}] {ratio:.1f} x" for filter, ratio in zip(chosen, ratios, strict=True)]

# %%
# A row per layer, the earliest on top.

title = "What filters look for: [filter], and its response as a multiple of that to a scene"
figure = plotting.plot_pictures(rows, labels, title)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# Early filters look for strokes of a slant and a colour, later ones for textures of them. A picture shows
# one thing that excites a filter, and not all of them: other starts (``seed``) can show others.
