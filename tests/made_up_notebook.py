"""Small notebook files, for tests of what runs and converts notebooks."""

import json
from pathlib import Path
from typing import Any

TITLE = "MNIST 3층 신경망: 직접 구현"


def cell(kind: str, source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    """Return a ``"markdown"`` or a ``"code"`` cell, the latter with outputs."""
    made: dict[str, Any] = {"cell_type": kind, "source": source, "metadata": {}}
    code = {"outputs": list(outputs), "execution_count": None}
    return made | (code if kind == "code" else {})


def write_cells(path: Path, *cells: dict[str, Any]) -> Path:
    """Write a notebook file with the cell ids ``cell-0``, ``cell-1``, ..."""
    for number, made in enumerate(cells):
        made["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"title": TITLE, "kernelspec": kernel}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")
    return path


def write_code(path: Path, *sources: str) -> Path:
    """Write a notebook of code cells, the first one tagged ``parameters``."""
    cells = [cell("code", source) for source in sources]
    cells[0]["metadata"]["tags"] = ["parameters"]
    return write_cells(path, *cells)
