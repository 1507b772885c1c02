"""The explorer of a model that a program holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from vis import checks
from vis.errors import ModelError
from vis.explorer.session import Session
from vis.reports.labels import Labels
from vis.typing import Data

if TYPE_CHECKING:
    from vis.explorer.server import Explorer

# Of notebooks on this machine.
_NOTEBOOKS = ("http://localhost:*", "http://127.0.0.1:*", "https://localhost:*", "https://127.0.0.1:*")


def explore(
    model: keras.Model,
    images: Data | str | Path | list[str] | list[Path] | None = None,
    *,
    port: int = 0,
    input_range: tuple[float, float] | None = None,
    labels: Labels | None = None,
    words: Labels | None = None,
    features: Sequence[str] | None = None,
) -> Explorer:
    """Return a running explorer of a model, which shows itself in a frame in a notebook.

    The page is served at an address of this machine, `Explorer.url`, until `Explorer.close` or the end of the
    program. It has a token that changes with each call.

    Args:
        model: a functional or sequential Keras model whose inputs are pictures, volumes, series, words or
            tables.
        images: a batch of inputs, as `Model.predict` takes it; or, for a model of one picture, a folder or
            paths of pictures; or paths of `.npy` and `.npz` files with an array for each input. More can be
            added on the page.
        port: the port of the address; 0 for a free one.
        input_range: the model's values for black and white, for pictures in files; None to read it from the
            model.
        labels: the names of the classes: a file, a sequence or a mapping, as in `vis.report`.
        words: the words by their number, in the same forms, for inputs that are words; the empty word is
            padding.
        features: the names of the features of a table.

    Raises:
        ModelError: if the model has no symbolic inputs.
        InputError: if the images are not such, an input has more than four axes, or the port cannot be used.
        ImportError: without the packages of the extra `explore`.
    """
    server = checks.extra("explore", "vis.explorer.server", "The explorer needs Starlette and uvicorn")
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"model must be a Keras model. Received: {type(model).__name__}. Load a file first.")
    checks.whole("port", port, 0)
    listed = images if isinstance(images, list | tuple) else [images]
    in_files = images is None or (bool(listed) and all(isinstance(each, str | Path) for each in listed))
    what = "the `model`" if in_files else "the `model` and the `images`"
    opened = (f"# Define here {what} that were passed to vis.explore.",)
    made = Session(
        model, images, opened, labels=labels, words=words, features=features, input_range=input_range
    )
    explorer: Explorer = server.Explorer(lambda: made, port=port, frames=_NOTEBOOKS).start()
    return explorer
