"""papermill finds the parameters of the notebooks and replaces them, by the README's command."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from mnist_tools.files import NOTEBOOKS

ROOT = Path(__file__).parents[2]
NAMES = {"file_path", "DATASET", "EPOCHS", "BATCH_SIZE", "ALPHA", "SEED"}


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_parameters_are_found(name: str) -> None:
    found: dict[str, Any] = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    assert set(found) == NAMES
    assert found["EPOCHS"]["default"] == "20"


def test_the_command_replaces_the_parameters(tmp_path: Path) -> None:
    target = tmp_path / "out.ipynb"
    command = ["papermill", "notebooks/01_scratch_mlp.ipynb", str(target), "-p", "EPOCHS", "5"]
    options = ["-p", "SEED", "1", "--prepare-only"]  # it would take a minute to execute
    subprocess.run(
        [sys.executable, "-m", *command, *options], cwd=ROOT, check=True, capture_output=True
    )
    cells = nbformat.read(target, as_version=4).cells
    tags = [cell.metadata.get("tags", []) for cell in cells]
    at = tags.index(["injected-parameters"])
    assert at == tags.index(["parameters"]) + 1
    assert cells[at].source.splitlines()[1:] == ["EPOCHS = 5", "SEED = 1"]
