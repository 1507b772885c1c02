"""Arrays in files of NumPy: `.npy` and `.npz`."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from vis.errors import InputError
from vis.files.reading import first_line

# What the bytes of a file may become: they can claim any size.
MOST_BYTES = 2**28
# What NumPy raises for bytes that are not such a file, those of a header that nests too deep among them.
_UNREADABLE = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, SyntaxError, zipfile.BadZipFile, zlib.error),
    *(tokenize.TokenError, RecursionError, MemoryError),
)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def is_arrays(data: bytes) -> bool:
    """Tell whether the bytes of a file are those of a `.npy` or `.npz` file."""
    return data[:6] == b"\x93NUMPY" or data[:4] == b"PK\x03\x04"


def load_arrays(file: Path | bytes, name: str | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a `.npz` file by their names, or that of a `.npy` file under an empty name.

    Args:
        file: a path, whose `.npy` array is read when it is used; or the bytes of a file.
        name: what messages call it; None for its path.

    Raises:
        InputError: if it cannot be read, holds Python objects, or bytes claim more than `MOST_BYTES`.
    """
    called = name or (str(file) if isinstance(file, Path) else "<bytes>")
    try:
        if isinstance(file, bytes):
            _check_size(file, called)
        found = np.load(
            io.BytesIO(file) if isinstance(file, bytes) else file,
            mmap_mode=None if isinstance(file, bytes) else "r",
            allow_pickle=False,
        )
        if isinstance(found, np.ndarray):
            return {"": found}
        with found:
            return {key: found[key] for key in found.files}
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(
            f"{called!r} is not a .npy or .npz file of numbers: {first_line(error)}. Write it with "
            "numpy.save or numpy.savez."
        ) from error


def _check_size(data: bytes, called: str) -> None:
    """Raise `InputError` if what the bytes claim to hold is too large."""
    if data[:4] != b"PK\x03\x04":
        size = _claimed(io.BytesIO(data), called)
    else:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            size = sum(each.file_size for each in held.infolist())
            if size <= MOST_BYTES:
                for each in held.infolist():
                    with held.open(each) as part:
                        size = max(size, _claimed(part, called))
    if size > MOST_BYTES:
        raise InputError(
            f"{called!r} holds {size:,} bytes, more than {MOST_BYTES:,}. It is not read. Take fewer samples."
        )


def _claimed(file: Any, called: str) -> int:
    """Return the bytes of an array by its header.

    Raises:
        ValueError: if it is not that of an array of numbers or text.
    """
    opened: BinaryIO = file
    header = _HEADERS.get(np.lib.format.read_magic(opened))
    if header is None:
        raise ValueError("its header is of an unknown version")
    shape, _, dtype = header(opened)
    size = dtype.itemsize
    for length in shape:
        size *= int(length)
    return size
