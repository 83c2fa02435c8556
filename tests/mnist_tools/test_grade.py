"""The command line: whatever is graded, there is a true exit code and a table, or one sentence.

Stand-ins of a cell or two take the place of the notebooks; what they lack costs points everywhere.
"""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from made_up_notebook import write_code

from mnist_tools import grade, rerun
from mnist_tools.files import NOTEBOOKS

FIRST, SECOND = NOTEBOOKS.values()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A submission with one notebook, and yesterday's grade beside it."""
    (tmp_path / "grade.json").write_text("yesterday's")
    write(tmp_path / "submission", "x = 1")
    return tmp_path / "submission"


def write(root: Path, source: str, name: str = FIRST) -> Path:
    return write_code(root / "notebooks" / f"{name}.ipynb", source)


def graded(root: Path) -> int:
    """Grade a submission; return the exit code."""
    return grade.main([str(root), "--json", str(root.parent / "grade.json")])


def report(root: Path) -> dict[str, Any]:
    return dict(json.loads((root.parent / "grade.json").read_text(encoding="utf-8")))


def test_a_notebook_that_fails_and_one_that_takes_too_much_have_a_table_and_exit_code_1(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "raise ValueError('\x1b[2J\x1b[1A' + 'x' * 999)".replace("\x1b", "\\x1b"))
    write(root, "block = bytearray(2**34)", name=SECOND)
    assert graded(root) == 1
    saved, printed = report(root), capsys.readouterr().out
    assert saved["submission"] == str(root)
    assert (saved["score"], saved["full"]) == (0, len(saved["items"])) == (0, 37)
    assert all(item["problems"] for item in saved["items"])
    assert "--retrain" in saved["not_judged"][0]
    for words in ("ValueError: ?[2J?[1Axxx", "MemoryError", saved["not_judged"][0], "0/37"):
        assert words in printed
    assert max(map(len, printed.splitlines())) < 320


def test_what_is_graded_is_read_before_anything_of_it_runs(root: Path) -> None:
    """A notebook that rewrites the submission, and its copy, while it is graded."""
    second = write(root, "raise ValueError('as submitted')", name=SECOND)
    attack = f"import pathlib\nfor file in ('{second}', '{second.name}'):\n"
    write(root, attack + "    pathlib.Path(file).write_text('[]')")
    assert graded(root) == 1
    assert second.read_text() == "[]"
    problems = [i["problems"] for i in report(root)["items"] if i["notebook"] == SECOND]
    assert "ValueError: as submitted" in problems[0][0]


def test_a_grade_that_has_no_place_goes_to_a_temporary_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root)
    (root / "reports").write_text("no folder")
    assert grade.main([]) == 1
    said = capsys.readouterr().out
    assert said.startswith("알림: reports에 쓸 수 없어")
    (saved,) = re.findall(r"합계 0/37\n점수표: (.*)", said)
    assert json.loads(Path(saved).read_text(encoding="utf-8"))["full"] == 37


TROUBLES: dict[str, Any] = {
    "has no folder notebooks": (grade, "NOTEBOOKS", {}),
    "set TMPDIR": (grade, "SPACE", 2**80),
    "too much to copy": (rerun, "COPY_LIMIT", 10),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_not_the_submissions_fault_is_one_sentence_exit_code_2_and_no_grade(
    trouble: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if trouble == "has no folder notebooks":
        (root / "notebooks").rename(root / "others")
    monkeypatch.setattr(*TROUBLES[trouble])
    assert graded(root) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert trouble in line
    assert not (root.parent / "grade.json").exists()


def test_an_interrupt_is_exit_code_130_and_no_grade(root: Path) -> None:
    file, started = root.parent / "grade.json", root.parent / "started"
    write(root, f"open({str(started)!r}, 'w').close()\nwhile True: pass")
    command = [sys.executable, "-m", "mnist_tools.grade", str(root), "--json", str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not started.exists():
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "채점을 중단했습니다.\n"
    assert not file.exists()
