"""Explanations during training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from vis import files
from vis.attributions.asked import pick_of
from vis.attributions.base import Explainer, checked
from vis.attributions.batches import in_memory
from vis.errors import InputError
from vis.typing import Data, Targets

__all__ = ["ExplainEpochs"]


class ExplainEpochs(keras.callbacks.Callback):  # type: ignore[misc]
    """Explains a few samples after each epoch of training, as pictures in a folder and in TensorBoard.

    ```python
    explainer = Saliency(vis.linear_outputs(model))  # shares the variables of the model that is trained
    model.fit(x, y, callbacks=[ExplainEpochs(explainer, images[:4], labels[:4], folder="maps")])
    ```

    Args:
        explainer: an explainer of the model that is trained, or of its logits.
        inputs: a few images, `(N, H, W)` or `(N, H, W, C)`, which the explainer takes; or a small data set of
            them, which is read once.
        targets: what is explained, see `Explainer.explain`; None for the class predicted at that time.
        folder: where a figure of the images with their maps is written after each epoch, see
            `vis.plotting.plot_maps`: `epoch-001.png`, ...
        log_dir: where the maps are written for TensorBoard, one step per epoch; this needs tensorboardX.
        name: the name of the maps; None for the name of the explainer's class.

    Raises:
        InputError: if `explainer` is not an explainer, or neither `folder` nor `log_dir` is given; after an
            epoch, if the explainer does not return one map per image.
        ImportError: if `log_dir` is given without tensorboardX: `pip install "keras-vis3[tensorboard]"`.
    """

    def __init__(
        self,
        explainer: Explainer,
        inputs: Data,
        targets: Targets = None,
        folder: str | os.PathLike[str] | None = None,
        log_dir: str | os.PathLike[str] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__()
        if folder is None and log_dir is None:
            raise InputError(
                "Maps are written to a folder, a log or both. Received: neither. Pass folder or log_dir."
            )
        self.explainer = checked(explainer)
        score = self.explainer.score
        self.inputs, self.targets = in_memory(score.source, inputs, targets, pick_of(score))
        self.folder = None if folder is None else Path(folder)
        self.name = type(explainer).__name__ if name is None else name
        self._log = None if log_dir is None else files.PictureLog(log_dir)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Explain the samples with the weights that the model has now."""
        from vis import plotting

        maps = self.explainer.explain(self.inputs, self.targets)
        if not isinstance(maps, np.ndarray) or maps.ndim != 4 or maps.shape[-1] != 1:
            raise InputError(
                "ExplainEpochs needs one map per image, (N, H, W, 1). Received: "
                f"{getattr(maps, 'shape', type(maps).__name__)} from {self.name!r}. Pass a reducer."
            )
        if self.folder is not None:
            title = f"after epoch {epoch + 1}"
            figure = plotting.plot_maps(self.inputs, maps, name=self.name, title=title)
            with files.written(self.folder / f"epoch-{epoch + 1:03d}.png") as temporary:
                figure.savefig(temporary, format="png", dpi=110)
        if self._log is not None:
            self._log.write(self.name, np.stack([plotting.colorize(row) for row in maps[..., 0]]), epoch)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()
