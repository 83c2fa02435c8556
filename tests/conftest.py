"""What tests of several folders share, and which of them share a process."""

from pathlib import Path
from typing import Any

import pytest
from chromium import browser, page  # noqa: F401  (fixtures)
from executed import Execution, Grading, execute_at_once, grade_again
from package_fixtures import digits, isolated, recipe, small, trained  # noqa: F401  (fixtures)
from xdist.scheduler import LoadScopeScheduling


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """Both notebooks executed on the digits, at once."""
    return execute_at_once(tmp_path_factory.mktemp("executed"))


@pytest.fixture(scope="session")
def graded(executed: Execution, tmp_path_factory: pytest.TempPathFactory) -> Grading:
    """The same notebooks, graded: executed again, one after the other, and trained again."""
    return grade_again(executed, tmp_path_factory.mktemp("graded"))


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Keep the tests of a file in one process, where they share what was made.

    Two files share the executed notebooks. The other tests of the notebooks share nothing and take
    long: one by one they fill the gaps at the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = Path(nodeid.split("::")[0])
        if path.name in {"test_rubric.py", "test_notebooks.py"}:
            return "executed"
        return nodeid if path.parent.name == "notebooks" else str(path)


@pytest.hookimpl(optionalhook=True)  # there is none with -p no:xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Take the schedule above (``loadgroup`` of xdist 3.8 does nothing under pytest 9)."""
    return Scheduling(config, log)
