"""Which tests share a process, and how many cases each tried."""

from collections.abc import Callable, Iterator

import pytest
from executed import Execution, execute_both
from torture_data import CASES

SINGLE = {"test_colab", "test_nbgrader", "test_papermill", "test_places", "test_types"}


@pytest.fixture(autouse=True)
def noted(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """Note one case in the JUnit report, or as many as the test counted (see reliability.py)."""
    yield
    record_property("cases", CASES.pop(request.node.originalname, 1))


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """Both notebooks executed on the digits, one after the other."""
    return execute_both(tmp_path_factory.mktemp("alone"), at_once=False)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process of ``make test``, where they share what was made.

    Those of the files in ``SINGLE`` share nothing and take long: they fill the gaps at the end.
    """
    for item in items:
        name = item.path.stem
        if name not in SINGLE:
            group = "executed" if name in {"test_grading", "test_notebooks"} else name
            item.add_marker(pytest.mark.xdist_group(group))
