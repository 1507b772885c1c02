"""ImageNet's names, with a list in place of the one that would be downloaded."""

from typing import Any

import keras
import numpy as np
import pytest

from vis.errors import InputError
from vis.utils.utils import lookup_imagenet_labels


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(predictions: Any, top: int) -> list[list[tuple[str, str, float]]]:
        assert predictions.shape[1:] == (1000,)
        order = np.argsort(-predictions, axis=1)[:, :top]
        return [[(f"n{i}", f"class {i}", 1.0) for i in row] for row in order]

    monkeypatch.setattr(keras.applications.imagenet_utils, "decode_predictions", decode)


@pytest.mark.usefixtures("names")
@pytest.mark.parametrize("indices", [[281, 0, 999], (281, 0, 999), np.array([281, 0, 999])])
def test_names_in_the_order_of_the_indices(indices: Any) -> None:
    assert lookup_imagenet_labels(indices) == ["class 281", "class 0", "class 999"]


@pytest.mark.usefixtures("names")
def test_one_index() -> None:
    assert lookup_imagenet_labels(7) == ["class 7"]
    assert lookup_imagenet_labels(np.int64(7)) == ["class 7"]


@pytest.mark.parametrize("indices", [1000, -1, 1.5, "tabby", [0, 1000]])
def test_no_such_class(indices: Any) -> None:
    with pytest.raises(InputError, match="integers from 0 to 999"):
        lookup_imagenet_labels(indices)


def test_no_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications.imagenet_utils, "decode_predictions", fail)
    with pytest.raises(InputError, match=r"could not be downloaded: URL fetch failure\. Connect"):
        lookup_imagenet_labels(0)
