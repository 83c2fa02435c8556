"""Odd places and odd orders of the cells: the report still comes out.

``TORTURE=1`` tries each place alone too, and leaves out each cell once.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from torture_data import CLOSED, TORTURE

from mnist_mlp import report
from mnist_mlp.files import NOTEBOOKS, read_notebook
from mnist_mlp.hints import HINT
from mnist_mlp.notebook import OUTPUT_VARIABLE

ROOT = Path(__file__).parents[1]
SHORT = {"DATASET": "sklearn-digits", "EPOCHS": 1}

Variables = dict[str, str | None]
"""Environment variables; None takes one away."""
HOMELESS: Variables = {"HOME": None, "XDG_CACHE_HOME": None}
# With LC_ALL=C a Python in a folder with Korean letters does not start; `make` takes it away.
LC_ALL = "C" if sys.prefix.isascii() and str(ROOT).isascii() else None
NO_UTF8: Variables = {
    "LANG": "C", "LC_ALL": LC_ALL, "PYTHONUTF8": "0", "PYTHONIOENCODING": None,
}  # fmt: skip


# ---- places


def contents(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): sha256(path.read_bytes()).hexdigest() for path in files}


def make_writable(folder: Path, writable: bool) -> None:
    """Allow or forbid to change anything below a folder."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod((path.stat().st_mode | 0o200) if writable else (path.stat().st_mode & ~0o222))


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A copy of the repository in a folder with spaces and Korean letters."""
    copy = tmp_path / "과제 제출 (최종)" / "저장소 사본"
    for name in ("src", "notebooks", "data", "figures"):
        ignored = shutil.ignore_patterns("__pycache__", "*.gz", "*ubyte")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    yield copy
    make_writable(copy, True)  # so that pytest can remove it


def run(
    checkout: Path, command: list[str], cwd: Path, change: Variables | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a Python module of the copy, without MNIST and without a network."""
    variables = os.environ | {"MNIST_MIRRORS": CLOSED, "MNIST_DIR": None, OUTPUT_VARIABLE: None}
    variables |= (change or {}) | {
        "PYTHONPATH": str(checkout / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    variables |= {"TMPDIR": str(checkout.parent), "MNIST_CACHE": str(checkout.parent / "cache")}
    # A superuser may write anywhere, unless the capability to do so is taken away.
    plain = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*plain, sys.executable, "-m", *command],
        env={name: value for name, value in variables.items() if value is not None},
        cwd=cwd, capture_output=True, check=False, timeout=300,
    )  # fmt: skip


PLACES: dict[str, tuple[str, bool, Variables]] = {  # working directory, read-only, environment
    "all at once": ("/", True, HOMELESS | NO_UTF8),
}
if TORTURE:
    PLACES |= {
        "from the root": (".", False, {}),
        "from notebooks/": ("notebooks", False, {}),
        "from elsewhere": ("/", False, {}),
        "read-only": (".", True, {}),
        "LANG=C": (".", False, {"LANG": "C", "LC_ALL": LC_ALL}),
        "PYTHONUTF8=0": (".", False, NO_UTF8),
        "no home": (".", False, HOMELESS),
        "a home that is not there": (".", False, {"HOME": "/nonexistent"}),
    }


@pytest.mark.parametrize("place", PLACES)
def test_the_report_comes_out_wherever_it_is_built(checkout: Path, place: str) -> None:
    where, read_only, change = PLACES[place]
    make_writable(checkout, not read_only)
    before = contents(checkout)
    command = ["mnist_mlp.report", "report", "--root", str(checkout)]
    done = run(checkout, command, checkout / where, change)
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert (done.returncode, errors) == (0, "")
    pages = [Path(line) for line in output.splitlines() if line.endswith(".html")]
    assert [page.name for page in pages] == [
        *(f"{n}.html" for n in NOTEBOOKS.values()),
        "index.html",
    ]
    assert ("쓸 수 없어" in output) == read_only
    assert (pages[0].parent == checkout / "reports") != read_only
    for page in pages:
        assert "sklearn-digits" in page.read_text(encoding="utf-8")
    assert contents(checkout).items() >= before.items()
    assert not read_only or contents(checkout) == before


def test_nbconvert_needs_no_flags_and_figures_that_cannot_be_saved_are_only_noted(
    checkout: Path,
) -> None:
    path = checkout / "notebooks" / "01_scratch_mlp.ipynb"
    nb = read_notebook(path)
    report.override(nb, SHORT)
    nbformat.write(nb, path)
    make_writable(checkout / "figures", False)
    arguments = ["nbconvert", "--execute", "--to", "html", "--output-dir", str(checkout.parent)]
    done = run(checkout, [*arguments, str(path)], Path("/"))
    assert done.returncode == 0, done.stderr.decode()
    page = (checkout.parent / "01_scratch_mlp.html").read_text(encoding="utf-8")
    assert "저장하지 못했습니다(Permission denied). 보고서는 계속됩니다" in page
    assert "Traceback" not in page


# ---- orders


def code_cells(name: str, arrange: Callable[[list[Any]], list[Any]]) -> list[Any]:
    """Execute the code cells of a notebook in another order, going on after errors."""
    nb = read_notebook(ROOT / "notebooks" / f"{name}.ipynb")
    report.override(nb, SHORT)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    nb.cells = [nbformat.from_dict(dict(cell)) for cell in arrange(code)]
    for number, cell in enumerate(nb.cells):
        cell["id"], cell["outputs"] = f"cell-{number}", []
    resources = {"metadata": {"path": str(ROOT / "notebooks")}}
    NotebookClient(
        nb, kernel_name="python3", allow_errors=True, shutdown_kernel="immediate",
        resources=resources,
    ).execute()  # fmt: skip
    cells: list[Any] = nb.cells
    return cells


def errors_of(cells: list[Any]) -> list[tuple[str, str]]:
    outputs = [o for cell in cells for o in cell.outputs if o.output_type == "error"]
    return [(o.ename, o.evalue) for o in outputs]


@pytest.fixture(autouse=True)
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the committed figures and results."""
    monkeypatch.setenv(OUTPUT_VARIABLE, str(tmp_path / "figures"))


@pytest.mark.parametrize("name", NOTEBOOKS.values() if TORTURE else ["01_scratch_mlp"])
def test_every_cell_twice(name: str) -> None:
    cells = code_cells(name, lambda code: [c for cell in code for c in (cell, cell)])
    assert errors_of(cells) == []


def count(name: str) -> int:
    return sum(c.cell_type == "code" for c in read_notebook(ROOT / f"notebooks/{name}.ipynb").cells)


SKIPPED = [(name, i) for name in NOTEBOOKS.values() for i in range(count(name))]


LOAD = 3  # the number of the cell that loads the data; all but a few need it


@pytest.mark.parametrize(("name", "skipped"), SKIPPED if TORTURE else [("01_scratch_mlp", LOAD)])
def test_a_cell_left_out_is_asked_for(name: str, skipped: int) -> None:
    def arrange(code: list[Any]) -> list[Any]:
        own = [cell for cell in code if cell.id != "injected-parameters"]  # it keeps the run short
        return [cell for cell in code if cell is not own[skipped]]

    cells = code_cells(name, arrange)
    assert errors_of(cells) or skipped != LOAD or name != "01_scratch_mlp"
    for kind, message in errors_of(cells):
        assert kind == "NameError"
        assert message.endswith(HINT)


@pytest.mark.parametrize("name", NOTEBOOKS.values() if TORTURE else ["01_scratch_mlp"])
def test_backwards_asks_for_the_cells_above_and_forwards_works_again(name: str) -> None:
    cells = code_cells(name, lambda code: [code[0], *reversed(code), *code])
    backwards, forwards = cells[: len(cells) // 2 + 1], cells[len(cells) // 2 + 1 :]
    assert errors_of(forwards) == []
    found = errors_of(backwards)
    assert len(found) > 10
    assert {kind for kind, _ in found} == {"NameError"}
    assert all(message.endswith(HINT) for _, message in found)
