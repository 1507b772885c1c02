"""The command as a shell runs it, and models to run it on."""

import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from vis import cli


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process and return its exit code, stdout and stderr."""
    old = sys.argv
    sys.argv = ["vis", *map(str, arguments)]
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.showwarning", None)
            patch.setattr("warnings.filters", [])
            cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.argv = old
    out, err = capfd.readouterr()
    return code, out, err


def loaded_by(*arguments: object) -> tuple[set[str], str]:
    """Return which modules a command has imported in a process of its own, and what it said on stderr."""
    script = "import sys\nfrom vis.cli import main\ntry: main()\nfinally: print(' '.join(sys.modules))"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    return set(done.stdout.splitlines()[-1].split()), done.stderr


def rgb(*size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def stacked(*held: Any) -> keras.Model:
    return keras.Sequential(list(held), name="body")


# The last layer of a model, called on features and on their mean over the positions.
ENDS = {
    "model": lambda x, flat: stacked(layers.Flatten(), layers.Dense(5, "softmax", name="classes"))(x),
    "model in a model": lambda x, flat: stacked(layers.ReLU(), stacked(layers.Dense(5, "softmax")))(flat),
    "model of logits": lambda x, flat: stacked(layers.Dense(5))(flat),
    "operation": lambda x, flat: keras.ops.multiply(layers.Dense(5)(flat), 2.0),
    "softmax layer": lambda x, flat: layers.Softmax(name="softmax")(layers.Dense(5, name="logits")(flat)),
    "softmax operation": lambda x, flat: keras.ops.softmax(layers.Dense(5, name="logits")(flat)),
    "map": lambda x, flat: layers.Conv2D(5, 1, activation="softmax", name="classes")(x),
}


def headed(end: str) -> keras.Model:
    """Return a model of pictures of 12 x 12 whose last layer is of a kind."""
    inputs = layers.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, ENDS[end](x, layers.GlobalAveragePooling2D()(x)))
