"""The stored study is compared with the grader's own; the other comparisons: ``test_rubric.py``."""

import json
from pathlib import Path
from typing import Any

import pytest

from mnist_mlp.study import STUDY_FILE
from mnist_tools.compare import study_problems


@pytest.mark.parametrize("change", [{}, {"test_accuracy": 0.999}, {"seed": 99}])
def test_every_other_number_and_run_of_a_study_is_named(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    first, *others = STUDY_FILE.read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "study.jsonl"
    path.write_text(json.dumps(json.loads(first) | change) + "\n" + "".join(others), "utf-8")
    problems = list(study_problems(path))
    assert len(problems) == bool(change)
    assert all(problem.startswith("채점기의 것과 다른 실행 ") for problem in problems)


def test_a_missing_study_is_named(tmp_path: Path) -> None:
    assert list(study_problems(tmp_path / "study.jsonl")) == ["study.jsonl이 없음"]
