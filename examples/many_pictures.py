"""
Explain 50,000 pictures
=======================

``write`` explains any number of pictures in constant memory and continues after a stop. You learn how to
run it, how to read what it wrote, how to make a report that can be mailed, and how to use many machines.
"""

# %%
# It needs ``pip install "keras-vis3[zarr]"``. Here 300 scenes stand for a folder of photographs; any data
# set or generator of batches is read lazily. On the command line it is ``vis explain model.keras photos/ -o
# maps.zarr``.

import importlib.util
import tempfile
from pathlib import Path

import vis
from vis import plotting
from vis.attributions import Saliency, store
from vis.demo.network import load_network
from vis.demo.scenes import make_scenes

folder = Path(tempfile.mkdtemp())
# sphinx_gallery_start_ignore
# isort: split
from vis.demo.script import Script

script = Script(globals())
# sphinx_gallery_end_ignore
explainer = Saliency(vis.linear_outputs(load_network()))
scenes = make_scenes(300, "test", 8)


def batches(stop):
    """Yield the scenes in batches, and stop before batch `stop`, as a process that is killed."""
    for number, first in enumerate(range(0, 300, 50)):
        if number == stop:
            raise KeyboardInterrupt
        yield scenes.images[first : first + 50], scenes.labels[first : first + 50]


# %%
# The run stops in the middle. Run again, it continues where it was: what is written is not explained again.

try:
    explainer.write(batches(stop=4), folder / "maps.zarr", progress=False)
except KeyboardInterrupt:
    print(f"stopped after {store.read(folder / 'maps.zarr').shape[0]} scenes")
explainer.write(batches(stop=None), folder / "maps.zarr", progress=False)

# %%
# Rows are NumPy arrays, from any part of the group, without the model. Let us see the scenes with the
# lowest scores.

scores = store.read(folder / "maps.zarr", name="scores")
predictions = store.read(folder / "maps.zarr", name="predictions")
print(f"{len(scores)} scenes, {(predictions == scenes.labels).sum()} named correctly")
low = scores.argsort()[:6]
figure = plotting.plot_maps(
    scenes.images[low],
    store.read(folder / "maps.zarr")[low],
    [f"{scenes.labels[i]}, named {predictions[i]}: {scores[i]:.1f}" for i in low],
    boxes=scenes.masks[low],
    name="saliency",
    title="The scenes with the lowest scores (logits) of 300",
)
# sphinx_gallery_start_ignore
script.save(figure)
# sphinx_gallery_end_ignore
figure

# %%
# One HTML file with all pictures inside, which can be sorted and searched, and a table for a spreadsheet
# beside it:

report = vis.report(folder / "maps.zarr", images=scenes.images, progress=False)
print(f"{report.name}: {report.stat().st_size / 1e6:.1f} MB, and {report.with_suffix('.csv').name}")

# %%
# On many machines, with `Ray <https://docs.ray.io>`_: a function makes the explainer, once for each worker.
# The maps come in the order of the inputs.


def make():
    return Saliency(vis.linear_outputs(load_network()))


if importlib.util.find_spec("ray") is None:
    print('the part on Ray is left out: pip install "keras-vis3[ray]"')
else:
    import ray

    from vis.attributions import ray as on_ray

    ray.init(num_cpus=2, log_to_driver=False)  # ray.init("auto") joins a cluster
    pictures = ray.data.from_items([{"image": image} for image in scenes.images[:50]])
    on_ray.write(pictures, make, folder / "on_ray.zarr")
    ray.shutdown()
    print(f"on Ray: maps {store.read(folder / 'on_ray.zarr').shape}")
