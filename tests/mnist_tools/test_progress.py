"""The progress line: rewritten on a terminal, a line now and then in a log."""

import sys
from pathlib import Path

import pytest
from made_up_notebook import cell, write_cells

from mnist_tools import progress
from mnist_tools.execute import execute
from mnist_tools.files import ReportError

EPOCHS = "for n in (1, 12):\n    print(f'에폭 {n:2d} | ReLU 0.1', flush=True)"


def test_a_terminal_shows_one_line_with_cell_and_epoch_and_is_left_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [cell("markdown", "글"), cell("code", EPOCHS), cell("code", "1 / 0")]
    notebook = write_cells(tmp_path / "01.ipynb", *cells)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ReportError, match="ZeroDivisionError"):
        execute(notebook, tmp_path)
    *lines, last = capsys.readouterr().out.split("\r\033[K")
    assert "01: 셀 2/3, 에폭 12" in lines
    assert (lines[-1], last) == ("01: 셀 3/3", "")  # nothing stands before the error's message


def test_a_log_gets_plain_lines_not_more_often_than_the_interval(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 9.9, 10.0, 10.0, 19.0])
    monkeypatch.setattr(progress, "monotonic", lambda: next(clock))
    with progress.Progress("01", 80) as tell:
        tell(0, "")
        tell(1, "")
        tell(2, "에폭  4 | ...\n에폭  5 | ...")
        tell(3, "")
    assert capsys.readouterr().out == "01: 셀 1/80\n01: 셀 3/80, 에폭 5\n"
