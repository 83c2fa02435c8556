"""The project as a whole: its types and its versions."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_dependency_is_among_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted += [line for extra in project["optional-dependencies"].values() for line in extra]
    names = {match[0].lower() for line in wanted if (match := re.match(r"[A-Za-z0-9-]+", line))}
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==\S+$", constraints, re.MULTILINE)
    assert len(names) > 20
    assert names <= {re.sub(r"[-_.]+", "-", name).lower() for name in pinned}


def test_mypy_is_clean() -> None:  # a test, so that it runs beside the others
    command = [sys.executable, "-m", "mypy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_pip_never_chooses_pytorch_from_pypi() -> None:
    """There the one for Linux comes with gigabytes of CUDA: ``make`` asks another index for it."""
    assert not re.findall(r"^torch", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    command = "--no-deps --index-url $(TORCH_INDEX) torch "
    before, after = (ROOT / "Makefile").read_text().split(command)
    assert "torch]" not in before
    assert "torch]" in after


def test_an_unsupported_python_is_one_sentence_before_anything_is_installed(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    old = tmp_path / "python3.10"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.10.13\nexit 1\n')
    old.chmod(0o755)
    command = ["make", "--no-print-directory", "report", f"PYTHON={old}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stdout.splitlines()
    assert "Python 3.11, 3.12, 3.13 가운데 하나가 필요하니" in line
    assert "Python 3.10.13" in line
    assert not (tmp_path / ".venv").exists()
