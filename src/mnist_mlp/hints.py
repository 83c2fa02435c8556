"""A hint in a notebook whose cells were not run from top to bottom."""

from types import TracebackType
from typing import Any

HINT = "이 셀보다 위에 있는 셀을 먼저 실행하세요 ('모두 실행'이 가장 쉽습니다)."


def _with_hint(
    shell: Any, kind: type[NameError], error: NameError, trace: TracebackType, tb_offset: int | None
) -> None:
    error.args = (f"{error}. {HINT}",)
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def explain_missing_names() -> None:
    """Let a ``NameError`` in a notebook cell say what to run first; elsewhere do nothing."""
    from IPython import get_ipython

    if shell := get_ipython():
        shell.set_custom_exc((NameError,), _with_hint)
