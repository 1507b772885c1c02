"""Notebooks, run in a real kernel."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


def run_cells(cells: Sequence[str], home: Path) -> list[list[Mapping[str, Any]]]:
    """Run cells of code in a fresh kernel, one after the other, and return the outputs of each.

    An output is a dict of the notebook format, with the data by its type: `output["data"]["image/png"]`. Its
    `output_type` is "execute_result" for the last line of a cell, "display_data" for what was displayed,
    "stream" for what was printed. An exception in a cell is raised here.

    Args:
        cells: the code of each cell.
        home: an empty folder, in which the kernel looks for settings of its user.
    """
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    left = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    env = {**left, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(home), "MPLCONFIGDIR": str(home)}
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}})
    client.execute(env={**env, "TF_CPP_MIN_LOG_LEVEL": "3"})
    return [list(cell.outputs) for cell in notebook.cells]


def kinds(outputs: Sequence[Mapping[str, Any]]) -> list[tuple[str, set[str]]]:
    """Return the kind of each output with the types of its data: `("execute_result", {"image/png", ...})`."""
    return [(output["output_type"], set(output.get("data", ()))) for output in outputs]
