"""The cells of a notebook run in this process: quicker than a kernel, and warnings are errors."""

import contextlib
import io
import warnings
from typing import Any

from executed import with_parameters

from mnist_mlp.notebook import OUTPUT_VARIABLE


def said(name: str, output: Any, monkeypatch: Any, **parameters: Any) -> str:
    """Return what a notebook's cells print with these parameters, its figures drawn and saved.

    Outside a kernel ``say`` and ``show`` print their text instead of displaying it.
    """
    monkeypatch.setenv(OUTPUT_VARIABLE, str(output))
    nb = with_parameters(name, **parameters)
    cells = [c for c in nb.cells if c.cell_type == "code" and c.id != "find-repository"]
    namespace: dict[str, Any] = {}
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("error")
        for cell in cells:
            exec(compile(cell.source, f"<cell {cell.id}>", "exec"), namespace)  # noqa: S102
    return printed.getvalue()
