"""The stored study is compared with the grader's own; the other comparisons: ``test_rubric.py``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mnist_mlp.study import STUDY_FILE
from mnist_tools import compare
from mnist_tools.compare import study_problems

Row = dict[str, Any]


def edited(folder: Path, edit: Callable[[Row], object]) -> Path:
    """Return a study whose first run with errors is another."""
    rows = [json.loads(line) for line in STUDY_FILE.read_text(encoding="utf-8").splitlines()]
    edit(next(row for row in rows if row.get("errors")))
    path = folder / "study.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_own_study_is_consistent() -> None:
    assert list(study_problems(STUDY_FILE)) == []


def test_another_accuracy_follows_from_no_errors_and_is_not_ours(tmp_path: Path) -> None:
    first, second = study_problems(edited(tmp_path, lambda row: row.update(test_accuracy=0.999)))
    assert "개인데 정확도가 0.999" in first
    assert second.startswith("채점기의 것과 다른 실행 1개: numpy ReLU 시드 ")


@pytest.mark.parametrize("change", [{"test_loss": 0.01}, {"seed": 99}])
def test_any_other_number_and_run_is_named(tmp_path: Path, change: Row) -> None:
    (problem,) = study_problems(edited(tmp_path, lambda row: row.update(change)))
    assert problem.startswith("채점기의 것과 다른 실행 ")


def test_a_missing_and_a_huge_study_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "STUDY_LIMIT", 10)
    for path in (tmp_path / "study.jsonl", STUDY_FILE):
        assert list(study_problems(path)) == ["study.jsonl이 없거나 10 바이트보다 큼"]
