"""Odd places, and odd orders of the cells: the report still comes out."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from executed import ROOT, contents, with_parameters
from nbclient import NotebookClient
from tiny_mnist import CLOSED

from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_tools.files import NOTEBOOKS

SHORT = {"DATASET": "sklearn-digits", "EPOCHS": 1}
# With LC_ALL=C a Python in a folder with Korean letters does not start; `make` takes it away.
LC_ALL = "C" if sys.prefix.isascii() and str(ROOT).isascii() else None


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


def cut(checkout: Path) -> Path:
    """Leave of notebook 01 what comes before the model: it finds, imports, loads, draws, saves."""
    path = checkout / "notebooks" / "01_scratch_mlp.ipynb"
    nb = with_parameters(path.stem, **SHORT)
    nb.cells = nb.cells[: [cell.id for cell in nb.cells].index("model")]
    nbformat.write(nb, path)
    return path


def run(checkout: Path, command: list[str], cwd: Path) -> str:
    """Run a Python module of the copy: no MNIST, no network, no home, no UTF-8."""
    variables: dict[str, str | None] = {  # None takes one away
        **os.environ,
        **{"HOME": None, "XDG_CACHE_HOME": None, "MNIST_DIR": None, "MNIST_MIRRORS": CLOSED},
        **{"LANG": "C", "LC_ALL": LC_ALL, "PYTHONUTF8": "0", "PYTHONIOENCODING": None},
        "MNIST_CACHE": str(checkout.parent / "cache"),
        OUTPUT_VARIABLE: None,
        "PYTHONPATH": str(checkout / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(checkout.parent),
    }
    # A superuser may write anywhere, unless the capability to do so is taken away.
    plain = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*plain, sys.executable, "-m", *command],
        env={name: value for name, value in variables.items() if value is not None},
        cwd=cwd,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert command[0] == "nbconvert" or not done.stderr
    return done.stdout.decode()


def test_the_report_comes_out_where_nothing_can_be_written(checkout: Path) -> None:
    name = cut(checkout).stem
    make_writable(checkout, False)
    before = contents(checkout)
    output = run(checkout, ["mnist_tools.report", "report", "--only", "01"], checkout)
    assert "쓸 수 없어" in output
    page = Path(output.splitlines()[-1])
    assert page.name == f"{name}.html"
    assert "sklearn-digits" in page.read_text(encoding="utf-8")
    assert contents(checkout) == before


def test_nbconvert_needs_no_flags_and_figures_that_cannot_be_saved_are_only_noted(
    checkout: Path,
) -> None:
    path = cut(checkout)
    make_writable(checkout / "figures", False)
    arguments = ["nbconvert", "--execute", "--to", "html", "--output-dir", str(checkout.parent)]
    run(checkout, [*arguments, str(path)], Path("/"))
    page = (checkout.parent / "01_scratch_mlp.html").read_text(encoding="utf-8")
    assert "저장하지 못했습니다(Permission denied). 보고서는 계속됩니다" in page
    assert "Traceback" not in page


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS.values())
def test_backwards_names_what_is_missing_and_then_every_cell_works_twice(
    name: str, tmp_path: Path
) -> None:
    nb = with_parameters(name, **SHORT)
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    order = [code[0], *reversed(code), *(cell for cell in code for _ in range(2))]
    nb.cells = [
        nbformat.from_dict(dict(cell, id=f"cell-{n}", outputs=[])) for n, cell in enumerate(order)
    ]
    resources = {"metadata": {"path": str(ROOT / "notebooks")}}
    client = NotebookClient(nb, kernel_name="python3", allow_errors=True, resources=resources)
    client.execute(env=os.environ | {OUTPUT_VARIABLE: str(tmp_path)})
    errors = [[o.ename for o in cell.outputs if o.output_type == "error"] for cell in nb.cells]
    backwards, forwards = errors[: len(code) + 1], errors[len(code) + 1 :]
    assert not any(forwards)
    assert sum(map(len, backwards)) > 10
    assert {name for cell in backwards for name in cell} == {"NameError"}
