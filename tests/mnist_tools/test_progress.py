"""The progress line: rewritten on a terminal, a line now and then in a log."""

import sys

import pytest

from mnist_tools import progress


def test_a_terminal_shows_one_line_with_cell_and_epoch_and_is_left_clean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with progress.Progress("01", 3) as tell:
        tell(1, "에폭  1 | ReLU 0.1\n에폭 12 | ReLU 0.1")
        tell(1, "no epoch")
        tell(2, "")
    told = ["", "01: 셀 2/3, 에폭 12", "01: 셀 2/3, 에폭 12", "01: 셀 3/3", ""]
    assert capsys.readouterr().out.split("\r\033[K") == told


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
