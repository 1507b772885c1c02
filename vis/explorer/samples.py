"""The samples of the strip: files, arrays, and those that are added to the page, each named by a number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from vis import checks, files, inputs, models
from vis.errors import InputError, SkippedWarning, warn
from vis.explorer.slots import Array, Slot
from vis.files.arrays import is_arrays, load_arrays
from vis.plotting.over import as_picture
from vis.question import PictureInput

# In the strip. A folder or an array may hold more.
MOST_SAMPLES = 1000
# Added to the page, which are kept in memory.
MOST_ADDED = 64
MOST_BYTES = 2**25
ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class Sample:
    """A sample as a person and as the model sees it.

    Args:
        name: shown in the page.
        code: the lines of Python that define `sample`, a batch of one in the structure of the inputs.
        read: returns the inputs in flat order, each `(1, ...)`.
        pixels: by the number of an input that is a picture: returns it as it is shown, 0 to 255.
        added: whether it was added to the page.
        named: whether `sample` is a dict by the names of the inputs.
    """

    name: str
    code: tuple[str, ...]
    read: Callable[[], list[Array]]
    pixels: dict[int, Callable[[], npt.NDArray[np.float32]]]
    added: bool = False
    named: bool = False


class Strip:
    """The samples of a session. Numbers stay: a sample is never taken out or moved.

    Args:
        model: takes the samples.
        slots: its inputs.
        pictures: by the number of an input: how pictures become it.
        given: pictures, folders of pictures and files of arrays, or a batch of inputs; None for none.
        name: what the batch is called in a script.

    Raises:
        InputError: if there is nothing at a path, or a batch does not fit the model.

    Warns:
        SkippedWarning: for symbolic links that lead out of a folder.
    """

    def __init__(
        self,
        model: keras.Model,
        slots: Sequence[Slot],
        pictures: dict[int, PictureInput],
        given: Any = None,
        name: str = "images",
    ) -> None:
        self._symbols = models.input_structure(model)
        self._slots, self._pictures = slots, pictures
        self._lock = threading.Lock()
        self._all: list[Sample] = []
        self.found = 0
        if given is None:
            return
        if isinstance(given, str | Path):
            given = [given]
        if isinstance(given, Sequence) and given and all(isinstance(each, str | Path) for each in given):
            for path in map(Path, given):
                if path.suffix.lower() in ARRAYS:
                    self._append(self._in_file(path.resolve(), path.name))
                else:
                    self._read(path)
            return
        self._append(self._in_batch(given, name))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, number: int) -> Sample:
        if not 0 <= number < len(self._all):
            raise InputError(
                f"There are {len(self._all)} samples, numbered from 0. Received: number {number}. "
                "Choose one of the strip."
            )
        return self._all[number]

    def names(self) -> list[str]:
        """Return the names of the samples."""
        return [sample.name for sample in self._all]

    def shown(self, number: int, slot: int = 0) -> npt.NDArray[np.uint8]:
        """Return a picture as it is shown, uint8 `(height, width, 3)`.

        Raises:
            InputError: if the input is not a picture.
        """
        sample = self[number]
        if not 0 <= slot < len(self._slots) or self._slots[slot].kind not in ("picture", "volume"):
            raise InputError(f"Input {slot} is not a picture. Choose one of the {len(self._slots)} inputs.")
        if slot in sample.pixels:
            array: Array = np.rint(sample.pixels[slot]()).astype(np.uint8)
        else:
            array = sample.read()[slot][0]
        if self._slots[slot].kind == "volume":
            array = array[len(array) // 2]
        symbol = keras.tree.flatten(self._symbols)[slot]
        first = array.ndim == 3 == len(symbol.shape) - 1 and models.input_channel_axis(symbol, 4) == 1
        return as_picture(array, array.shape[1:] if first else array.shape[:2])

    def told(self, number: int) -> dict[str, Any]:
        """Return what the strip shows of a sample, and its inputs as a person can write them."""
        sample, values = self[number], None
        texts: list[str | None] = [None] * len(self._slots)
        preview = []
        for index, slot in enumerate(self._slots):
            if slot.kind == "picture":
                continue
            values = values or sample.read()
            value = np.asarray(values[index][0], values[index].dtype)
            texts[index] = slot.text(value) if slot.typed else None
            preview.append(slot.preview(value))
        return {"preview": "; ".join(preview), "texts": texts}

    # ---- what is given at the start

    def _read(self, path: Path) -> None:
        """Append a picture, or those of a folder."""
        how = self._pictures.get(0) if len(self._slots) == 1 else None
        if how is None:
            raise InputError(
                f"This model does not take one picture. Received: {str(path)!r}. Pass a .npy or .npz file "
                f"with an array for each of its inputs: {', '.join(slot.name for slot in self._slots)}."
            )
        found = checks.pictures(path)
        if path.is_dir():
            root = path.resolve()
            inside = [each for each in found if each.resolve().is_relative_to(root)]
            if outside := sorted(set(found) - set(inside)):
                warn(
                    f"{len(outside)} symbolic links that lead out of the folder {str(path)!r} are left out: "
                    f"{', '.join(str(each) for each in outside[:3])}{', ...' if len(outside) > 3 else ''}.",
                    SkippedWarning,
                )
            found = inside
        self.found += len(found)
        for each in found[: max(0, MOST_SAMPLES - len(self._all))]:
            # Where a link led when the list was made is what is read later.
            name = str(each.relative_to(path)) if path.is_dir() else each.name
            pixels = partial(_pixels, how, each.resolve(), name)
            self._all.append(self._picture(name, str(each.resolve()), how, pixels))

    def _picture(
        self, name: str, path: str, how: PictureInput, pixels: Callable[[], npt.NDArray[np.float32]]
    ) -> Sample:
        flat = len(self._slots[0].shape) == 2
        code = (*_reading(path, how), f"sample = image[None{', ..., 0' if flat else ''}]")

        def read() -> list[Array]:
            image = how.prepared(pixels())[None]
            return inputs.batch_of_inputs(self._symbols, image[..., 0] if flat else image)

        return Sample(name, code, read, {0: pixels})

    def _in_batch(self, batch: Any, name: str, code: Sequence[str] = ()) -> list[Sample]:
        """Return the samples of a batch in the structure of the inputs, called `name` in a script."""
        symbols, known = keras.tree.flatten(self._symbols), inputs.names(self._symbols)
        single, one, called = len(symbols) == 1, "", name
        if single:
            batch, name = _unwrapped(batch, symbols[0], known[0], name)
            if _is_sample(batch, symbols[0]):
                batch, one = batch[None], f"sample = {name}[None]"
        named = isinstance(batch, dict)
        arrays = inputs.batch_of_inputs(self._symbols, batch)
        if not len(arrays[0]):
            raise InputError(f"{called} must hold at least one sample. Received: none.")
        self.found += len(arrays[0])

        def line(row: int) -> str:
            part = f"[{row}:{row + 1}]"
            if named and set(batch) == set(known):
                return f"sample = {{key: value{part} for key, value in {name}.items()}}"
            if named:  # a data set may have more
                return f"sample = {{key: {name}[key]{part} for key in {known!r}}}"
            if not single:
                return f"sample = [value{part} for value in {name}]"
            return one or f"sample = {name}{part}"

        def read(row: int) -> list[Array]:
            return [array[row : row + 1] for array in arrays]

        return [
            Sample(
                called if one else f"{called}[{row}]", (*code, line(row)), partial(read, row), {}, named=named
            )
            for row in range(min(len(arrays[0]), MOST_SAMPLES))
        ]

    def _in_file(self, file: Path | bytes, name: str) -> list[Sample]:
        """Return the samples of a file of arrays."""
        held = load_arrays(file, name)
        path = str(file) if isinstance(file, Path) else name
        symbols = keras.tree.flatten(self._symbols)
        known = inputs.names(self._symbols)
        if "" in held or len(held) == 1 == len(symbols):
            batch: Any = next(iter(held.values()))
            code = [f"held = np.load({path!r})"]
            if "" not in held:
                code = [f"with np.load({path!r}) as file:", f"    held = file[{next(iter(held))!r}]"]
        else:
            if missing := [each for each in known if each not in held]:
                raise InputError(
                    f"{name!r} must hold an array for each input of the model: {', '.join(known)}. Received: "
                    f"{', '.join(held)}, without {missing[0]}."
                )
            batch = {each: held[each] for each in known}
            code = [f"with np.load({path!r}) as file:", f"    held = {{key: file[key] for key in {known!r}}}"]
        made = self._in_batch(batch, "held", code)
        return [replace(each, name=each.name.replace("held", Path(name).name, 1)) for each in made]

    def _append(self, samples: Sequence[Sample]) -> None:
        self._all += samples[: max(0, MOST_SAMPLES - len(self._all))]

    # ---- what is added on the page

    def add(self, name: str, data: bytes, number: int | None = None, slot: int = 0) -> int:
        """Add the samples of a file's bytes and return the number of the first.

        Args:
            name: of the file.
            data: a picture, or arrays for all inputs.
            number, slot: the sample that the picture is put into, as which input, for a model of several.

        Raises:
            InputError: if it is too large or of another kind, or too many were added.
        """
        name = Path(_printable(name.replace("\\", "/"))).name[:100] or "picture"
        if len(data) > MOST_BYTES:
            raise InputError(
                f"{name!r} has more than {MOST_BYTES:,} bytes. It is not read. Make the picture smaller."
            )
        if is_arrays(data):
            found = self._in_file(data, name)
            return self._added(found[:MOST_ADDED])
        if len(self._slots) > 1 and slot not in self._pictures:
            slot = next(iter(self._pictures), slot)
        how = self._pictures.get(slot)
        if how is None:
            raise InputError(
                f"This model takes no pictures. Received: {name!r}. Add a .npy or .npz file of its inputs."
            )
        picture = files.load_image(data, how.shape, how.fit, name=name)
        if len(self._slots) == 1:
            return self._added([self._picture(name, name, how, lambda: picture)])
        flat = len(self._slots[slot].shape) == 2
        value = how.prepared(picture)[..., 0] if flat else how.prepared(picture)
        code = (*_reading(name, how), self._putting(number, slot, f"image[None{', ..., 0' if flat else ''}]"))
        return self._changed(number, slot, value, code, f"{name}", {slot: lambda: picture})

    def write(self, number: int, slot: int, text: str) -> int:
        """Add a sample in which an input is what a person has written, and return its number.

        Raises:
            InputError: if the text is not such an input.
        """
        if not 0 <= slot < len(self._slots) or not self._slots[slot].typed:
            raise InputError(f"Input {slot} cannot be written. Add a .npy or .npz file instead.")
        value = self._slots[slot].parsed(text)
        literal = f"np.array({value[None].tolist()!r}" + (", object)" if value.dtype == object else ")")
        code = (self._putting(number, slot, literal),)
        return self._changed(number, slot, value, code, _printable(text[:40]), {})

    def _putting(self, number: int | None, slot: int, value: str) -> str:
        """Return the line that puts a value into `sample`, which is a copy of another one."""
        if len(self._slots) == 1:
            return f"sample = {value}"
        key = inputs.names(self._symbols)[slot] if self[number or 0].named else slot
        return f"sample[{key!r}] = {value}"

    def _changed(
        self,
        number: int | None,
        slot: int,
        value: Array,
        code: tuple[str, ...],
        name: str,
        pixels: dict[int, Callable[[], npt.NDArray[np.float32]]],
    ) -> int:
        """Add a sample that differs from another one in one input."""
        if len(self._slots) == 1:
            arrays, base = [value[None]], None
        else:
            base = self[number or 0]
            arrays = [*base.read()]
            arrays[slot] = value[None]
        checked = inputs.batch_of_inputs(self._symbols, keras.tree.pack_sequence_as(self._symbols, [*arrays]))
        lines = (*(base.code if base else ()), *code)
        kept = {key: read for key, read in (base.pixels if base else {}).items() if key != slot}
        named = base is not None and base.named
        return self._added([Sample(name or "empty", lines, lambda: checked, kept | pixels, named=named)])

    def _added(self, samples: Sequence[Sample]) -> int:
        with self._lock:
            if sum(each.added for each in self._all) + len(samples) > MOST_ADDED:
                raise InputError(f"{MOST_ADDED} samples have been added, no more are kept. Start again.")
            self._all += [replace(each, added=True) for each in samples]
            return len(self._all) - len(samples)


def _unwrapped(batch: Any, symbol: Any, key: str, name: str) -> tuple[Any, str]:
    """Return the batch of the only input without the dict or list around it, and its Python."""
    if isinstance(batch, dict) and key in batch:
        return batch[key], f"{name}[{key!r}]"
    if isinstance(batch, list | tuple) and len(batch) == 1 and hasattr(batch[0], "shape"):
        if len(batch[0].shape) == len(symbol.shape):
            return batch[0], f"{name}[0]"
    return batch, name


def _is_sample(batch: Any, symbol: Any) -> bool:
    """Tell whether an array is one sample without a batch axis."""
    shape, wanted = tuple(getattr(batch, "shape", ())), tuple(symbol.shape)
    return 0 < len(shape) == len(wanted) - 1 and not inputs.lacks_last_axis(shape, wanted)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "_" for each in text)


def _pixels(how: PictureInput, path: Path, name: str) -> npt.NDArray[np.float32]:
    if path.resolve() != path:
        raise InputError(f"{name!r} has become a symbolic link. It is not read.")
    return how.picture(path)


def _reading(path: str, how: PictureInput) -> tuple[str, ...]:
    """Return the lines of Python that read a picture, and define `image`."""
    read = f"picture = files.load_image({path!r}, {tuple(how.shape)!r}, {how.fit!r})  # 0 to 255"
    if how.preprocess is not None:
        return read, f"image = files.prepared(picture, {how.preprocess!r})"
    low, high = how.input_range
    return (
        read,
        f"low, high = {low!r}, {high!r}  # the model's values for black and white",
        "image = low + (high - low) * picture / 255",
    )
