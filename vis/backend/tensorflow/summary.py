"""Pictures in the log that TensorBoard reads."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
import tensorflow as tf


class _ImageLog:
    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._writer = tf.summary.create_file_writer(os.fspath(folder))

    def write(self, name: str, pictures: npt.NDArray[np.uint8], step: int) -> None:
        height, width = pictures.shape[1:3]
        encoded = [tf.io.encode_png(picture) for picture in pictures]
        # What TensorBoard shows as images: the width, the height and a PNG each. The function that writes
        # this is part of TensorBoard, which may not be installed.
        content = tf.stack([tf.constant(str(width)), tf.constant(str(height)), *encoded])
        metadata = tf.compat.v1.SummaryMetadata(
            plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="images")
        )
        metadata.data_class = 3  # a sequence of blobs
        with self._writer.as_default():
            tf.summary.write(name, content, step=step, metadata=metadata)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def image_log(folder: str | os.PathLike[str]) -> _ImageLog:
    """Open a log of pictures in a folder."""
    return _ImageLog(folder)
