"""Break every check of data.py, one at a time; test_data.py must notice (about ten minutes).

A mutant is one changed expression or statement: a comparison shifted or turned round, a part of a
condition left out, a condition made constant, an exception not raised or not caught, a number
increased by one.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mnist_mlp"
SOURCE = (PACKAGE / "data.py").read_text(encoding="utf-8")
OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
EQUIVALENT = {
    ("_decode", "size + 1", "1", "2"): "any byte beyond the end tells",
    ("_decode", '"fewer" if len(payload) < size', "len(payload) < size", "len(payload) <= size"):
        "the lengths differ here",
    ("_from_files", "len(arrays[0]) < len(arrays[2])", "0", "1"): "as many labels as images",
    ("_from_files", "len(arrays[0]) < len(arrays[2])", "2", "3"): "as many labels as images",
    ("_digits", " 0), (2, 2), (2, 2))", "0", "1"): "a 1798th image that nothing uses",
    ("_get", "if len(content) > MAX_DOWNLOAD", "len(content) > MAX_DOWNLOAD",
     "len(content) >= MAX_DOWNLOAD"): "a bound far above every file's size",
    ("_get", "iter_content(1 << 16)", "1", "2"): "the size of a piece",
    ("_get", "iter_content(1 << 16)", "16", "17"): "the size of a piece",
    ("_take", "reshape(-1, 784)", "1", "2"): "NumPy takes any negative size as unknown",
}  # fmt: skip
"""Mutants that change no result, and why: function, a part of its line, what was there, what is."""


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node may be replaced by."""
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            other = deepcopy(node)
            other.ops[i] = OPPOSITE[type(operator)]()
            yield other
    elif isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            rest = node.values[:i] + node.values[i + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.Raise):
        yield ast.Pass()
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)


def mutations(node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """Yield the nodes in a node that are replaced, with their replacements."""
    for other in replacements(node):
        yield node, other
    if isinstance(node, ast.If | ast.IfExp):
        for value in (True, False):
            yield node.test, ast.Constant(value)
    if isinstance(node, ast.ExceptHandler) and node.type:
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for kind in caught:
            yield kind, ast.Name("ZeroDivisionError")


def mutants() -> Iterator[tuple[str, str, str, str]]:
    """Yield (function and place, what was there, what is there now, the whole changed source)."""
    starts = [0]
    for line in SOURCE.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for function in ast.parse(SOURCE).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        for place in ast.walk(function):
            for node, other in mutations(place):
                assert isinstance(node, ast.expr | ast.stmt)
                assert node.end_lineno
                assert node.end_col_offset
                start = starts[node.lineno - 1] + node.col_offset
                end = starts[node.end_lineno - 1] + node.end_col_offset
                text = ast.unparse(other)
                new = f"({text})" if isinstance(other, ast.expr) else text
                source = SOURCE.encode()
                changed = (source[:start] + new.encode() + source[end:]).decode()
                where = f"{function.name}:{node.lineno}:{node.col_offset}"
                yield where, ast.unparse(node), text, changed


def is_equivalent(where: str, was: str, now: str) -> bool:
    """Tell whether the list above holds a mutant: its part of the line must begin before it."""
    function, line, column = where.split(":")
    text = SOURCE.splitlines()[int(line) - 1]
    for name, part, old, new in EQUIVALENT:
        start = text.find(part)
        inside = 0 <= start <= int(column) < start + len(part)
        if (name, old, new) == (function, was, now) and inside:
            return True
    return False


MUTANTS = [mutant for mutant in mutants() if not is_equivalent(*mutant[:3])]
IDS = [f"{where}: {was} -> {now}" for where, was, now, _ in MUTANTS]


def suite_passes(folder: Path, source: str) -> bool:
    """Run test_data.py on a copy of the package whose data.py is `source`."""
    shutil.copytree(PACKAGE, folder / "mnist_mlp", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mnist_mlp" / "data.py").write_text(source, encoding="utf-8")
    options = ["-x", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={folder / 'tmp'}"]
    variables = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    variables.pop("TORTURE", None)
    command = [sys.executable, "-m", "pytest", *options, "tests/test_data.py"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, timeout=300, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    assert done.returncode in {0, 1, 2}, done.stdout
    return done.returncode == 0


def test_the_source_as_it_is_passes(tmp_path: Path) -> None:
    assert suite_passes(tmp_path / "copy", SOURCE)


def test_the_list_of_equivalents_is_up_to_date() -> None:
    everything = list(mutants())
    excluded = [mutant for mutant in everything if is_equivalent(*mutant[:3])]
    assert len(excluded) == len(EQUIVALENT)
    assert len({source for *_, source in everything}) == len(everything) > 150


@pytest.mark.parametrize("source", [source for *_, source in MUTANTS], ids=IDS)
def test_a_mutant_is_found(tmp_path: Path, source: str) -> None:
    assert not suite_passes(tmp_path / "copy", source)
