"""Keras models in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from vis.errors import ModelError
from vis.files.reading import first_line


def load_model(path: str | Path) -> Any:
    """Return the Keras model in a `.keras` or `.h5` file, loaded in safe mode: no code in the file is run.

    Raises:
        ModelError: if the file is no such model, or holds a `Lambda` layer with code.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"There is no model file {str(path)!r}. Pass the path of a .keras or .h5 file.")
    try:
        if path.suffix in (".h5", ".hdf5"):
            _refuse_code(path)
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:  # the loaders raise whatever the bytes provoke
        raise ModelError(
            f"{str(path)!r} could not be read as a Keras model (.keras or .h5): {first_line(error)}"
        ) from error


def _refuse_code(path: Path) -> None:
    """Raise for an HDF5 model with a `Lambda`, whose code older versions of Keras run even in safe mode."""
    import h5py

    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    if config is None:
        raise ModelError(
            f"{str(path)!r} holds no model, perhaps weights alone. Save it whole: model.save('model.keras')."
        )
    pending = [json.loads(config)]
    while pending:
        item = pending.pop()
        if isinstance(item, dict) and item.get("class_name") == "Lambda":
            raise ModelError(
                f"{str(path)!r} has a Lambda layer, which holds code. It is not run. "
                "Load the model yourself if you trust it, and call the library from Python."
            )
        if isinstance(item, dict | list):
            pending += item.values() if isinstance(item, dict) else item
