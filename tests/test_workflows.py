"""The hosted checks run what the documents promise."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from mnist_tools import links
from mnist_tools.files import NOTEBOOKS

ROOT = Path(__file__).parents[1]
WORKFLOWS = {path.name: path for path in (ROOT / ".github" / "workflows").iterdir()}


def read(name: str) -> Any:
    return yaml.safe_load(WORKFLOWS[name].read_text(encoding="utf-8"))


def commands(job: Any) -> str:
    return "\n".join(step["run"] for step in job["steps"] if "run" in step)


def test_the_readmes_test_command_runs_on_every_python_it_promises() -> None:
    job = read("test.yml")["jobs"]["test"]
    assert "make test PYTHON=python" in commands(job)
    (promised,) = re.findall(r"Python ((?:3\.\d+, )+3\.\d+)", (ROOT / "README.md").read_text())
    assert job["strategy"]["matrix"]["python"] == promised.split(", ")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={promised.split(', ')[0]}"


def test_main_runs_everything_and_publishes_notebook_01_as_the_first_page() -> None:
    jobs = read("main.yml")["jobs"]
    assert "make test-all" in commands(jobs["test-all"])
    report = commands(jobs["report"])
    assert f"cp reports/{NOTEBOOKS['scratch']}.html _site/index.html" in report
    assert jobs["pages"]["needs"] == "report"


def test_every_badge_is_of_a_workflow() -> None:
    badges = set(re.findall(r"actions/workflows/([\w.]+)", links.README))
    assert badges
    assert badges <= WORKFLOWS.keys()
