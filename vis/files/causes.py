"""Why a model file cannot be loaded: which of its parts cannot be created, in a few words."""

from __future__ import annotations

import copy
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras

from vis.files.reading import dicts_in, first_line

# What models are made of. Other parts of Keras load files, change settings or fetch from the network.
MODELING = frozenset(
    "activations constraints dtype_policies engine initializers layers losses metrics models ops optimizers "
    "quantizers random regularizers".split()
)
FUNCTIONS = frozenset({"activations", "losses", "metrics", "ops"})


def cause(path: Path, error: Exception) -> str:
    """Return why the model in a file could not be loaded.

    It names the innermost part of the configuration that cannot be created. The loaders' own messages often
    begin with the configuration of the whole model.

    Args:
        path: the file.
        error: what the loaders have raised.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                config = archive.read("config.json")
        else:
            with h5py.File(path, "r") as file:
                config = file.attrs["model_config"]
        found = _unmade(json.loads(config), "", True)
    except Exception:  # whatever the bytes provoke; what the loaders say of them stands
        found = None
    return found or first_line(error)


def unknown(what: str, name: str) -> str:
    """Return the message for an unknown custom object."""
    return f"{what} is unknown: load it in Python with custom_objects={{{name!r}: {name}}}."


def is_registered(item: dict[str, Any]) -> bool:
    """Tell whether a part of a configuration is of a class or function that is registered with Keras."""
    names = (item.get("registered_name"), item.get("config") if item["class_name"] == "function" else None)
    return any(
        isinstance(name, str) and keras.saving.get_registered_object(name) is not None for name in names
    )


def _unmade(item: Any, layer: str, listed: bool) -> str | None:
    """Return which part of a configuration cannot be created, the innermost first, and why; or None.

    Args:
        item: a part of a configuration.
        layer: the name of the layer that it belongs to.
        listed: whether it stands where a layer does.
    """
    if isinstance(item, list):
        return next((found for part in item if (found := _unmade(part, layer, listed))), None)
    if not isinstance(item, dict):
        return None
    kind, config = item.get("class_name"), item.get("config", {})
    is_layer = isinstance(config, dict) and (listed or {"name", "trainable"} <= config.keys())
    name = str(config.get("name", layer)) if is_layer else layer
    parts = ((part, key in ("layers", "layer")) for key, part in item.items())
    inner = next((found for part, listed in parts if (found := _unmade(part, name, listed))), None)
    if inner or not isinstance(kind, str) or is_registered(item):
        return inner
    if kind == "function":
        known = _is_in(FUNCTIONS, str(config))
        return None if known else unknown(f"the function `{config}` of the layer {layer!r}", str(config))
    if not is_layer or "layers" in config:
        return None
    if _is_in(MODELING, kind) or str(item.get("module")).split(".")[0] == "keras":
        return None if _holds_layers(config) else _refusal(kind, config)
    kind = kind.split(">")[-1]  # behind the package that it was registered for
    return unknown(f"the layer `{kind}`" + (f" ({name!r})" if name else ""), kind)


def _refusal(kind: str, config: dict[str, Any]) -> str | None:
    """Return why a layer of Keras's own cannot be created, or None if it can."""
    if not hasattr(keras.layers, kind):
        return None
    try:
        getattr(keras.layers, kind).from_config(copy.deepcopy(config))
    except Exception as error:  # whatever the values provoke
        said = str(error).split("Exception encountered:")[-1].split("Full object config:")[0]
        return (
            f"the layer {config.get('name')!r} ({kind}): {' '.join(said.split()).rstrip('.')}. It was saved "
            f"by another version of Keras: save it again there, or load it in Python with custom_objects."
        )
    return None


def _holds_layers(item: Any) -> bool:
    """Tell whether a configuration contains those of layers, which have been checked on their own."""
    found = [part.get("config") for part in dicts_in(item) if "class_name" in part]
    return any(isinstance(config, dict) and {"name", "trainable"} <= config.keys() for config in found)


def _is_in(rooms: frozenset[str], name: str) -> bool:
    return hasattr(keras, name) or any(hasattr(getattr(keras, room, None), name) for room in rooms)
