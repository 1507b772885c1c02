"""Train the demo's network: python benchmarks/demo_network.py [--output PATH] [--seed N]."""

from __future__ import annotations

from pathlib import Path

import click
import keras

from vis.demo.network import build_network
from vis.demo.scenes import make_scenes

ROUNDS = 8
SCENES_PER_ROUND = 3000
BATCH = 64
TEST_SCENES = 1000
TEST_SEED = 1


def train_network(seed: int) -> keras.Model:
    """Train a new network; equal seeds on the same machine and versions give equal weights."""
    keras.utils.set_random_seed(seed)
    model = build_network()
    steps = ROUNDS * SCENES_PER_ROUND // BATCH
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        # XLA takes longer to compile and to run this network on a CPU than it saves.
        jit_compile=False,
    )
    for turn in range(ROUNDS):
        # 1,397 digits are few: new positions and photographs in every round keep the
        # network from learning the scenes by heart.
        scenes = make_scenes(SCENES_PER_ROUND, "train", seed * ROUNDS + turn)
        fit = model.fit(scenes.images, scenes.labels, batch_size=BATCH, shuffle=False, verbose=0)
        click.echo(
            f"round {turn + 1}/{ROUNDS}: loss {fit.history['loss'][0]:.3f}, "
            f"accuracy {fit.history['accuracy'][0]:.3f}"
        )
    return model


def measure_accuracy(model: keras.Model) -> float:
    """Return the share in [0, 1] of 1,000 test scenes that the network labels correctly."""
    scenes = make_scenes(TEST_SCENES, "test", TEST_SEED)
    predicted = model.predict(scenes.images, batch_size=250, verbose=0).argmax(axis=-1)
    return float((predicted == scenes.labels).mean())


@click.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    default=Path("digit_scenes.weights.h5"),
    show_default=True,
    help="Where to save the weights; must end in .weights.h5.",
)
@click.option("--seed", type=click.IntRange(min=0, max=2**31 - 1), default=0, show_default=True)
def main(output: Path, seed: int) -> None:
    """Train the demo's network, print its accuracy on test scenes and save its weights."""
    # Checked before the training, since Keras would refuse only after it.
    if not output.name.endswith(".weights.h5"):
        raise click.BadParameter(
            f"must end in .weights.h5, got {output}: add that ending", param_hint="--output"
        )
    if not output.absolute().parent.is_dir():
        raise click.BadParameter(
            f"the folder of {output} does not exist: create it first", param_hint="--output"
        )
    model = train_network(seed)
    click.echo(f"accuracy on {TEST_SCENES} test scenes: {measure_accuracy(model):.3f}")
    # A compiled model would save its optimizer too and triple the file.
    shipped = build_network()
    shipped.set_weights(model.get_weights())
    shipped.save_weights(output)
    click.echo(f"saved {output}")


if __name__ == "__main__":
    main()
