"""Execute the notebooks in clean kernels and build the HTML and PDF that one hands in.

``python -m mnist_mlp.report report`` executes both and writes ``reports/*.html``; see ``--help``.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

from mnist_mlp.conclusions import readme_table
from mnist_mlp.files import (
    NOTEBOOKS,
    ReportError,
    read_notebook,
    replace_section,
    resolve_mnist_dir,
    speak_utf8,
    write_atomically,
)
from mnist_mlp.html_page import summary, to_html
from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_mlp.study_rows import STUDY_FILE, StudyError, read_rows

TOOLS = {"colab", "files", "grading", "html_page", "report", "rubric", "study"}
"""Modules about notebooks or the study that no notebook imports: their code changes no output."""
BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def override(nb: NotebookNode, parameters: dict[str, Any]) -> None:
    """Insert a cell after the one tagged ``parameters``, as papermill does."""
    tagged = [i for i, c in enumerate(nb.cells) if "parameters" in c.metadata.get("tags", [])]
    if not tagged:
        raise ReportError("the notebook has no cell tagged 'parameters'")
    index = tagged[0]
    for name in parameters:  # a misspelt name would be ignored in silence
        if not re.search(rf"^{re.escape(name)}\b", nb.cells[index].source, re.MULTILINE):
            raise ReportError(f"the cell tagged 'parameters' does not set {name!r}")
    source = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    cell = nbformat.v4.new_code_cell(source, id="injected-parameters")
    cell.metadata["tags"] = ["injected-parameters"]
    nb.cells.insert(index + 1, cell)


def execute(
    path: str | Path,
    *,
    parameters: dict[str, Any] | None = None,
    timeout: int | None = 600,
    cwd: str | Path | None = None,
) -> NotebookNode:
    """Execute a notebook in a clean kernel and return it; the file is not changed.

    Two runs are byte-identical: no timestamps, the file's own cell ids, one output a stream.

    Parameters
    ----------
    parameters : values that replace those of the cell tagged ``parameters``.
    timeout : seconds a cell may run; None is no limit.
    cwd : the kernel's working directory, by default the notebook's folder.

    Raises
    ------
    ReportError
        If a cell fails, takes too long or kills the kernel; names the notebook and the cell.
    """
    path = Path(path)
    nb = read_notebook(path)
    if parameters:
        override(nb, parameters)
    started: list[int] = []
    client = NotebookClient(
        nb,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        shutdown_kernel="immediate",  # nothing is left to do; a graceful end takes over a second
        resources={"metadata": {"path": str(cwd or path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # not the kernel's warning about its local sockets
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        number, cell = started[-1] + 1, nb.cells[started[-1]]
        where = f"{path.name}, cell {number} of {len(nb.cells)} (id {cell.id})"
        raise ReportError(f"{where} failed:\n{error}") from error
    for cell in nb.cells:
        cell.metadata.pop("execution", None)  # timestamps that an editor may have left there
    return nb


def source_hash(nb: NotebookNode) -> str:
    """SHA-256 of what determines a notebook's outputs: package, seed study and code cells.

    Modules that only look at finished notebooks do not count.
    """
    digest = hashlib.sha256(STUDY_FILE.read_bytes())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in TOOLS:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for cell in nb.cells:
        if cell.cell_type == "code":
            digest.update(cell.source.encode() + b"\0")
    return digest.hexdigest()


def report_folder(root: Path) -> Path:
    """Return ``root/reports``, or a new temporary folder where that cannot be written; say so."""
    folder = root / "reports"
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        other = Path(tempfile.mkdtemp(prefix="mnist-mlp-"))
        print(f"알림: {folder}에 쓸 수 없어({error.strerror}) 보고서를 {other}에 저장합니다.")
        return other


def print_pdf(page: Path) -> Path:
    """Print an HTML page to a PDF beside it with Chromium."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise ReportError(
            f"no Chromium found (looked for {', '.join(BROWSERS)}): install one, "
            "or print the HTML report from any browser"
        )
    if not page.exists():
        raise ReportError(f"{page} does not exist: build the HTML first")
    pdf = page.with_suffix(".pdf")
    flags = ["--headless", "--disable-gpu", "--no-first-run", "--no-pdf-header-footer"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses a sandbox to root, as in containers
    with tempfile.TemporaryDirectory() as profile:
        flags += [f"--user-data-dir={profile}", f"--print-to-pdf={pdf}"]
        command = [browser, *flags, page.resolve().as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
        except subprocess.SubprocessError as error:
            raise ReportError(f"{browser} could not print {page}: {error}") from error
    return pdf


def update_readme(root: Path) -> None:
    """Put the table of the committed results into the README, if it has a place for it."""
    readme = root / "README.md"
    if readme.exists() and "<!-- results -->" in readme.read_text(encoding="utf-8"):
        files = [root / "figures" / f"results_{kind}.json" for kind in NOTEBOOKS]
        results = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        replace_section(readme, "results", readme_table(results, read_rows()))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mnist_mlp.report", description=__doc__)
    parser.add_argument(
        "command",
        choices=["report", "notebooks", "html", "pdf"],
        help=(
            "report: execute copies and write HTML; notebooks: execute in place; "
            "html: convert as they are; pdf: print the HTML"
        ),
    )
    parser.add_argument("--root", type=Path, default=Path(), help="the repository (default: .)")
    options = parser.parse_args(arguments)
    try:
        run(options.command, options.root)
    except (ReportError, StudyError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(command: str, root: Path) -> None:
    """Do one command for both notebooks, one after the other: each uses all cores."""
    reports = report_folder(root) if command in {"report", "html"} else root / "reports"
    resolve_mnist_dir()
    sources = {root / "notebooks" / f"{name}.ipynb": reports / f"{name}.html"
               for name in NOTEBOOKS.values()}  # fmt: skip
    if command == "notebooks":
        execute_in_place(list(sources), root)
        return
    if command == "pdf":
        for page in sources.values():
            print(print_pdf(page))
        return
    # A report leaves the committed figures and results as they are.
    figures = reports / "figures" if command == "report" else root / "figures"
    for source, page in sources.items():
        with saving_to(figures):
            nb = read_notebook(source) if command == "html" else execute(source)
        write_atomically(page, to_html(nb))
        print(page)
    write_atomically(reports / "index.html", summary(figures))
    print(reports / "index.html")


@contextmanager
def saving_to(folder: Path) -> Iterator[None]:
    """Let the kernels started inside save figures and results in a folder."""
    before = os.environ.get(OUTPUT_VARIABLE)
    os.environ[OUTPUT_VARIABLE] = str(folder.resolve())
    try:
        yield
    finally:
        del os.environ[OUTPUT_VARIABLE]
        if before is not None:
            os.environ[OUTPUT_VARIABLE] = before


def execute_in_place(sources: list[Path], root: Path) -> None:
    """Execute the notebooks and replace them and their figures, all or, after an error, none.

    Raises
    ------
    ReportError
        If there was no MNIST: the outputs on other data are no report to keep.
    """
    executed = {}
    with tempfile.TemporaryDirectory() as output, saving_to(Path(output)):
        for source in sources:
            nb = executed[source] = execute(source)
            nb.metadata["mnist_mlp"] = {"source_sha256": source_hash(nb)}
        for file in Path(output).glob("results_*.json"):
            if (data := json.loads(file.read_text(encoding="utf-8"))["dataset"]) != "mnist":
                raise ReportError(
                    f"the notebooks ran on {data}, not on MNIST, and were left as they are: put "
                    "the four files into data/ or set MNIST_DIR (`make report` runs on any data)"
                )
        (root / "figures").mkdir(exist_ok=True)
        for file in Path(output).iterdir():
            shutil.copyfile(file, root / "figures" / file.name)
    for source, nb in executed.items():
        write_atomically(source, nbformat.writes(nb) + "\n")
        print(source)
    update_readme(root)


if __name__ == "__main__":
    speak_utf8()
    sys.exit(main())
