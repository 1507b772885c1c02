"""
Watch a picture emerge from noise
=================================

Callbacks see every step of an optimization. You learn how to save its steps as an animated GIF and how to
keep them as arrays.
"""

# %%
# ``GifGenerator`` writes a frame per step. A callback of your own is a class with a method.

import tempfile
from pathlib import Path

import numpy as np

from vis import linear_outputs, plotting, visualize_activation
from vis.callbacks import GifGenerator, OptimizerCallback
from vis.demo.network import load_network

DIGIT, STEPS = 0, 100
folder = Path(tempfile.mkdtemp())
# sphinx_gallery_start_ignore
# isort: split
import click

from vis.demo.script import Script

script = Script(
    globals(),
    click.Option(["--digit"], type=click.IntRange(0, 9), default=DIGIT, show_default=True),
    click.Option(["--steps"], type=click.IntRange(min=5), default=STEPS, show_default=True),
)
DIGIT, STEPS = script.options["digit"], script.options["steps"]
folder = script.output or folder
# sphinx_gallery_end_ignore


class Keep(OptimizerCallback):
    """Keeps the picture of every step."""

    def __init__(self):
        self.images = []

    def callback(self, i, named_losses, overall_loss, grads, wrt_value):
        self.images.append(wrt_value[0])


# %%
# Every step moves the picture so that the logit of the class rises.

network = load_network()
keep = Keep()
visualize_activation(
    linear_outputs(network),
    -1,
    DIGIT,
    input_range=(0, 1.0),
    parameterization="fourier",
    max_iter=STEPS,
    seed=0,
    callbacks=[GifGenerator(folder / "optimization_gif.gif", input_range=(0, 1)), keep],
)
print(f"{len(keep.images)} frames in {(folder / 'optimization_gif.gif').name}")

# %%
# Five of the steps, most of them early ones, because that is when most of it happens:

shown = np.geomspace(1, STEPS, 5).round().astype(int) - 1
frames = np.stack([keep.images[i] for i in shown])
probabilities = network.predict(frames, verbose=0)[:, DIGIT]
for step, probability in zip(shown, probabilities, strict=True):
    print(f"step {step + 1}: the network takes it for {DIGIT} with probability {probability:.2f}")
figure = plotting.plot_pictures(
    {"": frames},
    {"": [f"step {step + 1}: p = {p:.2f}" for step, p in zip(shown, probabilities, strict=True)]},
    f"A picture optimized for {DIGIT}, and the probability p of {DIGIT}",
    size=2,
)
# sphinx_gallery_start_ignore
script.save(figure, dpi=110)
# sphinx_gallery_end_ignore
figure

# %%
# The probability rises early, while the picture is still nearly grey: what raises a class most need not
# look natural.
