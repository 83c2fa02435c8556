"""What the tests of the package share; apart, so that they run where no tools are installed."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_mnist import CLOSED

from mnist_mlp import data, scratch
from mnist_mlp.data import Dataset, load
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import Run


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


@pytest.fixture(scope="session")
def trained(digits: Dataset) -> dict[str, Run]:
    """A small ReLU and a small LReLU network that read most of the digits."""
    recipe = Recipe(hidden=(32, 16), epochs=4, batch_size=20, lr=0.02)
    recipes = {"ReLU": recipe, "LReLU": replace(recipe, alpha=0.1)}
    return {name: scratch.fit(digits, recipe, seed=3) for name, recipe in recipes.items()}


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
