"""Where the notebooks are, and how files are read and written so that nothing half-done is left."""

import os
import re
import sys
from io import TextIOWrapper
from pathlib import Path

import nbformat
from nbformat import NotebookNode

NOTEBOOKS = {"scratch": "01_scratch_mlp", "framework": "02_framework_mlp"}


class ReportError(Exception):
    """A report cannot be built; the message says why and where."""


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook file, or raise :class:`ReportError`."""
    try:
        nb: NotebookNode = nbformat.read(path, as_version=4)
        nbformat.validate(nb)
    except Exception as error:  # nbformat raises many types for what is no notebook
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ReportError(f"{path} cannot be read as a notebook: {reason}") from error
    return nb


def write_atomically(path: Path, text: str) -> None:
    """Write a temporary file and rename it, so that a crash never leaves half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


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


def resolve_mnist_dir() -> None:
    """Make ``MNIST_DIR`` absolute: kernels start in the notebooks' folder."""
    if folder := os.environ.get("MNIST_DIR"):
        os.environ["MNIST_DIR"] = str(Path(folder).expanduser().resolve())


def speak_utf8() -> None:
    """Let a command print Korean, and any path, where the locale says ASCII (``LANG=C``)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
