"""What a submission does while it runs has limits, and nothing of it outlives its run."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_notebook import write_code

from mnist_tools import rerun
from mnist_tools.files import ReportError
from mnist_tools.rerun import Limits, copy_submission, examine, read_submitted


def test_the_copy_leaves_out_what_could_hurt(tmp_path: Path) -> None:
    source = tmp_path / "source"
    others = (".git/config", ".venv/x", "reports/x.html", "mine/pyvenv.cfg")
    for name in (*others, "src/a.py", "data/study.jsonl"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "everything").symlink_to("/")
    (source / "broken").symlink_to("/nowhere")
    (source / "endless").symlink_to("/dev/zero")
    os.mkfifo(source / "fifo")
    (source / "src" / "linked.py").symlink_to(source / "src" / "a.py")
    copy_submission(source, tmp_path / "copy")
    copied = {str(p.relative_to(tmp_path / "copy")) for p in (tmp_path / "copy").rglob("*")}
    assert copied == {"src", "src/a.py", "src/linked.py", "data", "data/study.jsonl"}
    assert not (tmp_path / "copy" / "src" / "linked.py").is_symlink()


def rerun_code(root: Path, *sources: str, **limits: Any) -> str:
    """Run a notebook of these cells as the grader does; return why it failed."""
    path = write_code(root / "notebooks" / "n.ipynb", *sources)
    return rerun.rerun(root, "n", read_submitted(path), Limits(**limits)).error


DAEMON = """\
import os, pathlib, subprocess, sys
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
def test_no_process_of_a_notebook_outlives_it(tmp_path: Path) -> None:
    """Not even a daemon: without a parent, in a session of its own, with an empty environment."""
    file = tmp_path / "notebooks" / "grade.json"
    assert "dataset" in rerun_code(tmp_path, DAEMON)
    file.unlink()
    time.sleep(0.5)
    assert not file.exists()


def test_a_notebook_of_many_slow_cells_is_ended_too(tmp_path: Path) -> None:
    error = rerun_code(tmp_path, "import time", *["time.sleep(1)"] * 9, timeout=60, total=3)
    assert "the notebook took more than 3 seconds (채점하는 컴퓨터가 바빴다면 --timeout" in error


def test_a_kernel_cannot_write_to_the_graders_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    attack = "import os, sys\nos.write(sys.stdout._original_stdstream_copy, b'36/36')"
    rerun_code(tmp_path, attack)
    assert "36/36" not in "".join(capfd.readouterr())


MESSAGES = ["'display_data', {}", "'stream', {'name': 'stdout', 'text': 5}", "'status', {}"]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_kernel_that_sends_nonsense_is_its_notebooks_fault(message: str, tmp_path: Path) -> None:
    send = f"k.session.send(k.iopub_socket, {message}, parent=k.get_parent())"
    error = rerun_code(tmp_path, "k = get_ipython().kernel", send)
    assert error.startswith("n.ipynb의 2번째 셀(cell-1): ")


def save(file: Path, **arrays: Any) -> None:
    np.savez(file, files=np.array([str(file.parent / "src" / "x.py")]), **arrays)


def save_hugely(file: Path) -> None:
    save(file)
    os.truncate(file, 2**40)


PROBES: dict[str, Any] = {
    "a pipe": (os.mkfifo, "not a regular file"),
    "a device": (lambda file: file.symlink_to("/dev/zero"), "not a regular file"),
    "a bomb": (
        lambda file: np.savez_compressed(file, files=np.zeros(200_000_000, np.uint8)),
        "holds 200,000",
    ),
    "a huge file": (save_hugely, "zip"),
    "pickled": (lambda file: np.savez(file, files=np.array([Path()], object)), "allow_pickle"),
    "no archive": (lambda file: file.write_text("x"), "BadZipFile"),
    "nothing": (lambda file: None, "FileNotFoundError"),
    "no files": (lambda file: np.savez(file, x=1), "KeyError"),
    "other code": (lambda file: np.savez(file, files=np.array(["/x/y.py"])), "제출본이 아닌 코드"),
}


@pytest.mark.parametrize("name", PROBES)
def test_what_a_kernel_left_is_read_with_care(name: str, tmp_path: Path) -> None:
    leave, message = PROBES[name]
    leave(tmp_path / "probe.npz")
    with pytest.raises(ReportError, match=message):
        examine(tmp_path)


def test_what_a_kernel_left_is_read(tmp_path: Path) -> None:
    save(tmp_path / "probe.npz", weights=np.eye(3))
    np.testing.assert_array_equal(examine(tmp_path)["weights"], np.eye(3))
