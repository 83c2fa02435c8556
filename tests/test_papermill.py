"""papermill finds the parameters of the notebooks (test_places.py runs its command)."""

from pathlib import Path
from typing import Any

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
