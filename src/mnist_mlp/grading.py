"""Re-run both notebooks from clean kernels in a scratch copy of a submission, and score a rubric.

``python -m mnist_mlp.grading [REPOSITORY]`` prints a table, writes ``reports/grade.json`` and exits
with 0 only for a full score. What is scored, and how: ``rubric.py``.
"""

import argparse
import ast
import asyncio
import json
import os
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbclient.util import ensure_async
from nbformat import NotebookNode

from mnist_mlp.files import (
    NOTEBOOKS,
    ReportError,
    read_notebook,
    resolve_mnist_dir,
    speak_utf8,
    write_atomically,
)
from mnist_mlp.report import override
from mnist_mlp.rubric import CURVE_TOLERANCE, TOLERANCE, Item, Rerun, judge, place, tags

REASON = """\
허용 오차: 같은 컴퓨터에서는 모든 값이 똑같아야 한다. 다른 컴퓨터에서는 float32를 더하는 순서가
달라 반올림이 다르고, 학습이 그것을 키워 시드를 바꾼 것만큼 다른 망이 된다. 그래서 학습 곡선이
다르면 마지막 정확도가 테스트 {test_accuracy}, 검증 {validation_accuracy},
훈련 {train_accuracy} 안에서, 학습 곡선은 에폭마다 손실 {loss}, 정확도 {accuracy} 안에서
같은지 본다. 그때 제출본의 글은 (a), (b), (c)의 수치만 맞추어 보고 그림은 견주지 않으므로,
나머지는 사람이 읽어야 한다.""".format(**TOLERANCE, **CURVE_TOLERANCE)
OUTPUT_LIMIT = 20_000_000  # characters that a notebook may put out; ours has 2 million
COPY_LIMIT = 100_000_000  # bytes; nothing larger is needed to run a notebook
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


class LimitedClient(NotebookClient):
    """A client that interrupts a notebook which puts out more than ``OUTPUT_LIMIT``."""

    size = 0

    def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Keep an output, or drop it so that this process's memory is bounded too."""
        before, self.size = self.size, self.size + len(str(msg["content"]))
        if self.size <= OUTPUT_LIMIT or msg["msg_type"] in ("status", "error"):
            return super().process_message(msg, cell, cell_index)
        if before <= OUTPUT_LIMIT and self.km is not None:
            self.interrupt = asyncio.ensure_future(ensure_async(self.km.interrupt_kernel()))
        return None


def copy_submission(source: Path, target: Path) -> None:
    """Copy what notebooks may need: nothing hidden or enormous, no link to a folder, no device."""

    def unwanted(folder: str, names: list[str]) -> set[str]:
        wanted = {
            path.name
            for path in (Path(folder, name) for name in names if name not in NOT_COPIED)
            if (path.is_dir() and not path.is_symlink())
            or (path.is_file() and path.stat().st_size <= COPY_LIMIT)
        }
        return {name for name in names if name not in wanted or name.startswith(".")}

    shutil.copytree(source, target, ignore=unwanted)


def readable(path: Path) -> NotebookNode:
    """Read a notebook; what cannot be read is an empty one, and no point is given for it."""
    with suppress(ReportError):
        return read_notebook(path)
    return nbformat.v4.new_notebook()


def rerun(
    root: Path, name: str, parameters: dict[str, Any], timeout: int = 120, memory: float = 8
) -> Rerun:
    """Execute a notebook of ``root``, a scratch copy, in a clean kernel that imports its ``src``.

    ``timeout`` is in seconds a cell, ``memory`` in GiB for the kernel's data (POSIX only).
    """
    root = root.resolve()
    path, probe_file = root / "notebooks" / f"{name}.ipynb", root / "probe.npz"
    nb = readable(path)
    if not (nb.cells and (root / "src" / "mnist_mlp").is_dir()):
        return Rerun(nb, f"notebooks/{path.name} 또는 src/mnist_mlp가 없거나 읽을 수 없음")
    clear(nb, parameters)
    probe = PROBE.replace("PROBE_FILE", repr(str(probe_file)))
    nb.cells.append(nbformat.v4.new_code_cell(probe, id="probe"))
    started = [0]
    client = LimitedClient(
        nb,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        shutdown_kernel="immediate",
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    env = {k: v for k, v in os.environ.items() if k not in ("MNIST_MLP_OUTPUT", "REPO_URL")}
    env |= {"PYTHONPATH": str(root / "src"), "IPYTHONDIR": str(root / ".ipython")}
    limits = {"preexec_fn": lambda: limit_memory(memory)} if os.name == "posix" else {}
    error, found = "", {}
    try:
        client.execute(env=env, **limits)
        with np.load(probe_file) as arrays:  # no pickles: nothing of the submission runs here
            found = dict(arrays)
        for file in found["files"]:
            if not Path(file).is_relative_to(root):
                error = f"제출본이 아닌 코드를 가져옴: {file}"
    except CellTimeoutError:
        error = f"{timeout}초의 시간 제한을 넘김"
    except Exception as failure:  # of a cell, of the kernel, of a probe with other contents
        outputs = nb.cells[started[-1]].get("outputs", [])
        told = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
        error = told[0] if told else f"{type(failure).__name__}: {failure}"
        if nb.cells[started[-1]].id == "probe" and re.match("(Name|Attribute|Type)Error", error):
            error = f"끝난 커널에 채점할 dataset과 runs가 없음 ({error})"
    if client.size > OUTPUT_LIMIT:
        error = f"출력이 {OUTPUT_LIMIT:,}자를 넘음"
    if error:
        error = f"{path.name}의 {place(nb, started[-1])}: {error[:300]}"
    nb.cells.pop()
    return Rerun(nb, error, {} if error else found)


def clear(nb: NotebookNode, parameters: dict[str, Any]) -> None:
    """Remove old outputs and all tags that hide errors or skip cells; set the parameters."""
    if parameters:
        nb.cells = [cell for cell in nb.cells if "injected-parameters" not in tags(cell)]
        override(nb, parameters)
    for cell in nb.cells:
        cell.metadata["tags"] = [tag for tag in tags(cell) if tag == "results"]
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None


def limit_memory(gib: float) -> None:
    """Limit the data of this process, which is about to become a kernel."""
    import resource  # not on Windows

    with suppress(ValueError, OSError):  # macOS knows the limit only in part
        resource.setrlimit(resource.RLIMIT_DATA, (int(gib * 2**30),) * 2)


def grade(repository: Path, parameters: dict[str, Any], timeout: int, memory: float) -> list[Item]:
    """Copy a submission, re-run its notebooks in the copy, and score them."""
    items = []
    with tempfile.TemporaryDirectory(prefix="grading-") as scratch:
        copy_submission(repository, Path(scratch, "submission"))
        for kind, name in NOTEBOOKS.items():
            print(f"{name}.ipynb를 다시 실행합니다.", flush=True)
            again = rerun(Path(scratch, "submission"), name, parameters, timeout, memory)
            submitted = readable(repository / "notebooks" / f"{name}.ipynb")
            items += judge(kind, submitted, again, bool(parameters))
    return items


def table(items: list[Item]) -> str:
    """Return the rubric as text."""
    lines = [f"{'점수':4}{'노트북':18}{'항목':18}내용"]
    for item in items:
        point = "-" if not item.applies else "0/1" if item.problems else "1/1"
        lines.append(f"{point:6}{item.notebook:21}{item.key:20}{item.title}")
        if not item.applies:
            lines[-1] += " (해당 없음)"
            continue
        lines += [f"{'':6}-> {problem}" for problem in item.problems[:3]]
        if len(item.problems) > 3:
            lines.append(f"{'':6}   그 밖에 {len(item.problems) - 3}가지")
    return "\n".join(lines)


def parameter(text: str) -> tuple[str, Any]:
    """Read ``NAME=VALUE``; a value that is no Python literal is a string."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    with suppress(ValueError, SyntaxError):
        return name, ast.literal_eval(value)
    return name, value


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 0 for a full score, 1 for less, 2 if nothing can be graded."""
    parser = argparse.ArgumentParser(prog="python -m mnist_mlp.grading", description=__doc__)
    parser.add_argument("repository", type=Path, nargs="?", default=Path(), help="default: .")
    parser.add_argument("--timeout", type=int, default=120, help="seconds a cell (default: 120)")
    parser.add_argument("--memory", type=float, default=8, help="GiB a kernel (default: 8)")
    parser.add_argument("--json", type=Path, default=Path("reports/grade.json"))
    parser.add_argument("--parameters", type=parameter, nargs="+", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    try:
        if not (options.repository / "notebooks").is_dir():
            raise ReportError(f"{options.repository} has no folder notebooks")
        resolve_mnist_dir()
        items = grade(options.repository, dict(options.parameters), options.timeout, options.memory)
    except (ReportError, OSError, shutil.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    counted = [item for item in items if item.applies]
    score = sum(not item.problems for item in counted)
    report = {
        "score": score,
        "full": len(counted),
        "parameters": dict(options.parameters),
        "tolerance": TOLERANCE | {"curves": CURVE_TOLERANCE},
        "items": [asdict(item) for item in items],
    }
    write_atomically(options.json, json.dumps(report, ensure_ascii=False, indent=1) + "\n")
    print(f"{table(items)}\n\n{REASON}\n\n합계 {score}/{len(counted)} ({options.json})")
    return 0 if score == len(counted) else 1


if __name__ == "__main__":
    speak_utf8()
    sys.exit(main())
