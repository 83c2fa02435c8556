"""What CI installs is what constraints.txt says, every file with its hash."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / ".ci" / "requirements.txt").read_text(encoding="utf-8")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(text: str) -> dict[str, str]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {normal(name): version for name, version in found}


def test_the_lock_holds_the_constraints_and_the_build_backend_with_hashes() -> None:
    locked = pinned(LOCK)
    assert locked.pop("setuptools")
    assert locked == pinned((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    entries = re.split(r"^(?=[A-Za-z])", LOCK, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked) + 1
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


def test_every_dependency_is_among_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted += project["optional-dependencies"]["dev"]
    names = {normal(match[0]) for line in wanted if (match := re.match(r"[A-Za-z0-9._-]+", line))}
    assert names <= set(pinned(LOCK))
