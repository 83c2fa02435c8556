"""nbgrader's autograder runs the notebooks and gives its points, as the README says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from executed import ROOT, with_parameters
from nbgrader.api import Gradebook

from mnist_tools.files import NOTEBOOKS

GRADED = """\
for result in (relu, lrelu):
    assert result.confusion.sum() == len(dataset.test.labels)
    assert result.test_accuracy > 0.5"""


AUTOGRADED: dict[str, Any] = {
    **{"grade": True, "grade_id": "points", "locked": True, "points": 5},
    **{"schema_version": 3, "solution": False, "task": False},
}


def nbgrader(course: Path, *arguments: str) -> None:
    """Run nbgrader in the course folder, with the one setting that the README names."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it calls alembic
    done = subprocess.run(
        [*command, "--ExecutePreprocessor.timeout=300"],
        cwd=course,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PATH": path, "MNIST_MLP_OUTPUT": str(course / "figures")},
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_autograde_gives_all_points(tmp_path: Path) -> None:
    """In a course folder that holds the repository, the notebooks as assignment and submission."""
    course = tmp_path / "course"
    ignored = shutil.ignore_patterns("__pycache__", "*.gz", "*ubyte")
    for name in ("src", "data"):
        shutil.copytree(ROOT / name, course / name, ignore=ignored)
    for name in NOTEBOOKS.values():
        nb = with_parameters(name, DATASET="sklearn-digits", EPOCHS=2)
        points = {"nbgrader": AUTOGRADED}
        nb.cells.append(nbformat.v4.new_code_cell(GRADED, id="points", metadata=points))
        for target in ("source/mnist", "submitted/kim/mnist"):
            (course / target).mkdir(parents=True, exist_ok=True)
            nbformat.write(nb, course / target / f"{name}.ipynb")
    nbgrader(course, "generate_assignment", "mnist")
    nbgrader(course, "autograde", "mnist")
    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        submission = book.find_submission("mnist", "kim")
        assert (submission.score, submission.max_score) == (10, 10)
