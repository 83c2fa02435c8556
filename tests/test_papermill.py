"""papermill finds the parameters, overrides them, and runs the notebooks from the repository."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from mnist_mlp.files import NOTEBOOKS

ROOT = Path(__file__).parents[1]
NAMES = {"file_path", "DATASET", "EPOCHS", "BATCH_SIZE", "ALPHA", "SEED"}


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_parameters_are_found(name: str) -> None:
    found: dict[str, Any] = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    assert set(found) == NAMES
    assert found["EPOCHS"]["default"] == "20"


@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_command_line_from_the_repository(name: str, tmp_path: Path) -> None:
    """The command that the README gives, on the embedded digits."""
    output = tmp_path / f"{name}.ipynb"
    command = [sys.executable, "-m", "papermill", f"notebooks/{name}.ipynb", str(output)]
    parameters = ["-p", "DATASET", "sklearn-digits", "-p", "EPOCHS", "1", "--no-progress-bar"]
    environment = os.environ | {"MNIST_MLP_OUTPUT": str(tmp_path)}
    subprocess.run([*command, *parameters], cwd=ROOT, env=environment, check=True, timeout=300)
    nb = nbformat.read(output, as_version=4)
    tags = [cell.metadata.get("tags", []) for cell in nb.cells]
    assert tags.index(["injected-parameters"]) == tags.index(["parameters"]) + 1
    results = nb.cells[tags.index(["results"])].outputs[0].data["application/json"]
    assert results["dataset"] == "sklearn-digits"
    assert results["recipe"]["epochs"] == 1
    assert len(results["runs"]["LReLU"]["history"]["train_loss"]) == 2
