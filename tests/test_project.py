"""The project as a whole: its types and its versions."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_among_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted += [line for extra in project["optional-dependencies"].values() for line in extra]
    names = {normal(match[0]) for line in wanted if (match := re.match(r"[A-Za-z0-9._-]+", line))}
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {normal(name) for name in re.findall(r"^([\w.-]+)==\S+$", constraints, re.MULTILINE)}
    assert len(names) > 20
    assert names <= pinned


def test_mypy_is_clean() -> None:  # a test, so that it runs beside the others
    command = [sys.executable, "-m", "mypy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
