"""What the grader computes again starts from its own data; the checks: ``test_rubric.py``."""

from typing import Any

import pytest

from mnist_mlp.data import load
from mnist_tools import recount
from mnist_tools.files import ReportError
from mnist_tools.recount import own_data


def test_own_data_are_those_of_the_published_name_and_seed() -> None:
    data = own_data({"dataset": "sklearn-digits", "seed": 3})
    assert data is not None
    assert (data.train.labels == load("sklearn-digits", seed=3).train.labels).all()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, "0", None])
def test_results_with_another_seed_or_name_have_no_data(seed: Any) -> None:
    assert own_data({"dataset": "sklearn-digits", "seed": seed}) is None
    for name in (["mnist"], "idx-files"):
        assert own_data({"dataset": name, "seed": 0}) is None


def test_a_grader_without_mnist_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recount, "load", lambda name, seed: load("sklearn-digits", seed=seed))
    with pytest.raises(ReportError, match="set MNIST_DIR"):
        own_data({"dataset": "mnist", "seed": 0})
