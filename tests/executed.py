"""Both notebooks executed on the embedded digits, for the tests that need their outputs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mnist_mlp import report
from mnist_mlp.files import NOTEBOOKS
from mnist_mlp.notebook import OUTPUT_VARIABLE

ROOT = Path(__file__).parents[1]
PARAMETERS: dict[str, Any] = {"DATASET": "sklearn-digits", "EPOCHS": 3}


@dataclass
class Execution:
    """The executed notebooks by name, and the files that they saved."""

    notebooks: dict[str, Any]
    saved: dict[str, bytes]


def execute_both(output: Path, at_once: bool) -> Execution:
    """Execute the notebooks one after the other, or both at once."""
    paths = [ROOT / "notebooks" / f"{name}.ipynb" for name in NOTEBOOKS.values()]
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1 + at_once) as pool:
        patch.setenv(OUTPUT_VARIABLE, str(output))
        executed = pool.map(partial(report.execute, parameters=PARAMETERS), paths)
        notebooks = dict(zip(NOTEBOOKS.values(), executed, strict=True))
    return Execution(notebooks, {path.name: path.read_bytes() for path in output.iterdir()})
