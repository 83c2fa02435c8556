"""Both notebooks executed on the embedded digits, for the tests that need their outputs."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell

from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_tools.execute import run
from mnist_tools.files import NOTEBOOKS, read_notebook

ROOT = Path(__file__).parents[1]
PARAMETERS: dict[str, Any] = {"DATASET": "sklearn-digits", "EPOCHS": 3}


@dataclass
class Execution:
    """The executed notebooks by name, and the files that they saved."""

    notebooks: dict[str, Any]
    saved: dict[str, bytes]


def with_parameters(name: str, **values: Any) -> Any:
    """Return a committed notebook with other parameters, set in the way of papermill."""
    nb = read_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    (index,) = [
        i for i, cell in enumerate(nb.cells) if "parameters" in cell.metadata.get("tags", [])
    ]
    source = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    nb.cells.insert(index + 1, new_code_cell(source, id="injected-parameters"))
    return nb


def execute_both(output: Path, at_once: bool) -> Execution:
    """Execute the notebooks one after the other, or both at once."""

    def executed(name: str) -> Any:
        nb = with_parameters(name, **PARAMETERS)
        run(nb, ROOT / "notebooks", os.environ | {OUTPUT_VARIABLE: str(output)})
        return nb

    with ThreadPoolExecutor(1 + at_once) as pool:
        notebooks = dict(
            zip(NOTEBOOKS.values(), pool.map(executed, NOTEBOOKS.values()), strict=True)
        )
    return Execution(notebooks, {path.name: path.read_bytes() for path in output.iterdir()})
