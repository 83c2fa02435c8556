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
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

from mnist_mlp.html_page import NOTEBOOKS, ReportError, summary, to_html
from mnist_mlp.notebook import OUTPUT_VARIABLE
from mnist_mlp.study_commentary import readme_table
from mnist_mlp.study_rows import STUDY_FILE, read_rows

TOOLS = {"colab", "grading", "html_page", "report", "rubric", "study"}
"""Modules about notebooks or the study that no notebook imports: their code changes no output."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file, or raise :class:`ReportError`."""
    try:
        nb: NotebookNode = nbformat.read(path, as_version=4)
        return nb
    except (OSError, nbformat.reader.NotJSONError) as error:
        raise ReportError(f"{path} cannot be read as a notebook: {error}") from error


def override(nb: NotebookNode, parameters: dict[str, Any]) -> None:
    """Insert a cell after the one tagged ``parameters``, as papermill does."""
    index = next(
        (i for i, cell in enumerate(nb.cells) if "parameters" in cell.metadata.get("tags", [])), 0
    )
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


def write_atomically(path: Path, text: str) -> None:
    """Write a temporary file and rename it, so that a crash never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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
    """Put the table of the committed results between the markers of the README, if it has them."""
    readme = root / "README.md"
    if not readme.exists() or "<!-- results -->" not in readme.read_text(encoding="utf-8"):
        return
    files = [root / "figures" / f"results_{kind}.json" for kind in NOTEBOOKS]
    table = readme_table([json.loads(file.read_text()) for file in files], read_rows())
    before, _, after = readme.read_text(encoding="utf-8").partition("<!-- results -->\n")
    _, _, rest = after.partition("<!-- /results -->")
    text = f"{before}<!-- results -->\n{table}\n<!-- /results -->{rest}"
    write_atomically(readme, text)


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
    except ReportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(command: str, root: Path) -> None:
    """Do one command for both notebooks, one after the other: each uses all cores."""
    figures = root / "figures"
    if command == "report":  # the committed figures and results stay as they are
        figures = root / "reports" / "figures"
        os.environ[OUTPUT_VARIABLE] = str(figures.resolve())
    for name in NOTEBOOKS.values():
        source, page = root / "notebooks" / f"{name}.ipynb", root / "reports" / f"{name}.html"
        if command == "pdf":
            print(print_pdf(page))
            continue
        nb = read_notebook(source) if command == "html" else execute(source)
        if command == "notebooks":
            nb.metadata["mnist_mlp"] = {"source_sha256": source_hash(nb)}
            text = nbformat.writes(nb)
            write_atomically(source, text + "\n")
            print(source)
        else:
            write_atomically(page, to_html(nb))
            print(page)
    if command == "notebooks":
        update_readme(root)
    if command in {"report", "html"}:
        write_atomically(root / "reports" / "index.html", summary(figures))
        print(root / "reports" / "index.html")


if __name__ == "__main__":
    sys.exit(main())
