"""Both notebooks executed on the embedded digits, for the tests that need their outputs."""

import io
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell

from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_tools import grade, recount
from mnist_tools.execute import run
from mnist_tools.files import NOTEBOOKS, read_notebook
from mnist_tools.rubric import judge
from mnist_tools.shown import Side, tags

ROOT = Path(__file__).parents[1]
PARAMETERS: dict[str, Any] = {"DATASET": "sklearn-digits", "EPOCHS": 3}


def with_parameters(name: str, **values: Any) -> Any:
    """Return a committed notebook with other parameters, set in the way of papermill."""
    nb = read_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    (index,) = (i for i, cell in enumerate(nb.cells) if "parameters" in tags(cell))
    source = "\n".join(f"{key} = {value!r}" for key, value in values.items())
    nb.cells.insert(index + 1, new_code_cell(source, id="injected-parameters"))
    return nb


def contents(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each file below a folder, but for what Python caches."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@dataclass
class Execution:
    """The executed notebooks by name, and the files that they saved."""

    notebooks: dict[str, Any]
    saved: dict[str, bytes]


def execute_at_once(output: Path) -> Execution:
    """Execute both notebooks at the same time."""

    def executed(name: str) -> Any:
        nb = with_parameters(name, **PARAMETERS)
        run(nb, ROOT / "notebooks", os.environ | {OUTPUT_VARIABLE: str(output)})
        return nb

    with ThreadPoolExecutor(2) as pool:
        notebooks = pool.map(executed, NOTEBOOKS.values())
        by_name = dict(zip(NOTEBOOKS.values(), notebooks, strict=True))
    return Execution(by_name, contents(output))


@dataclass
class Grading:
    """What a grading, which executes the notebooks one after the other, gave and saw."""

    code: int = -1
    printed: str = ""
    sides: dict[str, tuple[Side, Side]] = field(default_factory=dict)
    saved: dict[str, bytes] = field(default_factory=dict)


def grade_again(executed: Execution, folder: Path) -> Grading:
    """Grade executed notebooks, and assert that this changes nothing in the submission."""
    root, grading, printed = folder / "submission", Grading(), io.StringIO()
    for name in ("notebooks", "src", "data"):
        shutil.copytree(ROOT / name, root / name)
    for name, nb in executed.notebooks.items():
        nbformat.write(nb, root / "notebooks" / f"{name}.ipynb")

    def recording(kind: str, old: Side, new: Side, retrain: float) -> Any:
        grading.sides[kind] = old, new
        for copy in folder.glob(f"grading-*/{NOTEBOOKS[kind]}/figures"):
            grading.saved |= contents(copy)
        return judge(kind, old, new, retrain)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        patch.setattr(grade, "judge", recording)
        patch.setattr(recount, "threshold_problems", lambda *_: [])  # they are for MNIST
        patch.setattr("sys.stdout", printed)
        before = contents(root)
        grading.code = grade.main([str(root), "--retrain", "--json", str(folder / "grade.json")])
        assert contents(root) == before
    grading.printed = printed.getvalue()
    return grading
