"""Keras models in files, loaded without running code that such a file may hold.

Keras's own safe mode refuses the code of a `Lambda`. Versions of Keras differ in what else they let a file
name: some allow any function of any module. So this module checks first what a file names, in the same way
for all versions.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from vis import checks
from vis.errors import ModelError
from vis.files.causes import FUNCTIONS, MODELING, cause, is_registered, unknown
from vis.files.reading import dicts_in

# Each of these a layer has weights for.
_SIZES, _FEW = ("units", "filters", "input_dim", "output_dim"), 2**16
# Those of models inside a model are made, too. On PyTorch, files name them by modules that need PyTorch.
_OPTIMIZERS = {name: kind for name, kind in vars(keras.optimizers).items() if isinstance(kind, type)}
# A file may be compressed to a part of what it holds; a small one may hold some more.
_EXPANDED, _SPARE = 10, 2**26


def load_model(path: str | Path, safe_mode: bool = True) -> Any:
    """Return the Keras model in a `.keras` or `.h5` file.

    Args:
        path: the file.
        safe_mode: whether to refuse a file that holds code, names objects that are neither Keras's own nor
            registered with Keras, reads other files, or expands to far more than its size. Without this
            check, a file can do anything that a program can.

    Raises:
        ModelError: if the file is not such a model, or is refused.
    """
    path = checks.model_file(path)
    try:
        if safe_mode:
            _check(path)
        return keras.models.load_model(path, _OPTIMIZERS, compile=False, safe_mode=safe_mode)
    except ModelError:
        raise
    except Exception as error:  # the loaders raise whatever the bytes provoke
        raise ModelError(
            f"{str(path)!r} could not be read as a Keras model (.keras or .h5): {cause(path, error)}"
        ) from error


def _check(path: Path) -> None:
    """Raise for a file that does not hold a valid model.

    Raises:
        ModelError: in words.
        Exception: what the bytes provoke.
    """
    size = path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_size(path, size, sum(item.file_size for item in archive.infolist()))
            config, numbers = json.loads(archive.read("config.json")), 0
            for name in archive.namelist():
                if name.endswith(".h5"):
                    # In memory, as Keras reads it: in an archive, a step back reads again from the start.
                    held = io.BytesIO(archive.read(name))
                    with h5py.File(held, "r") as file:
                        numbers += _check_weights(path, size, file)
            _check_config(path, config, numbers)
    elif path.suffix in (".h5", ".hdf5"):
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            if config is None:
                raise ModelError(
                    f"{str(path)!r} does not contain a model, perhaps only weights. Save the whole model: "
                    "model.save('model.keras')."
                )
            _check_config(path, json.loads(config), _check_weights(path, size, file))


def _check_size(path: Path, size: int, expanded: int) -> None:
    if expanded > _EXPANDED * size + _SPARE:
        raise _refused(path, f"would expand from {size:,} to {expanded:,} bytes")


def _check_config(path: Path, config: Any, numbers: int) -> None:
    """Raise for a configuration that names objects no model needs, or layers larger than the weights."""
    for item in dicts_in(config):
        reason = _reason(item) or _excess(item, numbers)
        if reason:
            raise _refused(path, reason)


def _refused(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"{str(path)!r} {reason}. It is not loaded. If you trust whoever made the file: safe_mode=False, "
        "on the command line --no-safe-mode."
    )


def _reason(item: dict[str, Any]) -> str | None:
    """Return what is wrong with a part of a model's configuration, or None."""
    name, module = item.get("class_name"), item.get("module")
    if name in ("Lambda", "__lambda__"):
        return "has a Lambda layer, which holds code"
    if name in ("TFSMLayer", "TorchModuleWrapper"):
        return f"has a {name}, which runs the code of another file"
    if isinstance(item.get("vocabulary"), str):
        return f"has a layer that reads the file {item['vocabulary']!r}"
    if not isinstance(module, str) or not isinstance(name, str) or is_registered(item):
        return None
    own = module.startswith("keras.")
    room = module.removeprefix("keras.").removeprefix("src.").split(".")[0]
    if name == "function":
        name = str(item.get("config"))
        # Keras's own functions, too, are said to be of the builtins.
        rooms = FUNCTIONS if module == "builtins" else FUNCTIONS & {room} if own else ()
        known = any(hasattr(getattr(keras, each), name) for each in rooms)
    else:
        known = module == "keras" or (own and room in MODELING) or _is_optimizer(module, name)
    if known:
        return None
    told = unknown(f"names {module}.{name}, which is neither Keras's nor registered with Keras, and", name)
    return told.removesuffix(".")


def _is_optimizer(module: str, name: str) -> bool:
    """Tell whether a class is one of Keras's optimizers as a backend implements it; PyTorch's has such."""
    backend = r"keras\.(src\.)?backend\.[a-z]+\.optimizers(\.[a-z_]+)?"
    return re.fullmatch(backend, module) is not None and hasattr(keras.optimizers, name)


def _excess(item: dict[str, Any], numbers: int) -> str | None:
    """Return how a layer is larger than all weights in the file, or None."""
    config = item.get("config")
    if not isinstance(config, dict) or "class_name" not in item:
        return None
    for key in _SIZES:
        size = config.get(key)
        if isinstance(size, int) and size > max(numbers, _FEW):
            return f"has a layer with {key} = {size:,}, and {numbers:,} numbers as weights"
    return None


def _check_weights(path: Path, size: int, file: h5py.File) -> int:
    """Return how many numbers are held; raise for such that lie elsewhere, or are far more than fit."""
    sizes, numbers = [], 0
    for name, link in _links(file):
        if not isinstance(link, h5py.HardLink):
            raise _refused(path, f"refers to weights outside the file, {name!r}")
        held = file[name]
        if isinstance(held, h5py.Dataset):
            if held.external or held.is_virtual:
                raise _refused(path, f"refers to weights outside the file, {name!r}")
            sizes.append(math.prod(held.shape) * held.dtype.itemsize)
            numbers += math.prod(held.shape)
    _check_size(path, size, sum(sizes))
    return numbers


def _links(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield the names of all that a file holds, with how it holds that."""
    pending, seen = [file], set()
    while pending:
        group = pending.pop()
        for name in group:
            link = group.get(name, getlink=True)
            yield f"{group.name}/{name}".replace("//", "/"), link
            held = group[name] if isinstance(link, h5py.HardLink) else None
            if isinstance(held, h5py.Group) and held.id not in seen:
                seen.add(held.id)
                pending.append(held)
