"""Where the notebooks are, and how files are read and written so that nothing half-done is left."""

import os
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from mnist_mlp.data import DatasetError
from mnist_mlp.study import StudyError

NOTEBOOKS = {"scratch": "01_scratch_mlp", "framework": "02_framework_mlp"}


class ReportError(Exception):
    """A report cannot be built; the message says why and where."""


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file, or raise :class:`ReportError`; every cell has an id of its own."""
    try:
        stored = nbformat.reader.reads(path.read_text(encoding="utf-8"))
        nb: NotebookNode = nbformat.convert(stored, 4)
        known: set[str | None] = {None}
        for number, cell in enumerate(nb.cells, start=1):
            name = cell.get("id", cell.metadata.get("id"))  # the second is where Colab keeps it
            valid = re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", str(name))
            # There may be none, one that Jupyter refuses, or one that an editor has copied.
            cell["id"] = str(name) if name not in known and valid else f"cell-{number}"
            known.add(cell["id"])
        nb.nbformat_minor = max(nb.nbformat_minor, 5)
        nbformat.validate(nb)
    except Exception as error:  # nbformat raises many types for what is no notebook
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReportError(f"{path} cannot be read as a notebook: {reason}") from error
    return nb


def package_files(package: Path) -> list[Path]:
    """Return what a package consists of: its modules and its templates, in a fixed order."""
    return sorted(path for path in package.rglob("*") if path.suffix in {".py", ".j2"})


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a temporary file and rename it, so that a crash never leaves half a file.

    A device or a pipe, ``/dev/stdout``, is written to: a rename would put a file in its place.
    Raises OSError, which names the path, if there is no space; what was there before stays.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not (path.is_file() or path.is_dir()):
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")  # a name for each process
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_notebook(path: Path, nb: NotebookNode) -> None:
    """Write a notebook file as :func:`write_atomically` does."""
    write_atomically(path, nbformat.writes(nb) + "\n")


def replace_section(path: Path, name: str, body: str) -> None:
    """Put text between the markers ``<!-- name -->`` and ``<!-- /name -->`` of a Markdown file."""
    text, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
        lambda markers: markers[1] + body + "\n" + markers[2],
        path.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ReportError(f"{path} must hold <!-- {name} --> and <!-- /{name} --> once each")
    write_atomically(path, text)


def report_folder() -> Path:
    """Return ``reports``, or a new temporary folder where that cannot be written; say so."""
    folder = Path("reports")
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        other = Path(tempfile.mkdtemp(prefix="mnist-mlp-"))
        print(f"알림: {folder}에 쓸 수 없어({error.strerror}) {other}에 저장합니다.")
        return other


def prepare() -> None:
    """Let a command print Korean under any locale, and find MNIST from the kernels' folder too."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # as they are unless a test catches them
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    if folder := os.environ.get("MNIST_DIR"):
        os.environ["MNIST_DIR"] = os.path.abspath(os.path.expanduser(folder))


def exit_code(work: Callable[[], None], needs: str = "") -> int:
    """Do a command's work; return 0, or 1 and say what ended it if that is an expected error.

    Without ``needs``, a folder of the repository, in the working directory: 2, and nothing is done.
    """
    prepare()
    if not Path(needs).exists():
        print(f"error: there is no {needs}/ here; start this in the repository", file=sys.stderr)
        return 2
    try:
        work()
    except (ReportError, StudyError, DatasetError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
