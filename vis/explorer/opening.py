"""The explorer of a model that a program holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
import numpy.typing as npt

from vis import checks
from vis.errors import ModelError
from vis.explorer.session import Session

if TYPE_CHECKING:
    from vis.explorer.server import Explorer

# Of notebooks on this machine.
_NOTEBOOKS = ("http://localhost:*", "http://127.0.0.1:*", "https://localhost:*", "https://127.0.0.1:*")


def explore(
    model: keras.Model,
    images: npt.NDArray[np.generic] | str | Path | list[str] | list[Path] | None = None,
    *,
    port: int = 0,
    input_range: tuple[float, float] | None = None,
) -> Explorer:
    """Return a running explorer of a model, which shows itself in a frame in a notebook.

    The page is served at an address of this machine, `Explorer.url`, until `Explorer.close` or the end of the
    program. It has a token that changes with each call.

    Args:
        model: a Keras model with one picture as its input, `(height, width, channels)`, and one output.
        images: inputs of the model, `(N, height, width, channels)`, or a folder or paths of pictures. More
            pictures can be added on the page.
        port: the port of the address; 0 for a free one.
        input_range: the model's values for black and white, for pictures in files; None to read it from the
            model.

    Raises:
        ModelError: if the model does not take one picture.
        LayerError: if it has several outputs.
        InputError: if the images are not such, or the port cannot be used.
        ImportError: without the packages of the extra `explore`.
    """
    server = checks.extra("explore", "vis.explorer.server", "The explorer needs Starlette and uvicorn")
    import keras

    if not isinstance(model, keras.Model):
        raise ModelError(f"model must be a Keras model. Received: {type(model).__name__}. Load a file first.")
    checks.whole("port", port, 0)
    opened = (
        "# Define here the `model` that was passed to vis.explore, and its `images`."
        if hasattr(images, "shape")
        else "# Define here the `model` that was passed to vis.explore.",
    )
    made = Session(model, images, opened, input_range=input_range)
    explorer: Explorer = server.Explorer(lambda: made, port=port, frames=_NOTEBOOKS).start()
    return explorer
