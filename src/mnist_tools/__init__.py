"""Commands on finished notebooks and on the stored study; the notebooks import nothing of it."""

import sys
from types import TracebackType

STOPPED = "중단했습니다. 그때까지 저장한 파일은 그대로 있습니다."


def one_sentence(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Report Ctrl-C in a sentence (the exit code is 130), anything else as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print(STOPPED, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


if sys.argv[0] == "-m":  # a command is starting; to import what it needs takes seconds
    sys.excepthook = one_sentence
