"""The README's reliability table is what the tortures found, and they find failures."""

import json
import re
from itertools import chain
from pathlib import Path

import pytest
from reliability import CLASSES, MODULES, RECORD, ROOT, chosen, counts, section

FOUND = json.loads(RECORD.read_text(encoding="utf-8"))


def test_the_readme_shows_the_stored_counts_and_no_failure() -> None:
    assert section(FOUND) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert list(FOUND) == list(CLASSES)
    assert {entry["failures"] for entry in FOUND.values()} == {0}
    assert next(iter(FOUND.values()))["cases"] >= 20_000


def test_every_class_names_tests_that_exist() -> None:
    files = [ROOT / "tests" / f"{name}.py" for name in (*MODULES, "torture_data")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    names = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
    for prefix in chain.from_iterable(chain(*(tests.values() for tests in CLASSES.values()))):
        assert any(name.startswith(prefix) for name in names), prefix


def test_the_command_line_takes_all_modules_or_those_that_it_names() -> None:
    assert chosen([]) == MODULES
    assert chosen(["test_data"]) == ["test_data"]
    with pytest.raises(SystemExit):
        chosen(["test_nothing"])


def junit(path: Path, body: str) -> Path:
    path.write_text(f"<testsuites><testsuite>{body}</testsuite></testsuites>")
    return path


def test_cases_and_failures_are_counted(tmp_path: Path) -> None:
    first = [next(iter(tests.values()))[0] for tests in CLASSES.values()]
    every = [f'<testcase name="{name}"/>' for name in first]
    noted = (
        '<testcase name="test_kill_9[1]"><properties><property name="cases" value="2"/>'
        "</properties><failure/></testcase>"
    )
    found = counts(junit(tmp_path / "a.xml", "".join(every) + noted))
    entry = found["내려받는 도중의 kill -9"]
    assert entry == {"cases": 3, "failures": 1}
    assert sum(e["cases"] for e in found.values()) == len(CLASSES) + 2
    with pytest.raises(ValueError, match=r"not tried: .*kill -9"):
        counts(junit(tmp_path / "b.xml", every[0]))
    alone = counts(junit(tmp_path / "d.xml", every[-1]), ["torture_mutants"])
    assert list(alone.values()) == [{"cases": 1, "failures": 0}]
    skipped = '<testcase name="test_x"><skipped/></testcase>'
    with pytest.raises(ValueError, match="test_x was skipped"):
        counts(junit(tmp_path / "c.xml", skipped))
