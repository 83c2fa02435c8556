"""The grader runs anything in a clean kernel, with limits, and always ends with a true exit code.

Stand-ins of a cell or two take the place of the notebooks; what they lack costs points everywhere.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made_up_notebook import write_code

from mnist_tools import grade, rerun
from mnist_tools.files import NOTEBOOKS

FIRST, SECOND = NOTEBOOKS.values()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A submission with a package and without notebooks."""
    (tmp_path / "submission" / "src" / "mnist_mlp").mkdir(parents=True)
    (tmp_path / "submission" / "notebooks").mkdir()
    return tmp_path / "submission"


def write(root: Path, *sources: str, name: str = FIRST) -> Path:
    """Write a notebook in whose stored outputs nothing is wrong."""
    path = write_code(root / "notebooks" / f"{name}.ipynb", *sources)
    nb = json.loads(path.read_text(encoding="utf-8"))
    for cell in nb["cells"]:
        cell["metadata"]["tags"] = ["raises-exception", "skip-execution"]
    path.write_text(json.dumps(nb), encoding="utf-8")
    return path


def graded(root: Path, *options: str, name: str = FIRST) -> tuple[int, dict[str, Any]]:
    """Grade a submission; return the exit code and the problems of a notebook's items."""
    file = root.parent / "grade.json"
    code = grade.main([str(root), "--json", str(file), *options])
    report = json.loads(file.read_text(encoding="utf-8"))
    assert report["submission"] == str(root)
    assert report["full"] == len(report["items"]) == 37
    assert report["score"] == sum(not item["problems"] for item in report["items"])
    assert "--retrain" in report["not_judged"][0]
    problems = {i["key"]: " ".join(i["problems"]) for i in report["items"] if i["notebook"] == name}
    return code, problems


FAKE = """\
import sys, types
module = types.ModuleType('mnist_mlp'); module.__file__ = '/elsewhere/mnist_mlp.py'
sys.modules['mnist_mlp'] = module
split = types.SimpleNamespace(images=1, labels=2); runs = {}
dataset = types.SimpleNamespace(train=split, validation=split, test=split)"""
STAND_INS = {
    "executed in another order": (
        ["print(later)", "later = 1"],
        f"{FIRST}.ipynb의 1번째 셀(cell-0): NameError: name 'later'",
    ),
    "infinite loop": (["1", "while True: pass"], "2번째 셀(cell-1): CellTimeoutError"),
    "flood": (["while True: print('x' * 10000)"], "more than 1,000,000 characters"),
    "memory": (["block = bytearray(2**31)"], "MemoryError"),
    "dies": (["import os; os._exit(1)"], "DeadKernelError"),
    "nothing to examine": (["dataset = runs = None"], "없음 (AttributeError: 'NoneType'"),
    "other names": (["data = results = 1"], "dataset과 runs가 없음 (NameError"),
    "error hidden by a tag": (["raise ValueError('hidden')"], "ValueError: hidden"),
    "code from elsewhere": ([FAKE], "제출본이 아닌 코드를 가져옴: /elsewhere/mnist_mlp.py"),
    "another probe": (["import numpy; numpy.savez = lambda *a, **k: 0", FAKE], "FileNotFoundError"),
    "escapes": (["raise ValueError('\\x1b[2J\\x1b[1A' + 'x' * 999)"], "ValueError: ?[2J?[1Axxx"),
}


@pytest.mark.parametrize("name", STAND_INS)
def test_what_a_clean_kernel_catches(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources, message = STAND_INS[name]
    monkeypatch.setattr(rerun, "OUTPUT_LIMIT", 1_000_000)
    write(root, *sources)
    timeout = "5" if name == "infinite loop" else "60"
    code, problems = graded(root, "--timeout", timeout, "--total", "70", "--memory", "1")
    assert code == 1
    assert message in problems["run"]
    assert message in capsys.readouterr().out
    assert len(problems["run"]) <= 300
    assert "확인할 수 없음" in problems["agree"]
    assert all(problems[key] for key in ("results", "a-ReLU", "b-LReLU", "model", "text"))


def save_in_cp949(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace('"x = 1"', '"x = 1  # 숫자"')
    path.write_text(text, encoding="cp949")


def replace_by_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nest_deeply(path: Path) -> None:
    """Publish results that JSON can hold, and that cannot be copied."""
    nb = json.loads(path.read_text(encoding="utf-8"))
    data = {"application/json": {"deep": "DEEP"}}
    nb["cells"][0]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    path.write_text(json.dumps(nb).replace('"DEEP"', "[" * 700 + "]" * 700))


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "그런 파일이 없음(있는 노트북: 02_framework_mlp.ipynb)"),
    "renamed": (lambda path: path.rename(path.with_name("01 (1).ipynb")), "01 (1).ipynb, 02_"),
    "a device": (replace_by_device, "링크나 장치"),
    "a pipe": (replace_by_pipe, "링크나 장치"),
    "a folder": (replace_by_folder, "그런 파일이 없음"),
    "huge": (lambda path: os.truncate(path, 200_000_000), "100 MB가 넘는 파일"),
    "a conflict": (lambda path: path.write_text("{\n<<<<<<< HEAD\n1\n>>>>>>> a\n}"), "병합 충돌"),
    "cp949": (save_in_cp949, "UTF-8이 아님"),
    "empty": (lambda path: path.write_text(""), "노트북의 형식이 아님"),
    "null": (lambda path: path.write_text("null"), "노트북의 형식이 아님"),
    "other cells": (lambda path: path.write_text('{"cells": [1]}'), "노트북의 형식이 아님"),
    "deep": (lambda path: path.write_text("[" * 100_000), "노트북의 형식이 아님"),
    "deep results": (nest_deeply, "노트북의 형식이 아님"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_notebook_that_cannot_be_read_gets_no_point(name: str, root: Path) -> None:
    spoil, message = UNREADABLE[name]
    (root / "notebooks" / f"{SECOND}.ipynb").write_text("[]")
    spoil(write(root, "x = 1"))
    code, problems = graded(root)
    assert code == 1
    assert message in problems["run"]
    assert all(problems.values())


def test_what_is_graded_is_read_before_anything_of_it_runs(root: Path) -> None:
    """A notebook that rewrites the submission, and its copy, while it is graded."""
    second = write(root, "raise ValueError('as submitted')", name=SECOND)
    attack = f"import pathlib\nfor file in ('{second}', '{second.name}'):\n"
    write(root, attack + "    pathlib.Path(file).write_text('[]')")
    _, problems = graded(root, name=SECOND)
    assert second.read_text() == "[]"
    assert "ValueError: as submitted" in problems["run"]


@pytest.mark.parametrize("where", ["file/grade.json", "folder", "made/grade.json"])
def test_a_grade_that_has_no_place_goes_to_a_temporary_folder(
    where: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the start, or since the submission put a file where the folder should be."""
    base = root.parent
    (base / "file").write_text("not a folder")
    (base / "folder").mkdir()
    write(root, f"open({str(base / 'made')!r}, 'w').close()")
    assert grade.main([str(root), "--json", str(base / where)]) == 1
    said = capsys.readouterr()
    (saved,) = re.findall(r"합계 0/37\n점수표: (.*)", said.out)
    assert json.loads(Path(saved).read_text(encoding="utf-8"))["full"] == 37
    assert f"알림: {base / where}에 쓸 수 없습니다" in said.err


TROUBLES = {
    "has no folder notebooks": (grade, "SPACE", 0),
    "set TMPDIR": (grade, "SPACE", 2**80),
    "too much to copy": (rerun, "COPY_LIMIT", 10),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_is_not_the_submissions_fault_is_exit_code_2_and_no_grade(
    trouble: str, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root.parent / "grade.json"
    file.write_text("yesterday's")
    write(root, "x = 1")
    monkeypatch.setattr(*TROUBLES[trouble])
    folder = root.parent if "notebooks" in trouble else root
    assert grade.main([str(folder), "--json", str(file)]) == 2
    assert trouble in capsys.readouterr().err
    assert not file.exists()


def test_a_disk_that_ran_full_is_not_the_submissions_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = iter([2**40, 2**20])  # bytes, before and after
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=next(free)))
    write(root, "raise OSError('No space left on device')")
    assert grade.main([str(root), "--json", str(root.parent / "grade.json")]) == 2
    assert "ran full" in capsys.readouterr().err


def test_an_interrupt_is_exit_code_130_and_no_grade(root: Path) -> None:
    file, started = root.parent / "grade.json", root.parent / "started"
    file.write_text("yesterday's")
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
