"""The numbers about the stored study, each against a small case worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up import result, runs_with, stored_run, study_runs

from mnist_mlp import findings, study
from mnist_mlp.study import CHOSEN, Task

ONE = stored_run(Task("numpy", CHOSEN, 0))
T = 2.262157  # 97.5 % quantile of Student's t for a mean of ten values


def test_differences_are_taken_seed_by_seed() -> None:
    def measure(task: Task) -> dict[str, float]:
        gain = task.recipe.alpha * (0.003 + 1e-4 * task.seed)
        return {"test_accuracy": 0.9 + 0.01 * task.seed + gain}

    found = findings.comparison(study_runs(measure), "numpy")
    assert len(found["differences"]["LReLU(0.1)"]) == 30
    assert found["differences"]["LReLU(0.3)"] == pytest.approx(9e-4 + 3e-5 * np.arange(10))
    sd = 3e-5 * math.sqrt(110 / 12)  # of 0 ... 9, n - 1 degrees of freedom
    half = T * sd / math.sqrt(10)
    interval = found["accuracy"]["LReLU(0.3)"]
    assert (interval.low, interval.high) == pytest.approx((1.035e-3 - half, 1.035e-3 + half))
    together = found["together"]["LReLU(0.3)"]  # Bonferroni: 98.33 %, t = 2.9333 for 9 degrees
    assert together.high - together.mean == pytest.approx(half * 2.9333 / T, rel=1e-4)


def test_implementations_subtract_numpy_from_pytorch_seed_by_seed() -> None:
    def measure(task: Task) -> dict[str, float]:
        ahead = 0.002 * (task.implementation == "torch") * (1 if task.recipe.alpha else -1)
        return {"test_accuracy": 0.9 + 0.01 * task.seed + ahead}

    labels = findings.implementations(study_runs(measure))["labels"]
    means = {label: round(gap.mean, 9) for label, gap in labels.items()}
    assert means == {"ReLU": -0.002, "LReLU(0.1)": 0.002, "LReLU(0.3)": 0.002}
    both = findings.implementations(study_runs(measure))["both"]["test_accuracy"]
    assert (both.n, both.mean) == (30, pytest.approx(0.002))  # 0 in NumPy, 0.004 in PyTorch
    new = findings.implementations(study_runs(measure))["both_new"]
    assert (new["n"], new["test_accuracy"].n) == (20, 20)


def test_live_runs_are_held_against_the_stored_runs_of_the_same_training() -> None:
    pair = [result({}), result({0: 6})]  # 1.0 and 0.995
    stored = runs_with(test_accuracy=[0.999, 0.9975])
    assert findings.live(pair, stored)["gap"] == pytest.approx(0.0025)
    assert findings.live(pair, [stored[0], None])["gap"] is None
    assert findings.live(pair, [None, None])["gap"] is None


def test_what_new_seeds_confirm_is_apart_from_what_had_been_seen() -> None:
    def measure(task: Task) -> dict[str, Any]:
        gap = task.recipe.alpha * (1.0 if task.seed in study.FIRST_LOOK else 0.1)
        return {"test_loss": 0.05 - gap + 1e-4 * task.seed, "loss_right": 0.2, "loss_wrong": 1.0}

    groups = findings.all_seeds(study_runs(measure), "numpy")
    known, found = findings.confidence(groups, "LReLU(0.1)"), findings.confirmed(groups)
    gaps = (found["first"]["test_loss"], found["new"]["test_loss"], known["gaps"]["test_loss"])
    assert [(gap.n, round(gap.mean, 9)) for gap in gaps] == [(10, -0.1), (20, -0.01), (30, -0.04)]
    assert found["shrinks"] == pytest.approx([-0.1 / 0.05045, -0.01 / 0.05195])
    assert known["misread"]["ReLU"] == 140  # as many as made-up runs have
    run = replace(ONE, test_accuracy=0.9, loss_right=0.2, loss_wrong=1.0)
    assert (findings.right_share(run), findings.wrong_share(run)) == pytest.approx((0.18, 0.1))


def test_other_images_count_who_alone_is_right() -> None:
    groups = {
        "ReLU": runs_with(errors=[{1: (0, 2), 2: (0, 3)}] * 2, test_accuracy=[0.9998, 0.9998]),
        "LReLU": runs_with(errors=[{1: (0, 2)}, {}], test_accuracy=[0.9999, 1.0]),
    }
    found = findings.other_images(groups)
    assert found["seeds"].mean == pytest.approx(1.5e-4)
    assert found["wins"] == 2
    low, high = found["both"]
    assert 0 <= low < 1.5e-4 < high
