"""The house: who may import whom, and what is exported."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import vis

ROOT = Path(vis.__file__).parent
# From the top of the house to its foundation: a room imports only rooms below it.
ROOMS = [
    "cli",
    "explorer",
    "wording",
    "question",
    "describe",
    "reports",
    "demo",
    "utils",
    "metrics",
    "visualization",
    "attributions",
    "plotting",
    "optimizer",
    "descent",
    "callbacks",
    "files",
    "input_modifiers",
    "parameterizations",
    "class_maps",
    "engine",
    "advice",
    "fingerprints",
    "inputs",
    "maps",
    "regularizers",
    "losses",
    "grad_modifiers",
    "backprop_modifiers",
    "relevance",
    "models",
    "backend",
    "graph",
    "registry",
    "reprs",
    "typing",
    "progress",
    "methods",
    "words",
    "foreign",
    "weak",
    "listing",
    "checks",
    "errors",
    "frameworks",
    "version",
]
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]
BACKENDS = {"tensorflow", "jax", "torch"}
APART = {"losses", "grad_modifiers", "backprop_modifiers"}
# Those of the other backends are not for this one.
NOT_IMPORTED = tuple(f"vis.backend.{name}" for name in BACKENDS - {keras.config.backend()})
MODULES = sorted(
    path.relative_to(ROOT.parent).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for path in FILES
)
MODULES = [name for name in MODULES if not f"{name}.".startswith(tuple(f"{each}." for each in NOT_IMPORTED))]


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    """Return the full names of all modules that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            module = node.module or ""
            found |= {f"vis.{alias.name}" for alias in node.names} if module == "vis" else {module}
    return found


def own_room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_room_has_its_place() -> None:
    assert {own_room(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path: Path) -> None:
    own = own_room(path)
    for module in imports(path):
        if module.split(".")[0] == "vis":
            other = room(module)
            assert other, f"{path} imports the package's top"
            assert ROOMS.index(other) >= ROOMS.index(own), f"{own} imports {other}, which lies above it"
            assert other == own or not {own, other} <= APART, f"{own} and {other} do not know each other"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_frameworks_stay_in_their_rooms(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        framework = path.relative_to(ROOT / "backend").parts[0] if own_room(path) == "backend" else ""
        assert top not in ("tensorflow", "jax", "jaxlib", "torch") or top.removesuffix("lib") == framework
        assert top != "matplotlib" or own_room(path) == "plotting"
        assert top != "tqdm" or own_room(path) == "progress"
        assert not module.startswith("keras.src")


@pytest.mark.parametrize("name", MODULES)
def test_all_names_exist(name: str) -> None:
    module = importlib.import_module(name)
    for export in getattr(module, "__all__", ()):
        assert hasattr(module, export), f"{name} does not have {export}"


@pytest.mark.parametrize(
    "name", [name for name in MODULES if hasattr(importlib.import_module(name), "__path__")]
)
def test_packages_export_what_they_import(name: str) -> None:
    module = importlib.import_module(name)
    exported = set(getattr(module, "__all__", ()))
    public = {key for key, value in vars(module).items() if not key.startswith("_") and callable(value)}
    assert public <= exported, f"{name} does not list {sorted(public - exported)} in __all__"


def test_top_level_exports_are_those_of_the_rooms() -> None:
    assert set(vis.__all__) == set(vis._EXPORTS) | {"__version__"}
    for name, home in vis._EXPORTS.items():
        assert getattr(vis, name) is getattr(importlib.import_module(home), name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = vis.nothing


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_does_not_import_keras() -> None:
    code = "from vis.cli import cli\ntry: cli(['--help'])\nexcept SystemExit: pass"
    assert not {"tensorflow", "jax", "torch", "keras", "numpy"} & loaded_by(code)


def test_matplotlib_is_loaded_only_to_draw() -> None:
    # Keras itself imports some of these where they are installed.
    modules = loaded_by("import vis\nvis.visualize_saliency\nvis.utils.utils.normalize") - loaded_by(
        "import keras"
    )
    assert "vis.engine" in modules
    assert not {"matplotlib", "sklearn", "click", "PIL"} & modules
    assert "matplotlib.figure" in loaded_by("import vis\nvis.plotting")
