"""nbgrader's autograder runs the notebooks and gives its points, as the README says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook

from mnist_mlp import report
from mnist_mlp.files import NOTEBOOKS, read_notebook

ROOT = Path(__file__).parents[1]
GRADED = """\
for result in (relu, lrelu):
    assert result.confusion.sum() == len(dataset.test.labels)
    assert result.test_accuracy > 0.5"""


def points_for(source: str) -> Any:
    """Return an autograded cell worth 5 points."""
    cell = nbformat.v4.new_code_cell(source, id="points")
    cell.metadata["nbgrader"] = {
        "grade": True, "grade_id": "points", "locked": True, "points": 5, "schema_version": 3,
        "solution": False, "task": False,
    }  # fmt: skip
    return cell


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course folder that holds the repository, with a notebook as assignment and submission."""
    folder = tmp_path / "course"
    ignored = shutil.ignore_patterns("__pycache__", "*.gz", "*ubyte")
    for name in ("src", "data"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in NOTEBOOKS.values():
        nb = read_notebook(ROOT / "notebooks" / f"{name}.ipynb")
        report.override(nb, {"DATASET": "sklearn-digits", "EPOCHS": 2})
        nb.cells.append(points_for(GRADED))
        for target in ("source/mnist", "submitted/kim/mnist"):
            (folder / target).mkdir(parents=True, exist_ok=True)
            nbformat.write(nb, folder / target / f"{name}.ipynb")
    return folder


def nbgrader(course: Path, *arguments: str) -> None:
    """Run nbgrader in the course folder, with the one setting that the README names."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls alembic
    done = subprocess.run(
        [*command, "--ExecutePreprocessor.timeout=300"],
        cwd=course, capture_output=True, text=True, check=False, timeout=300,
        env=os.environ | {"PATH": path, "MNIST_MLP_OUTPUT": str(course / "figures")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_autograde_gives_all_points(course: Path) -> None:
    nbgrader(course, "generate_assignment", "mnist")
    nbgrader(course, "autograde", "mnist")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        submission = book.find_submission("mnist", "kim")
        assert (submission.score, submission.max_score) == (10, 10)
