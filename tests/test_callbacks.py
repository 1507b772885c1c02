"""What listens to the optimizer: its words, its pictures and their colours."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image, ImageSequence

from vis.callbacks import GifGenerator, OptimizerCallback, Print
from vis.errors import InputError, VisWarning
from vis.visualization import visualize_activation


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as picture:
        assert picture.format == "GIF"
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]


def show(callback: OptimizerCallback, values: list[Any]) -> None:
    for i, value in enumerate(values):
        callback.callback(i, [("loss", 0.0)], 0.0, np.zeros(1), value)
    callback.on_end()


def test_a_callback_of_ones_own() -> None:
    class Count(OptimizerCallback):
        heard = 0

        def callback(self, *args: Any) -> None:
            self.heard += len(args)

    count = Count()
    show(count, [1, 2])
    assert count.heard == 10
    with pytest.raises(TypeError, match="callback"):
        OptimizerCallback()  # type: ignore[abstract]


@pytest.mark.parametrize("broken", [None, "on_begin", "callback", "on_end"])
def test_every_callback_ends_whatever_another_one_raises(broken: str | None) -> None:
    heard: list[tuple[str, str]] = []

    class Noting(OptimizerCallback):
        def __init__(self, name: str) -> None:
            self.name = name

        def note(self, when: str) -> None:
            heard.append((when, self.name))
            if self.name == "b" and when == broken:
                raise KeyError(when)
            if self.name == "c" and when == "on_end" and broken:
                raise RuntimeError("a later error")

        def on_begin(self) -> None:
            self.note("on_begin")

        def callback(self, *args: Any) -> None:
            self.note("callback")

        def on_end(self) -> None:
            self.note("on_end")

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    given: dict[str, Any] = {"callbacks": [*map(Noting, "abc")], "max_iter": 1, "seed": 0}
    if broken is None:
        visualize_activation(model, -1, 0, **given)
    else:
        with pytest.raises(KeyError, match=broken):
            visualize_activation(model, -1, 0, **given)
    begun = "ab" if broken == "on_begin" else "abc"
    told = {"on_begin": "", "callback": "ab"}.get(broken or "", "abc")
    assert heard == [
        *(("on_begin", name) for name in begun),
        *(("callback", name) for name in told),
        *(("on_end", name) for name in begun),
    ]


def test_print_writes_a_line_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Print()
    losses = [("ActivationMax Loss", np.float32(-2.5)), ("TV(2.0) Loss", 0.125)]
    printer.callback(0, losses, np.array([1234.5]), None, None)
    printer.callback(1, [("batch", np.array([1.0, 2.0]))], 3, None, None)
    printer.on_end()
    assert capsys.readouterr().out.splitlines() == [
        "Iteration: 1, named_losses: [ActivationMax Loss: -2.5, TV(2.0) Loss: 0.125], overall loss: 1234.5",
        "Iteration: 2, named_losses: [batch: [1.0, 2.0]], overall loss: 3",
    ]


@pytest.mark.parametrize("name", ["steps", "steps.gif", "steps.GIF", "steps.v2"])
def test_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    generator = GifGenerator(str(tmp_path / "new" / name))
    show(generator, [np.zeros((1, 4, 4, 3))])
    expected = name if name.lower().endswith(".gif") else f"{name}.gif"
    assert [path.name for path in (tmp_path / "new").iterdir()] == [expected]
    assert generator.path == tmp_path / "new" / expected


@pytest.mark.parametrize("input_range", [(0, 255), (0, 1), (0.0, 1.0), (-1, 1), (-128, 127), [0, 10]])
def test_the_range_is_black_to_white(tmp_path: Path, input_range: Any) -> None:
    low, high = input_range
    shares = [0.0, 0.2, 0.4, 1.0]  # of 255: 0, 51, 102, 255
    steps = [np.full((1, 4, 4, 3), low + (high - low) * share) for share in shares]
    steps += [np.full((1, 4, 4, 3), low - 5.0), np.full((1, 4, 4, 3), high + 5.0)]
    show(GifGenerator(tmp_path / "steps", input_range), steps)
    found = frames(tmp_path / "steps.gif")
    assert [frame.shape for frame in found] == [(4, 4, 3)] * 6
    assert [sorted(set(frame.ravel().tolist())) for frame in found] == [[0], [51], [102], [255], [0], [255]]


def test_values_are_rounded_to_the_nearest_byte(tmp_path: Path) -> None:
    show(GifGenerator(tmp_path / "steps"), [np.full((1, 4, 4, 3), level) for level in (9.4, 9.6)])
    assert [int(frame.max()) for frame in frames(tmp_path / "steps.gif")] == [9, 10]


def test_it_runs_forever_at_ten_steps_a_second(tmp_path: Path) -> None:
    show(GifGenerator(tmp_path / "steps"), [np.full((1, 4, 4, 3), level) for level in (0, 51, 102)])
    with Image.open(tmp_path / "steps.gif") as picture:
        assert picture.info["loop"] == 0
        assert [frame.info["duration"] for frame in ImageSequence.Iterator(picture)] == [100] * 3


def test_colours_are_kept(tmp_path: Path) -> None:
    picture = np.zeros((1, 2, 3, 3), np.float32)
    picture[0, 0, 0] = [255, 0, 0]
    picture[0, 1, 2] = [0, 0, 255]
    show(GifGenerator(tmp_path / "rgb"), [picture])
    assert np.array_equal(frames(tmp_path / "rgb.gif")[0], picture[0])
    show(GifGenerator(tmp_path / "first", data_format="channels_first"), [np.moveaxis(picture, -1, 1)])
    assert np.array_equal(frames(tmp_path / "first.gif")[0], picture[0])


def test_the_configured_data_format(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 2, (1, 1, 5, 4)) * 255.0
    keras.config.set_image_data_format("channels_first")
    try:
        show(GifGenerator(tmp_path / "steps"), [picture])
    finally:
        keras.config.set_image_data_format("channels_last")
    assert np.array_equal(frames(tmp_path / "steps.gif")[0][..., 0], picture[0, 0])


@pytest.mark.parametrize("shape", [(1, 5, 4, 1), (1, 5, 4)])
def test_greyscale(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    show(GifGenerator(tmp_path / "grey"), [values])
    (found,) = frames(tmp_path / "grey.gif")
    assert np.array_equal(found, np.repeat(values.reshape(5, 4, 1), 3, axis=-1))


def test_the_input_is_neither_changed_nor_held(tmp_path: Path) -> None:
    value = np.full((1, 4, 4, 3), 300.0)
    generator = GifGenerator(tmp_path / "steps")
    generator.callback(0, [], 0, None, value)
    assert (value == 300).all()
    value[:] = 0
    generator.callback(1, [], 0, None, value)
    generator.on_end()
    assert [int(frame.max()) for frame in frames(tmp_path / "steps.gif")] == [255, 0]


def test_a_second_run_starts_afresh(tmp_path: Path) -> None:
    generator = GifGenerator(tmp_path / "steps")
    steps = [np.full((1, 4, 4, 3), level) for level in (0, 51, 102)]
    show(generator, steps)
    assert len(frames(tmp_path / "steps.gif")) == 3
    show(generator, steps[:2])
    assert len(frames(tmp_path / "steps.gif")) == 2


def test_the_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "steps.gif").write_text("before")

    def fail(self: Any, path: Path, *args: Any, **kwargs: Any) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(InputError, match=r"steps.gif' cannot be written: No space left on device"):
        show(GifGenerator(tmp_path / "steps"), [np.zeros((1, 4, 4, 3))])
    assert [path.name for path in tmp_path.iterdir()] == ["steps.gif"]
    assert (tmp_path / "steps.gif").read_text() == "before"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        show(GifGenerator(tmp_path / "file" / "steps"), [np.zeros((1, 4, 4, 3))])


def test_the_file_is_for_whom_any_new_file_is(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    show(GifGenerator(tmp_path / "steps"), [np.zeros((1, 4, 4, 3))])
    assert (tmp_path / "steps.gif").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_no_step_at_all(tmp_path: Path) -> None:
    with pytest.warns(
        VisWarning, match=r"steps.gif' was not written, because the optimizer reported no step"
    ):
        GifGenerator(tmp_path / "steps").on_end()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(), (1, 4), (1, 4, 4, 2), (1, 4, 4, 4), (1, 2, 4, 4, 3), (1, 0, 4, 3)])
def test_what_is_no_picture(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"pictures with 1 or 3 channels. Received: wrt_value of shape"):
        GifGenerator(tmp_path / "steps").callback(0, [], 0, None, np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(tmp_path: Path, bad: float) -> None:
    value = np.zeros((1, 4, 4, 3))
    value[0, 1, 1, 1] = bad
    with pytest.raises(InputError, match="1 of 48 values NaN or infinite"):
        GifGenerator(tmp_path / "steps").callback(0, [], 0, None, value)


@pytest.mark.parametrize("input_range", [(0, 0), (1, 0), (0, np.inf), (np.nan, 1), (1,), 255, None, "ab"])
def test_an_invalid_range(tmp_path: Path, input_range: Any) -> None:
    with pytest.raises(InputError, match="input_range must be a pair"):
        GifGenerator(tmp_path / "steps", input_range)


def test_an_unknown_data_format(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Unknown data_format"):
        GifGenerator(tmp_path / "steps", data_format="last")
