"""Execute the notebooks in clean kernels and build the HTML and PDF that one hands in.

``python -m mnist_tools.report report`` executes both and writes ``reports/*.html``; see ``--help``.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from nbformat import NotebookNode

import mnist_mlp
from mnist_mlp.study import STUDY_FILE
from mnist_tools import draw, links, readme
from mnist_tools.execute import execute
from mnist_tools.files import (
    NOTEBOOKS,
    ReportError,
    exit_code,
    package_files,
    read_notebook,
    report_folder,
    write_atomically,
    write_notebook,
)
from mnist_tools.html_page import to_html

BROWSERS = (  # Chrome first: GitHub's own machines also have a Chromium without a usable sandbox
    *("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "msedge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)


def source_hash(nb: NotebookNode) -> str:
    """SHA-256 of what determines a notebook's outputs: package, seed study and code cells.

    Without the address that Colab clones: the outputs are the same wherever the repository lies.
    """
    package = Path(mnist_mlp.__file__).parent
    digest = hashlib.sha256(STUDY_FILE.read_bytes())
    for path in package_files(package):
        name = path.relative_to(package).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    for cell in nb.cells:
        if cell.cell_type == "code":
            digest.update(links.ADDRESS.sub("", cell.source).encode() + b"\0")
    return digest.hexdigest()


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
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses a sandbox to root, as in containers
    with tempfile.TemporaryDirectory() as profile:
        flags += [f"--user-data-dir={profile}", f"--print-to-pdf={pdf}"]
        command = [browser, *flags, page.resolve().as_uri()]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603
        except subprocess.SubprocessError as error:
            raise ReportError(f"{browser} could not print {page}: {error}") from error
    return pdf


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mnist_tools.report", description=__doc__)
    parser.add_argument(
        "command",
        choices=["report", "notebooks", "html", "pdf"],
        help=(
            "report: execute copies and write HTML; notebooks: execute in place; "
            "html: convert as they are; pdf: print the HTML"
        ),
    )
    numbers = [name[:2] for name in NOTEBOOKS.values()]
    parser.add_argument("--only", choices=numbers, help="one notebook alone (01 needs no PyTorch)")
    options = parser.parse_args(arguments)
    return exit_code(lambda: run(options.command, options.only or ""), needs="notebooks")


def run(command: str, only: str) -> None:
    """Do one command for the notebooks, one after the other: each uses all cores."""
    names = [name for name in NOTEBOOKS.values() if name.startswith(only)]
    sources = [Path("notebooks", f"{name}.ipynb") for name in names]
    if command == "notebooks":
        execute_in_place(sources)
    elif command == "pdf":
        for source in sources:
            print(print_pdf(Path("reports", f"{source.stem}.html")))
    else:
        build_pages(sources, execute_first=command == "report")


def build_pages(sources: list[Path], execute_first: bool) -> None:
    """Write and tell each notebook's page, from the notebook as it is or from an executed copy."""
    notebooks = {f"{source.stem}.html": read_notebook(source) for source in sources}
    titles = {name: nb.metadata.get("title", name) for name, nb in notebooks.items()}
    folder = report_folder()
    # The committed figures stay as they are.
    figures = folder / "figures" if execute_first else Path("figures")
    weights, drawing = figures / "weights_scratch.npz", None
    if execute_first:
        weights.unlink(missing_ok=True)  # an earlier run's
    written = []
    try:
        for source, (name, nb) in zip(sources, notebooks.items(), strict=True):
            shown = execute(source, figures) if execute_first else nb
            if drawing is None:  # the first notebook has trained the networks of this page
                drawing = draw.build(weights, folder, titles)
            others = {other: title for other, title in titles.items() if other != name}
            write_atomically(folder / name, to_html(shown, others | drawing, notebooks))
            written.append(folder / name)
    finally:
        for page in written:
            print(page)


def execute_in_place(sources: list[Path]) -> None:
    """Execute the notebooks and replace them and their figures, all or, after an error, none.

    Raises ReportError if there was no MNIST: the outputs on other data are no report to keep.
    """
    executed = {}
    with tempfile.TemporaryDirectory() as output:
        for source in sources:
            nb = executed[source] = execute(source, Path(output))
            nb.metadata["mnist_mlp"] = {"source_sha256": source_hash(nb)}
        for file in Path(output).glob("results_*.json"):
            if (data := json.loads(file.read_text(encoding="utf-8"))["dataset"]) != "mnist":
                raise ReportError(
                    f"the notebooks ran on {data}, not on MNIST, and were left as they are: put "
                    "the four files into data/ or set MNIST_DIR (`make report` runs on any data)"
                )
        replace_files(Path(output), Path("figures"))
    for source, nb in executed.items():
        write_notebook(source, nb)
        print(source)
    readme.update(Path())


def replace_files(source: Path, target: Path) -> None:
    """Copy files beside those that they replace, then rename all: a full disk changes none."""
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".") as beside:
        copies = [Path(shutil.copy(file, beside)) for file in sorted(source.iterdir())]
        for copy in copies:
            os.replace(copy, target / copy.name)


if __name__ == "__main__":
    sys.exit(main())
