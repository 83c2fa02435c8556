"""Copy a submission and run its notebooks again: others' code, so every step has a limit.

Limits are no prison: what runs here has the user's rights.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import psutil
from nbclient.exceptions import CellTimeoutError

from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_tools.execute import CellError, Limits, run
from mnist_tools.files import ReportError, read_notebook
from mnist_tools.shown import HIDING, Side, place, tags

# Ours take 70 and 80 seconds on two cores (where others work too, easily three times as long),
# 1 GiB and 2 million characters.
LIMITS = Limits(seconds=600, memory=8, output=20_000_000)
FILE_LIMIT, COPY_LIMIT = 100_000_000, 500_000_000  # bytes of a file, of all files; ours has 10^7
PROBE_LIMIT = 100_000_000  # bytes; ours has 5 million
SPACE = 2_000_000_000  # bytes free in the temporary folder, for two copies and what they save
NOT_COPIED = {"venv", "env", "node_modules", "__pycache__", "build", "dist", "reports"}
PROBE = """
import hashlib, sys, numpy
ours = [m for name, m in sys.modules.items() if name.split(".")[0] == "mnist_mlp"]
found = {"files": [str(m.__file__) for m in ours], "torch": "torch" in sys.modules}
for part in ("train", "validation", "test"):
    split = getattr(dataset, part)
    whole = numpy.rint(255 * numpy.asarray(split.images)), numpy.asarray(split.labels)
    found[part] = [hashlib.sha256(a.astype("uint8").tobytes()).hexdigest() for a in whole]
for name, run in runs.items():
    found[name + " logits"], found[name + " torch"] = run.logits, not hasattr(run.model, "affine")
    if hasattr(run.model, "affine"):
        weights = [(layer.W, layer.b) for layer in run.model.affine]
    else:
        weights = [(m.weight.detach().cpu().numpy().T, m.bias.detach().cpu().numpy())
                   for m in run.model if hasattr(m, "weight")]
    for i, (W, b) in enumerate(weights):
        found[f"{name} W{i}"], found[f"{name} b{i}"] = W, b
numpy.savez(PROBE_FILE, **found)
"""


def copy_submission(source: Path, target: Path) -> None:
    """Copy what notebooks may need: nothing hidden or enormous, no link to a folder, no device.

    Raises ReportError if all that is too large to copy.
    """
    total = 0

    def unwanted(folder: str, names: list[str]) -> set[str]:
        """Return the names that stay behind."""
        nonlocal total
        left = {
            path.name
            for path in (Path(folder, name) for name in names)
            if path.name in NOT_COPIED
            or path.name.startswith(".")
            or (path / "pyvenv.cfg").exists()  # a virtual environment of any name
            or (path.is_symlink() if path.is_dir() else not path.is_file())
            or path.stat().st_size > FILE_LIMIT
        }
        total += sum(Path(folder, name).stat().st_size for name in set(names) - left)
        if total > COPY_LIMIT:
            raise ReportError(f"{source} has more than {COPY_LIMIT:,} bytes: too much to copy")
        return left

    shutil.copytree(source, target, ignore=unwanted)


def read_submitted(path: Path) -> Side:
    """Read a notebook of the copy, or say why it cannot be read."""
    try:
        nb = read_notebook(path)
        deepcopy(nb)  # what is nested too deeply fails here and not later
    except (ReportError, RecursionError) as error:
        reason = f"notebooks/{path.name}을 읽을 수 없음: {unreadable(path, error)}"
        return Side("제출본", nbformat.v4.new_notebook(), reason)
    return Side("제출본", nb)


def unreadable(path: Path, error: Exception) -> str:
    """Say what is wrong with a notebook file, as far as one can tell."""
    if not path.is_file():
        others = ", ".join(sorted(other.name for other in path.parent.glob("*.ipynb")))
        large = f"{FILE_LIMIT // 10**6} MB가 넘는 파일"
        return f"그런 파일이 없음(있는 노트북: {others or '없음'}), 또는 {large}이나 링크나 장치"
    content = path.read_bytes()
    if b"\n<<<<<<< " in content:
        return "병합 충돌 표시(<<<<<<<)가 남아 있음"
    try:
        content.decode()
    except UnicodeDecodeError:
        return "UTF-8이 아님(cp949 등 다른 인코딩으로 저장한 파일)"
    return f"노트북의 형식이 아님({str(error).rpartition(' as a notebook: ')[2]})"


def rerun(root: Path, name: str, submitted: Side, limits: Limits) -> Side:
    """Execute a notebook in ``root``, a scratch copy of its repository, with the copy's ``src``."""
    root, nb = root.resolve(), deepcopy(submitted.nb)
    for cell in nb.cells:
        cell.metadata["tags"] = [tag for tag in tags(cell) if tag not in HIDING]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    probe = PROBE.replace("PROBE_FILE", repr(str(root / "probe.npz")))
    nb.cells.append(nbformat.v4.new_code_cell(probe, id="probe"))
    again = Side("재실행", nb)
    try:
        run_contained(nb, root, limits)
        again.found = examine(root)
    except CellError as failure:
        again.error = f"{name}.ipynb의 {place(nb, nb.cells[failure.index])}: {failure.reason}"
        if failure.index == len(nb.cells) - 1:
            again.error = f"끝난 커널에 채점할 dataset과 runs가 없음 ({failure.reason})"
        if isinstance(failure.__cause__, CellTimeoutError):
            again.error += " (채점하는 컴퓨터가 바빴다면 --timeout을 늘려 다시 채점할 것)"
    except ReportError as trouble:
        again.error = str(trouble)
    nb.cells.pop()
    return again


def run_contained(nb: nbformat.NotebookNode, root: Path, limits: Limits) -> None:
    """Run a notebook that writes nowhere but to its outputs and ``root``, and leaves nothing."""
    env = {k: v for k, v in os.environ.items() if k not in (OUTPUT_VARIABLE, "REPO_URL")}
    env |= {"PYTHONPATH": str(root / "src"), "IPYTHONDIR": str(root / ".ipython")}
    if sys.platform == "linux":  # what outlives its parent becomes ours, so that we can end it
        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
    before = descendants()
    try:
        # A kernel's own streams would be the terminal that shows the grades.
        silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        run(nb, root / "notebooks", env, limits, **silent)
    finally:
        for _ in range(20):  # times: a process may have started another meanwhile
            if not (left := descendants() - before):
                break
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=1)


def descendants() -> set[psutil.Process]:
    """Return the processes that this one started, and they in turn."""
    return set(psutil.Process().children(recursive=True))


def examine(root: Path) -> dict[str, Any]:
    """Return the arrays that a kernel left, or raise ReportError about them or about its code."""
    file = root / "probe.npz"
    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise ValueError(f"{file.name} is not a regular file")
        with zipfile.ZipFile(file) as archive:  # its contents say how large they are
            size = sum(entry.file_size for entry in archive.infolist())
        if max(size, file.stat().st_size) > PROBE_LIMIT:
            raise ValueError(f"{file.name} holds {size:,} bytes, more than {PROBE_LIMIT:,}")
        with np.load(file) as arrays:  # no pickles: nothing of the submission runs
            found = dict(arrays)
        foreign = [path for path in found["files"] if not Path(path).is_relative_to(root)]
    except Exception as error:  # a submission can leave anything in this file
        raise ReportError(f"{type(error).__name__}: {error}") from error
    if foreign:
        raise ReportError(f"제출본이 아닌 코드를 가져옴: {foreign[0]}")
    return found
