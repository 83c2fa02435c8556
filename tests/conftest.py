"""What tests of several folders share, and which of them share a process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from executed import Execution, execute_both
from tiny_mnist import CLOSED
from xdist.scheduler import LoadScopeScheduling

from mnist_mlp import data
from mnist_mlp.data import Dataset, load
from mnist_mlp.recipe import Recipe


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Execution:
    """Both notebooks executed on the digits, one after the other."""
    return execute_both(tmp_path_factory.mktemp("alone"), at_once=False)


@pytest.fixture
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the developer's own files, cache, proxies and network; work in an empty folder."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(data, "__file__", str(tmp_path / "repo" / "src" / "mnist_mlp" / "data.py"))
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setenv("MNIST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MNIST_MIRRORS", CLOSED)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """1,149 training, 288 validation and 360 test images that need no download."""
    return load("sklearn-digits")


@pytest.fixture
def small() -> Recipe:
    """Every value is given, so that the tests do not change with the chosen recipe."""
    return Recipe(
        epochs=2,
        batch_size=50,
        hidden=(12, 8),
        lr=0.1,
        decay="linear",
        momentum=0.9,
        weight_decay=0.01,
        input_dropout=0.1,
        hidden_dropout=0.2,
    )


@pytest.fixture(params=["ReLU", "LReLU", "sigmoid", "tanh"])
def recipe(request: pytest.FixtureRequest, small: Recipe) -> Recipe:
    """Each activation once."""
    if request.param in ("sigmoid", "tanh"):
        return replace(small, activation=request.param)
    return replace(small, alpha=0.3 if request.param == "LReLU" else 0.0)


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


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Take the schedule above (``loadgroup`` of xdist 3.8 does nothing under pytest 9)."""
    return Scheduling(config, log)
