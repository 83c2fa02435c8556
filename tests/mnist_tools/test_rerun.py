"""A submission is read with care, runs with limits, and nothing of it outlives its run."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_notebook import write_code

from mnist_tools import rerun
from mnist_tools.execute import Limits
from mnist_tools.files import ReportError
from mnist_tools.rerun import copy_submission, examine, read_submitted


def test_the_copy_leaves_out_what_could_hurt(tmp_path: Path) -> None:
    source = tmp_path / "source"
    others = (".git/config", ".venv/x", "reports/x.html", "mine/pyvenv.cfg")
    for name in (*others, "src/a.py", "data/study.jsonl"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    for name, target in {"everything": "/", "broken": "/nowhere", "endless": "/dev/zero"}.items():
        (source / name).symlink_to(target)
    os.mkfifo(source / "fifo")
    (source / "src" / "linked.py").symlink_to(source / "src" / "a.py")
    copy_submission(source, tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*")}
    assert copied == {"src", "src/a.py", "src/linked.py", "data", "data/study.jsonl"}
    assert not (tmp_path / "copy" / "src" / "linked.py").is_symlink()


def instead(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Put something else in the place of a file."""

    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def nest_deeply(path: Path) -> None:
    """Publish results that JSON can hold, and that cannot be copied."""
    nb = json.loads(path.read_text(encoding="utf-8"))
    data = {"application/json": {"deep": "DEEP"}}
    nb["cells"][0]["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
    path.write_text(json.dumps(nb).replace('"DEEP"', "[" * 700 + "]" * 700))


def written(text: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda path: path.write_text(text, encoding)


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "renamed": (lambda path: path.rename(path.with_name("01 (1).ipynb")), "01 (1).ipynb, other"),
    "a pipe": (instead(os.mkfifo), "링크나 장치"),
    "huge": (lambda path: os.truncate(path, 200_000_000), "100 MB가 넘는 파일"),
    "a conflict": (written("{\n<<<<<<< HEAD\n1\n>>>>>>> a\n}"), "병합 충돌"),
    "cp949": (written('{"cells": "숫자"}', "cp949"), "UTF-8이 아님"),
    "deep": (written("[" * 100_000), "노트북의 형식이 아님"),
    "deep results": (nest_deeply, "노트북의 형식이 아님"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    spoil, message = UNREADABLE[name]
    path = write_code(tmp_path / "source" / "n.ipynb", "x = 1")
    path.with_name("other.ipynb").write_text("[]")
    spoil(path)
    copy_submission(path.parent, tmp_path / "copy")
    assert message in read_submitted(tmp_path / "copy" / "n.ipynb").error


def rerun_code(root: Path, *sources: str, **limits: int) -> str:
    """Run a notebook of these cells as the grader does; return why it failed."""
    path = write_code(root / "notebooks" / "n.ipynb", *sources)
    submitted = read_submitted(path)
    submitted.nb.cells[0].metadata["tags"] = ["raises-exception", "skip-execution"]
    return rerun.rerun(root, "n", submitted, Limits(**limits)).error


FAKE = """\
import sys, types
module = types.ModuleType('mnist_mlp'); module.__file__ = '/elsewhere/mnist_mlp.py'
sys.modules['mnist_mlp'] = module
split = types.SimpleNamespace(images=1, labels=2); runs = {}
dataset = types.SimpleNamespace(train=split, validation=split, test=split)"""
NONSENSE = """\
k = get_ipython().kernel
k.session.send(k.iopub_socket, 'stream', {'name': 'stdout', 'text': 5}, parent=k.get_parent())"""
STUBBORN = """\
import time
try:
    for _ in range(200):
        print('x' * 10_000, flush=True)
        time.sleep(0.05)
except KeyboardInterrupt:
    pass"""
ENDINGS: dict[str, tuple[list[str], str]] = {
    "executed in another order": (
        ["print(later)", "later = 1"],
        "n.ipynb의 1번째 셀(cell-0): NameError: name 'later'",
    ),
    "slow": (
        ["import time", *["time.sleep(0.9)"] * 9],
        "the notebook took more than 2 seconds (채점하는 컴퓨터가 바빴다면 --timeout",
    ),
    "flood": (["x = 1", STUBBORN, "1 / 0"], "2번째 셀(cell-1): more than 100,000 characters"),
    "dies": (["import os; os._exit(1)"], "DeadKernelError"),
    "nonsense": (["x = 1", NONSENSE], "2번째 셀(cell-1): "),
    "other names": (["data = results = 1"], "dataset과 runs가 없음 (NameError"),
    "error hidden by a tag": (["raise ValueError('hidden')"], "ValueError: hidden"),
    "code from elsewhere": ([FAKE], "제출본이 아닌 코드를 가져옴: /elsewhere/mnist_mlp.py"),
    "another probe": (["import numpy; numpy.savez = lambda *a, **k: 0", FAKE], "FileNotFoundError"),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_a_clean_kernel_catches(name: str, tmp_path: Path) -> None:
    sources, message = ENDINGS[name]
    seconds = 2 if name == "slow" else 600
    assert message in rerun_code(tmp_path, *sources, output=100_000, seconds=seconds)


DAEMON = """\
import os, pathlib, subprocess, sys
os.write(1, b'36/36')
grade = pathlib.Path("grade.json")
code = '''
import os, pathlib, time
os.fork() and os._exit(0)
os.setsid()
while True:
    pathlib.Path("grade.json").write_text("36/36")
    time.sleep(0.1)
'''
subprocess.Popen([sys.executable, "-c", code], env={}, start_new_session=True)
while not grade.exists(): pass"""


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="needs Linux")
def test_no_process_of_a_notebook_outlives_it_or_writes_to_the_graders_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not even a daemon: without a parent, in a session of its own, with an empty environment."""
    file = tmp_path / "notebooks" / "grade.json"
    assert "dataset" in rerun_code(tmp_path, DAEMON)
    file.unlink()
    time.sleep(0.5)
    assert not file.exists()
    assert "36/36" not in "".join(capfd.readouterr())


def save_hugely(file: Path) -> None:
    np.savez(file, files=np.array([str(file.parent / "src" / "x.py")]))
    os.truncate(file, 2**40)


PROBES: dict[str, Any] = {
    "a pipe": (os.mkfifo, "not a regular file"),
    "a bomb": (
        lambda file: np.savez_compressed(file, files=np.zeros(200_000_000, np.uint8)),
        "holds 200,000",
    ),
    "a huge file": (save_hugely, "zip"),
    "pickled": (lambda file: np.savez(file, files=np.array([Path()], object)), "allow_pickle"),
    "no files": (lambda file: np.savez(file, x=1), "KeyError"),
}


@pytest.mark.parametrize("name", PROBES)
def test_what_a_kernel_left_is_read_with_care(name: str, tmp_path: Path) -> None:
    leave, message = PROBES[name]
    leave(tmp_path / "probe.npz")
    with pytest.raises(ReportError, match=message):
        examine(tmp_path)
