"""Which tests share a process, and how many cases each tried."""

from collections.abc import Callable, Iterator

import pytest
from torture_data import CASES


@pytest.fixture(autouse=True)
def noted(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """Note one case in the JUnit report, or as many as the test counted (see reliability.py)."""
    yield
    record_property("cases", CASES.pop(request.node.originalname, 1))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process of ``make test``, where they share what was made.

    Those of the named files share nothing and take long: they fill the gaps at the end.
    """
    for item in items:
        if item.path.stem not in {"test_colab", "test_nbgrader", "test_papermill", "test_places"}:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
