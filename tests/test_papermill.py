"""papermill finds the parameters of the notebooks and replaces them, by the README's command."""

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


def test_the_command_replaces_the_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MNIST_MLP_OUTPUT", str(tmp_path))
    target = tmp_path / "out.ipynb"
    command = ["papermill", "notebooks/01_scratch_mlp.ipynb", str(target), "-p", "EPOCHS", "1"]
    options = ["-p", "DATASET", "sklearn-digits", "-p", "SEED", "1", "--no-progress-bar"]
    subprocess.run(
        [sys.executable, "-m", *command, *options], cwd=ROOT, check=True, capture_output=True
    )
    cells = nbformat.read(target, as_version=4).cells
    tags = [cell.metadata.get("tags", []) for cell in cells]
    assert tags.index(["injected-parameters"]) == tags.index(["parameters"]) + 1
    results = cells[tags.index(["results"])].outputs[0].data["application/json"]
    assert (results["dataset"], results["seed"]) == ("sklearn-digits", 1)
    assert results["recipe"]["epochs"] == 1
