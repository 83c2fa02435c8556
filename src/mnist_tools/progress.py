"""How far a notebook is that is being executed: a line to look at during the minutes it takes."""

import re
import sys
from time import monotonic

INTERVAL = 10.0  # seconds between two lines of a log


class Progress:
    """``name: cell n of N, epoch e``: one line rewritten on a terminal, now and then one in a log.

    Call it with a cell's index and what that cell has just printed; leave it at the end.
    """

    def __init__(self, name: str, n_cells: int) -> None:
        self.name, self.n_cells = name, n_cells
        self.terminal = sys.stdout.isatty()
        self.index, self.epoch, self.told = -1, "", float("-inf")

    def __enter__(self) -> "Progress":
        return self

    def __call__(self, index: int, printed: str) -> None:
        """Tell where the notebook is."""
        if index != self.index:
            self.index, self.epoch = index, ""
        if epochs := re.findall(r"^에폭 +(\d+)", printed, re.MULTILINE):
            self.epoch = f", 에폭 {epochs[-1]}"
        line = f"{self.name}: 셀 {index + 1}/{self.n_cells}{self.epoch}"
        if self.terminal:
            print(f"\r\033[K{line}", end="", flush=True)
        elif monotonic() >= self.told + INTERVAL:
            self.told = monotonic()
            print(line, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.terminal:
            print("\r\033[K", end="", flush=True)
