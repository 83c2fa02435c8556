"""Every test notes in the JUnit report how many cases it tried (see reliability.py)."""

from collections.abc import Callable, Iterator

import pytest
from torture_data import CASES


@pytest.fixture(autouse=True)
def noted(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Iterator[None]:
    """Note one case, or as many as the test counted itself."""
    yield
    record_property("cases", CASES.pop(request.node.originalname, 1))
