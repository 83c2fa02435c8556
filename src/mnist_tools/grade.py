"""Re-run both notebooks from clean kernels in a scratch copy of a submission, and score a rubric.

``python -m mnist_tools.grade [REPOSITORY]`` prints a table and writes ``reports/grade.json``. It
exits with 0 for a full score, 1 for less, 2 if nothing could be graded and 130 if interrupted.
What is scored, and how: ``rubric.py``.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import numpy as np

from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_tools.execute import CellError, run
from mnist_tools.files import NOTEBOOKS, ReportError, prepare, read_notebook, write_atomically
from mnist_tools.rubric import CURVE_TOLERANCE, HIDING, TOLERANCE, Item, Side, judge, place, tags

REASON = """\
비교: 학습 곡선의 손실이 절반 넘게 마지막 자리까지 재실행과 같으면 같은 컴퓨터로 보고 모든 값과
글과 그림을 그대로 비교한다. 다른 컴퓨터에서는 float32의 반올림이 다르고 학습이 그것을 키우므로
허용 오차로 비교한다: 마지막 정확도는 테스트 {test_accuracy}, 검증 {validation_accuracy},
훈련 {train_accuracy}, 학습 곡선은 에폭마다 손실 {loss}, 정확도 {accuracy}. 그때 글은
(a), (b), (c)의 수치만 비교하고 그림은 비교하지 않으므로 나머지는 사람이 읽어야 한다.\
""".format(**TOLERANCE, **CURVE_TOLERANCE)
OUTPUT_LIMIT = 20_000_000  # characters that a notebook may put out; ours has 2 million
COPY_LIMIT = 100_000_000  # bytes; nothing larger is needed to run a notebook
SPACE = 2_000_000_000  # bytes free in the temporary folder; MNIST has 220 million
NOT_COPIED = {"venv", "env", "node_modules", "__pycache__", "build", "dist", "reports"}
PROBE = """
import sys, numpy
found = {"files": numpy.array(
    [str(m.__file__) for n, m in sys.modules.items() if n.split(".")[0] == "mnist_mlp"])}
for part in ("train", "validation", "test"):
    split = getattr(dataset, part)
    found[part + " images"], found[part + " labels"] = split.images, split.labels
for name, run in runs.items():
    found[name + " logits"] = run.logits
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
    """Copy what notebooks may need: nothing hidden or enormous, no link to a folder, no device."""

    def unwanted(folder: str, names: list[str]) -> set[str]:
        """Return the names that stay behind."""
        paths = [Path(folder, name) for name in names]
        return {
            path.name
            for path in paths
            if path.name in NOT_COPIED
            or path.name.startswith(".")
            or (path.is_symlink() if path.is_dir() else not path.is_file())
            or path.stat().st_size > COPY_LIMIT
        }

    shutil.copytree(source, target, ignore=unwanted)


def read_submitted(path: Path) -> Side:
    """Read a notebook of the copy, or say why it cannot be read."""
    try:
        return Side("제출본", read_notebook(path))
    except ReportError as error:
        reason = f"notebooks/{path.name}을 노트북으로 읽을 수 없음 ({error.__cause__})"
        return Side("제출본", nbformat.v4.new_notebook(), reason)


def rerun(root: Path, name: str, submitted: Side, options: argparse.Namespace) -> Side:
    """Execute a notebook in ``root``, a scratch copy of its repository, with the copy's ``src``."""
    root, nb = root.resolve(), deepcopy(submitted.nb)
    for cell in nb.cells:
        cell.metadata["tags"] = [tag for tag in tags(cell) if tag not in HIDING]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    probe = PROBE.replace("PROBE_FILE", repr(str(root / "probe.npz")))
    nb.cells.append(nbformat.v4.new_code_cell(probe, id="probe"))
    env = {k: v for k, v in os.environ.items() if k not in (OUTPUT_VARIABLE, "REPO_URL")}
    env |= {"PYTHONPATH": str(root / "src"), "IPYTHONDIR": str(root / ".ipython")}
    limits = {"timeout": options.timeout, "memory": options.memory, "output_limit": OUTPUT_LIMIT}
    again = Side("재실행", nb)
    try:
        run(nb, root / "notebooks", env, **limits)
        again.found = examine(root)
    except CellError as failure:
        again.error = f"{name}.ipynb의 {place(nb, nb.cells[failure.index])}: {failure.reason}"
        if failure.index == len(nb.cells) - 1:
            again.error = f"끝난 커널에 채점할 dataset과 runs가 없음 ({failure.reason})"
    except ReportError as trouble:
        again.error = str(trouble)
    nb.cells.pop()
    return again


def examine(root: Path) -> dict[str, Any]:
    """Return the arrays that a kernel left, or raise ReportError about them or about its code."""
    try:
        with np.load(root / "probe.npz") as arrays:  # no pickles: nothing of the submission runs
            found = dict(arrays)
        foreign = [file for file in found["files"] if not Path(file).is_relative_to(root)]
    except Exception as error:  # a submission can leave anything in this file
        raise ReportError(f"{type(error).__name__}: {error}") from error
    if foreign:
        raise ReportError(f"제출본이 아닌 코드를 가져옴: {foreign[0]}")
    return found


def grade(repository: Path, options: argparse.Namespace) -> list[Item]:
    """Copy a submission, re-run its notebooks in the copy, and score them."""
    items = []
    with tempfile.TemporaryDirectory(prefix="grading-") as scratch:
        if shutil.disk_usage(scratch).free < SPACE:
            raise ReportError(f"{scratch} has less than {SPACE:,} bytes free; set TMPDIR")
        submitted = {}
        for name in NOTEBOOKS.values():  # before anything of the submission runs
            copy_submission(repository, Path(scratch, name))
            submitted[name] = read_submitted(Path(scratch, name, "notebooks", f"{name}.ipynb"))
        for kind, name in NOTEBOOKS.items():
            side = again = submitted[name]
            if not side.error:
                print(f"{name}.ipynb를 다시 실행합니다.", flush=True)
                again = rerun(Path(scratch, name), name, side, options)
            items += judge(kind, side, again)
    return items


def table(items: list[Item]) -> str:
    """Return the rubric as text."""
    lines = [f"{'점수':4}{'노트북':18}{'항목':18}내용"]
    for item in items:
        point = "0/1" if item.problems else "1/1"
        lines.append(f"{point:6}{item.notebook:21}{item.key:20}{item.title}")
        lines += [f"{'':8}- {problem}" for problem in item.problems[:3]]
        if len(item.problems) > 3:
            lines.append(f"{'':8}- 그 밖에 {len(item.problems) - 3}가지")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mnist_tools.grade", description=__doc__)
    parser.add_argument("repository", type=Path, nargs="?", default=Path(), help="default: .")
    parser.add_argument("--timeout", type=int, default=120, help="seconds a cell (default: 120)")
    parser.add_argument("--memory", type=float, default=8, help="GiB a kernel (default: 8)")
    parser.add_argument("--json", type=Path, default=Path("reports/grade.json"))
    options = parser.parse_args(arguments)
    prepare()
    try:
        options.json.unlink(missing_ok=True)  # no old grade stays if this one finds no end
        if not (options.repository / "notebooks").is_dir():
            raise ReportError(f"{options.repository} has no folder notebooks")
        items = grade(options.repository, options)
        score = sum(not item.problems for item in items)
        print(f"{table(items)}\n\n{REASON}\n\n합계 {score}/{len(items)} ({options.json})")
        report = {
            "submission": str(options.repository.resolve()),
            "score": score,
            "full": len(items),
            "items": [asdict(item) for item in items],
        }
        write_atomically(options.json, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    except Exception as error:  # trouble of our own: what a submission does is caught before
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("채점을 중단했습니다.", file=sys.stderr)
        return 130
    return 0 if score == len(items) else 1


if __name__ == "__main__":
    sys.exit(main())
