"""The house: which way the arrows between its modules point, and where Korean may stand."""

import ast
import re
from pathlib import Path

import nbformat

REPOSITORY = Path(__file__).parents[2]
MODULES = {path.stem: path for path in (REPOSITORY / "src" / "mnist_mlp").glob("*.py")}
NOTEBOOKS = {path.stem: path for path in (REPOSITORY / "notebooks").glob("*.ipynb")}

# A module imports nothing but what stands above it; modules in one line do not know each other.
ORDER = """
__init__
download recipe
data run
draws weights
layers
scratch framework
checks
evaluation study
facts
over_seeds
findings
experiments
verdicts
notebook plots prose
pictures
"""
RANK = {name: rank for rank, line in enumerate(ORDER.split("\n")) for name in line.split()}


def imported(path: Path) -> set[str]:
    """Return the dotted names that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where an arrow points"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def known(path: Path) -> set[str]:
    """Return which modules of mnist_mlp a file imports."""
    return {m[1] for n in imported(path) if (m := re.match(r"mnist_mlp\.(\w+)", n))} & set(MODULES)


def test_every_arrow_between_modules_points_down() -> None:
    assert MODULES.keys() <= RANK.keys()  # a new module has to be given its place
    upwards = [
        (name, other)
        for name, path in MODULES.items()
        for other in known(path)
        if RANK[other] >= RANK[name]
    ]
    assert upwards == []


def test_only_framework_knows_torch_and_nothing_knows_framework_or_the_tools() -> None:
    roots = {name: {n.split(".")[0] for n in imported(path)} for name, path in MODULES.items()}
    assert [name for name, names in roots.items() if "torch" in names] == ["framework"]
    assert [name for name, path in MODULES.items() if "framework" in known(path)] == []
    first = nbformat.read(NOTEBOOKS["01_scratch_mlp"], as_version=4)
    assert not any("import" in c.source and "framework" in c.source for c in first.cells)
    package = REPOSITORY / "src" / "mnist_mlp"
    for path in [*package.rglob("*.py"), *package.rglob("*.j2"), *NOTEBOOKS.values()]:
        assert "mnist_tools" not in path.read_text(), path


def test_python_holds_no_korean_but_messages_to_the_reader() -> None:
    """The data's banner and notices; particles and a log line. Sentences stand in templates."""
    korean = {
        name: [line for line in path.read_text().splitlines() if re.search("[가-힣]", line)]
        for name, path in MODULES.items()
    }
    assert {n for n, lines in korean.items() if lines} <= {"data", "download", "notebook", "prose"}
    sentences = [line for line in korean["notebook"] + korean["prose"] if "다." in line]
    assert [line for line in sentences if "알림: " not in line] == []
