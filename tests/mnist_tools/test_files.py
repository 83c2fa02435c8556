"""Files are replaced whole or not at all, and notebooks read in whatever form they were saved."""

import errno
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from mnist_tools import STOPPED
from mnist_tools.files import ReportError, read_notebook, replace_section, write_atomically

SOURCES = Path(__file__).parents[2] / "src"


def test_interrupted_write_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notebook.ipynb"
    write_atomically(path, "old")

    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_atomically(path, "new text")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]  # half a file would fill a full disk


def test_two_processes_can_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One writes and renames while the other has written and not renamed yet."""
    path, replace = tmp_path / "grade.json", os.replace

    def meanwhile(*paths: Any) -> None:
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        write_atomically(path, "other")
        replace(*paths)

    monkeypatch.setattr(os, "replace", meanwhile)
    write_atomically(path, "own")
    assert path.read_text() == "own"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    """As root, ``--json /dev/full`` once put a file in the place of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "a grade")
    assert os.read(reader, 100) == b"a grade"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize(
    ("minor", "cells", "read"),
    [
        (0, [{"metadata": {"id": "a"}}, {}, {"metadata": {"id": "a"}}], ["a", "cell-2", "cell-3"]),
        (5, [{"id": "a"}, {"id": "a"}, {"id": "cell-2"}], ["a", "cell-2", "cell-3"]),  # a copy
        (5, [{"id": "W0s%3D"}, {"id": 65 * "x"}], ["cell-1", "cell-2"]),  # Jupyter refuses these
    ],
)
def test_every_cell_is_read_with_an_id_of_its_own(
    minor: int, cells: list[dict[str, Any]], read: list[str], tmp_path: Path
) -> None:
    code = {"cell_type": "code", "source": [], "metadata": {}, "outputs": []}
    cells = [code | {"execution_count": 1} | cell for cell in cells]
    nb = {"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": cells}
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(nb), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [cell.id for cell in read_notebook(path).cells] == read


def test_ctrl_c_ends_a_command_with_one_sentence_even_while_it_is_importing(tmp_path: Path) -> None:
    (tmp_path / "nbformat.py").write_text("print('importing', flush=True)\nwhile True: pass")
    command = subprocess.Popen(
        [sys.executable, "-m", "mnist_tools.report", "html"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(SOURCES)])},
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "importing\n"
    command.send_signal(signal.SIGINT)
    assert command.communicate(timeout=10) == ("", f"{STOPPED}\n")
    assert command.returncode == -signal.SIGINT  # 130 to a shell


def test_a_section_is_replaced_between_its_markers_and_must_be_there_once(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- x -->\nold\n<!-- /x -->\nb\n", encoding="utf-8")
    replace_section(path, "x", r"\1 new")  # text, not a pattern
    assert path.read_text(encoding="utf-8") == "a\n<!-- x -->\n\\1 new\n<!-- /x -->\nb\n"
    with pytest.raises(ReportError, match="<!-- y -->"):
        replace_section(path, "y", "new")
