"""Reading a log of TensorBoard back."""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image
from tensorboardX.proto.event_pb2 import Event


def logged(folder: Path) -> list[tuple[int, str, np.ndarray]]:
    """Return what TensorBoard would read: the step, the name and the picture, in order of writing."""
    found = []
    for path in sorted(folder.glob("*tfevents*"), key=lambda path: int(path.name.rsplit(".", 1)[1])):
        content = path.read_bytes()
        while content:
            # A record is its length and the checksum of that, the data and the checksum of these.
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                with Image.open(io.BytesIO(value.image.encoded_image_string)) as picture:
                    assert picture.size == (value.image.width, value.image.height)
                    found.append((event.step, value.tag, np.asarray(picture)))
    return found
