"""README and CONTRIBUTING: what they name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
each_document = pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def walk(folder: str) -> list[Path]:
    return list((ROOT / folder).rglob("*.py"))


@each_document
def test_every_command_and_every_file_that_is_named_exists(name: str) -> None:
    text, makefile = read(name), read("Makefile")
    targets = set(re.findall(r"\bmake ([a-z-]+)", text))
    assert len(targets) >= 5
    for target in targets:
        assert re.search(rf"^([a-z -]+ )?{target}( [a-z -]+)?:", makefile, re.MULTILINE), target
    files = set(re.findall(r"`((?:[\w.-]+/)*[\w.-]+\.py|mnist_\w+/\w+/)`", text))
    modules = [path for folder in ("src", "tests", "benchmarks") for path in walk(folder)]
    known = {str(path.relative_to(ROOT)) for path in modules}
    known |= {f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("src/*/*/*")}
    known |= {"nbgrader_config.py"}  # the grader's own
    missing = {file for file in files if not any(path.endswith(file) for path in known)}
    assert missing == set()


@each_document
def test_every_test_that_is_named_is_found(name: str) -> None:
    for words, file in re.findall(r"pytest -k (\w+) (\S+?)`", read(name)):
        assert re.search(rf"^def test_\w*{words}", read(file), re.MULTILINE), words
