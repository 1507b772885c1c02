"""Where the framework of Keras is missing, the error names it and the line to type."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import vis
from vis import frameworks

OWN = keras.config.backend()
OTHER = next(name for name in frameworks.NAMES if name != OWN)
# Python runs this file when it starts.
HIDING = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}")

sys.meta_path.insert(0, Hidden())
"""
WAYS = [
    "import vis; vis.Saliency",
    "import vis; vis.attributions",
    "from vis import visualize_saliency",
    "from vis.attributions import Saliency",
    "from vis.utils import utils",
    "import vis.optimizer",
    "import vis.demo.report",
    "from vis import losses",
    "import sys; from vis.cli import main; sys.argv = ['vis', 'demo']; main()",
]


def last_line(
    folder: Path, code: str, backend: str | None, hidden: tuple[str, ...] = tuple(frameworks.NAMES)
) -> str:
    """Return the last line of a program that cannot import some frameworks, and must end in an error."""
    (folder / "sitecustomize.py").write_text(HIDING.format(hidden=hidden))
    environment = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    environment |= {"PYTHONPATH": f"{folder}{os.pathsep}{Path(vis.__file__).parents[1]}"}
    environment |= {"KERAS_HOME": str(folder), **({} if backend is None else {"KERAS_BACKEND": backend})}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode and not done.stdout
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("code", WAYS)
def test_a_missing_framework_is_named_with_the_line_to_type(tmp_path: Path, code: str) -> None:
    said = last_line(tmp_path, code, OTHER)
    assert said.startswith("vis: " if "main" in code else "ImportError: ")
    assert f"configured for {frameworks.NAMES[OTHER]} (by KERAS_BACKEND), which cannot be imported" in said
    assert f'Install it: pip install "keras-vis3[{OTHER}]".' in said
    assert f'pip install "keras-vis3[{OWN}]" with KERAS_BACKEND={OWN}' in said


def test_what_is_installed_is_named_with_the_variable_to_set(tmp_path: Path) -> None:
    hidden = tuple(name for name in frameworks.NAMES if name != OWN)
    said = last_line(tmp_path, WAYS[0], OTHER, hidden)
    name = frameworks.NAMES[OWN]
    assert said.endswith(f"Or set KERAS_BACKEND={OWN} before Keras is imported: {name} is installed.")


def test_where_nothing_is_configured_it_is_tensorflow(tmp_path: Path) -> None:
    said = last_line(tmp_path, WAYS[0], None)
    assert "configured for TensorFlow (as it is unless KERAS_BACKEND is set)" in said
    (tmp_path / "keras.json").write_text("spoilt")
    assert "configured for TensorFlow (as it is unless KERAS_BACKEND is set)" in last_line(
        tmp_path, WAYS[0], None
    )


def test_what_keras_reads_in_its_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text(f'{{"backend": "{OTHER}"}}')
    said = last_line(tmp_path, WAYS[0], None)
    assert f"configured for {frameworks.NAMES[OTHER]} (by {tmp_path / 'keras.json'})" in said


@pytest.mark.parametrize("backend", ["openvino", "numpy", "pytorch"])
@pytest.mark.parametrize("code", [WAYS[0], WAYS[-1]])
def test_a_backend_on_which_nothing_runs_is_refused(tmp_path: Path, backend: str, code: str) -> None:
    said = last_line(tmp_path, code, backend)
    assert f"with TensorFlow, JAX or PyTorch. Received: the backend {backend!r} (by KERAS_BACKEND)" in said
    assert 'Install one: pip install "keras-vis3[tensorflow]" with KERAS_BACKEND=tensorflow, or ' in said
    assert f"Set KERAS_BACKEND={OWN}" in last_line(
        tmp_path, code, backend, tuple(name for name in frameworks.NAMES if name != OWN)
    )


def test_a_backend_that_keras_already_runs_on_is_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", OTHER)
    assert frameworks.configured() == OWN
    frameworks.check()
    monkeypatch.setattr("keras.config.backend", lambda: "openvino")
    with pytest.raises(ImportError, match=r"the backend 'openvino' \(which is already imported\)"):
        frameworks.check()


def test_the_configured_backend_is_known_without_keras(tmp_path: Path) -> None:
    code = "from vis import frameworks; import sys; sys.exit(f'{frameworks.configured()} {len(sys.modules)}')"
    backend, count = last_line(tmp_path, code, OTHER).split()
    assert backend == OTHER and int(count) < 200


def test_nothing_is_looked_for_that_needs_no_keras(tmp_path: Path) -> None:
    rooms = sorted(frameworks._WITHOUT_KERAS)
    code = (
        f"import {', '.join(f'vis.{room}' for room in rooms)}; import sys; sys.exit('keras' in sys.modules)"
    )
    environment = {**os.environ, "KERAS_BACKEND": "openvino"}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_python_is_asked_no_longer_than_needed() -> None:
    code = "import sys; import vis; vis.losses; sys.exit(any('vis' in str(type(f)) for f in sys.meta_path))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_one_framework_is_installed_beside_no_other() -> None:
    """Elsewhere than on TensorFlow, where tests compare with other libraries."""
    found = [name for name in frameworks.NAMES if importlib.util.find_spec(name)]
    assert OWN in found and (OWN == "tensorflow" or found == [OWN])
