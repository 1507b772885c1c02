"""Regression: what raises, lowers and leaves alone the steering angle that a small network reads off a road.

The roads are rendered: two lane lines in perspective, coloured blocks and noise that say nothing about the
angle. The network is trained here. More brightness increases the angle (to the right) where the gradient is
positive and decreases it (to the left) where it is negative: the signed map, with zero in the middle of its
colours, shows both. They lie on the lane lines and right beside them, where a line would stand if the road
turned a little more or less. `small_values`, the map of what "maintains" the angle, is large where the
gradient is nearly zero: it shows single pixels that the angle does not depend on, not what keeps the angle
as it is.
"""

from pathlib import Path

import click
import keras
import numpy as np

from vis import metrics, plotting, visualize_saliency

HEIGHT, WIDTH, HORIZON = 40, 80, 12
ROADS = 20
CURVES = {"left": -0.8, "straight": 0.0, "right": 0.8}


def draw_road(angle: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture (40, 80, 3) in [0, 1], and where its lane lines and the pixels beside them are."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    near = np.clip((rows - HORIZON) / (HEIGHT - 1 - HORIZON), 0, 1)
    centre = WIDTH / 2 + rng.uniform(-6, 6) * near + 24 * angle * (1 - near) ** 2
    half = 3 + 22 * near
    to_line = np.abs(np.abs(columns - centre) - half) - (0.8 + 1.8 * near)
    ground = rows > HORIZON
    image = np.where(ground[..., None], rng.uniform(0.1, 0.5, 3), rng.uniform(0.3, 1.0, 3))
    image[ground & (np.abs(columns - centre) < half)] = rng.uniform(0.2, 0.5)
    for top, left in zip(rng.integers(0, HEIGHT, 12), rng.integers(0, WIDTH, 12), strict=True):
        height, width = rng.integers(3, 10, 2)
        image[top : top + height, left : left + width] = rng.uniform(0.0, 0.8, 3)
    image[ground & (to_line <= 0)] = rng.uniform(0.85, 1.0)
    noisy = np.clip(image + rng.normal(0, 0.1, image.shape), 0, 1)
    return noisy.astype(np.float32), ground & (to_line <= 1)


def train_network(rng: np.random.Generator) -> keras.Model:
    """Return a network from a picture to its angle in [-1, 1]: -1 steers left, 1 right."""
    keras.utils.set_random_seed(0)
    angles = rng.uniform(-1, 1, 2500)
    images = np.stack([draw_road(angle, rng)[0] for angle in angles])
    layers = [keras.Input((HEIGHT, WIDTH, 3))]
    for filters in (8, 16, 32, 32):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        # Average pooling spreads the gradient evenly over a stroke; max pooling picks single pixels.
        layers.append(keras.layers.AveragePooling2D(2))
        # Without it the network relies on few filters, and more of the gradient strays from the lane.
        layers.append(keras.layers.SpatialDropout2D(0.1))
    layers += [keras.layers.Flatten(), keras.layers.Dropout(0.3)]
    layers += [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1)]
    network = keras.Sequential(layers)
    network.compile(keras.optimizers.Adam(2e-3), "mse", jit_compile=False)
    network.fit(images, angles, epochs=5, verbose=0)
    return network


@click.command()
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), default="pictures")
def main(output: Path) -> None:
    """Train the network, and draw the maps of a left curve, a straight road and a right curve."""
    rng = np.random.default_rng(0)
    network = train_network(rng)
    images, names, signed, small = [], [], [], []
    click.echo(f"means of {ROADS} roads; shares of the lane lines and the pixels beside them in:")
    for curve, angle in CURVES.items():
        roads, lanes = map(np.stack, zip(*(draw_road(angle, rng) for _ in range(ROADS)), strict=True))
        answers = network.predict(roads, verbose=0)[:, 0]
        images.append(roads[0])
        names.append(f"{curve}, {angle:+.1f}\nread as {answers[0]:+.2f}")
        gradients, idle = (
            np.stack([visualize_saliency(network, -1, 0, road, **options) for road in roads])
            for options in ({"grad_modifier": None, "normalize": "signed"}, {"grad_modifier": "small_values"})
        )
        signed.append(gradients[0])
        small.append(idle[0])
        parts = {
            "increases": np.maximum(gradients, 0),
            "decreases": np.maximum(-gradients, 0),
            "maintains": idle,
        }
        shares = {name: metrics.energy_in_mask(part, lanes).mean() for name, part in parts.items()}
        figures = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
        click.echo(f"{curve} {angle:+.1f} (answer {answers.mean():+.2f}): area {lanes.mean():.2f}, {figures}")
    columns = {
        "raises (red), lowers (blue)\ngradient": signed,
        "maintains\n1 / (|gradient| + e)": small,
    }
    figure = plotting.plot_grid(images, columns, names, "What more brightness does to the steering angle")
    figure.set_size_inches(8.6, 4.6)
    output.mkdir(parents=True, exist_ok=True)
    figure.savefig(output / "regression_steering.png", dpi=110)


if __name__ == "__main__":
    main()
