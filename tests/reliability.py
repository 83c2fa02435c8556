"""Run the tortures and put their table into the README: ``make torture`` (half an hour or more).

Writes ``tests/reliability.json``: for each class of fault the cases tried and those that failed.
``python tests/reliability.py MODULE ...`` repeats those modules alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mnist_mlp.files import replace_section

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "tests" / "reliability.json"
Tests = dict[str, list[str]]
"""Test modules and the beginnings of the names of their tests."""
CLASSES: dict[str, Tests] = {  # in Korean, for the README
    "무작위로 손상한 IDX·gzip 파일": {"test_data": ["test_a_file_is_decoded_exactly_or_refused"]},
    "서로 맞지 않는 네 파일의 무작위 조합": {
        "test_data": ["test_four_files_are_split_exactly_or_refused"]
    },
    "미러의 무작위 응답": {"test_data": ["test_no_reply_of_a_mirror"]},
    "정해 둔 파일 결함 (잘림, CRC, 압축 폭탄, 순환 링크, 다른 데이터 세트, 뒤바뀜 등)": {
        "test_data": [
            "test_a_bad_file", "test_what_is_not_a_readable", "test_no_file_makes",
            "test_a_file_of_another", "test_files_in_the_wrong", "test_known_files",
            "test_labels_above", "test_a_seed", "test_a_class_with_one", "test_file_path_must",
            "test_what_the_user_supplied",
        ]
    },
    "내려받기 결함 (오류 응답, 끊김, 멈춤, 느린 전송, 가득 찬 디스크 등)": {
        "test_data": [
            "test_a_bad_mirror", "test_mirrors_complete", "test_a_damaged_file_in_the_cache",
            "test_a_cache_that", "test_without_a_home", "test_without_settings",
            "test_two_processes", "test_the_banner",
        ]
    },
    "내려받는 도중의 kill -9": {"test_data": ["test_kill_9"]},
    "시드 연구 도중의 kill -9": {"test_study": ["test_a_study_killed"]},
    "발산하는 학습률, 뜻 없는 설정값": {
        "test_scratch": [
            "test_divergence", "test_a_recipe_without_meaning", "test_zero_epochs",
            "test_minibatches_cover",
        ]
    },
    "낯선 장소 (읽기 전용, 한글과 빈칸 경로, LANG=C, HOME 없음 등)": {
        "test_places": ["test_the_report_comes_out", "test_nbconvert_needs_no_flags"]
    },
    "셀을 두 번, 거꾸로, 하나씩 빼고 실행": {
        "test_places": [
            "test_every_cell_twice", "test_a_cell_left_out", "test_backwards_asks",
        ]
    },
    "두 노트북을 동시에 실행": {"test_notebooks": ["test_two_runs_are_byte_identical"]},
    "PyTorch가 없는 Python 3.12와 3.13": {"torture_environments": ["test_another_interpreter"]},
    "허용하는 가장 낮은 판과 가장 새로운 판의 패키지": {
        "torture_environments": ["test_the_oldest_and_the_newest"]
    },
    "data.py를 한 군데씩 망가뜨린 변이 (테스트가 찾아야 한다)": {
        "torture_mutants": ["test_a_mutant_is_found"]
    },
}  # fmt: skip
MODULES = tuple(dict.fromkeys(module for tests in CLASSES.values() for module in tests))


def counts(report: Path, modules: Sequence[str] = MODULES) -> dict[str, dict[str, int]]:
    """Return cases and failures by class, for the classes of some modules, from a JUnit report.

    Raises
    ------
    ValueError
        If a class was not tried at all, or a test was skipped.
    """
    wanted = {
        name: tuple(prefix for module in modules for prefix in tests.get(module, []))
        for name, tests in CLASSES.items()
    }
    wanted = {name: prefixes for name, prefixes in wanted.items() if prefixes}
    found = {name: {"cases": 0, "failures": 0} for name in wanted}
    for test in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        if test.find("skipped") is not None:
            raise ValueError(f"{test.get('name')} was skipped")
        noted = test.find("properties/property[@name='cases']")
        cases = 1 if noted is None else int(noted.get("value", "1"))
        failed = test.find("failure") is not None or test.find("error") is not None
        for name, prefixes in wanted.items():
            if str(test.get("name")).startswith(prefixes):
                found[name]["cases"] += cases
                found[name]["failures"] += failed
    if untried := [name for name, entry in found.items() if not entry["cases"]]:
        raise ValueError(f"not tried: {', '.join(untried)}")
    return found


def section(found: dict[str, Any]) -> str:
    """Return the README's table."""
    rows = [f"| {name} | {e['cases']:,} | {e['failures']} |" for name, e in found.items()]
    return "\n".join(["| 시험한 것 | 경우 | 실패 |", "|---|---:|---:|", *rows])


def chosen(arguments: Sequence[str]) -> Sequence[str]:
    """Return the modules that the command line names; all of them if it names none."""
    parser = argparse.ArgumentParser(prog="python tests/reliability.py", description=__doc__)
    # Not choices=MODULES: Python 3.11 then refuses an empty list.
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    modules: list[str] = parser.parse_args(arguments).modules
    if unknown := set(modules) - set(MODULES):
        parser.error(f"no module {', '.join(sorted(unknown))} (there are {', '.join(MODULES)})")
    return modules or MODULES


def main() -> int:
    """Run the tortures; return pytest's exit code."""
    modules = chosen(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.xml")
        files = [str(ROOT / "tests" / f"{name}.py") for name in modules]
        options = ["-n", "2", "-o", "junit_family=xunit1", f"--junitxml={report}"]
        command = [sys.executable, "-m", "pytest", *options, *files]
        code = subprocess.run(command, env=os.environ | {"TORTURE": "1"}, cwd=ROOT).returncode
        new = counts(report, modules)
    old = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    found = {name: (old | new)[name] for name in CLASSES if name in old | new}
    RECORD.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    replace_section(ROOT / "README.md", "reliability", section(found))
    return code


if __name__ == "__main__":
    sys.exit(main())
