"""The numbers about the stored study, each against a small case worked out by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up import result, stored_run, study_runs

from mnist_mlp import findings, study
from mnist_mlp.study import CHOSEN, StoredRun, StudyError, Task

ONE = stored_run(Task("numpy", CHOSEN, 0))
T = 2.262157  # 97.5 % quantile of Student's t for a mean of ten values


def runs_with(**fields: Sequence[Any]) -> list[StoredRun]:
    """Return runs with these values, one a run."""
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return [replace(ONE, **row) for row in rows]


# ---- differences by seed


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


# ---- images


def test_what_the_activation_changes_is_held_against_what_the_seed_changes() -> None:
    seeds = [0, 1, 2]
    relu = runs_with(errors=[{1: (0, 2)}, {1: (0, 2), 2: (0, 3)}, {}], seed=seeds)
    lrelu = runs_with(errors=[{1: (0, 5)}, {3: (0, 1)}, {4: (0, 1)}], seed=seeds)
    found = findings.by_chance(study.disagreements, relu, lrelu)
    assert found["one_seed"] == pytest.approx((1 + 3 + 1) / 3)
    assert found["same"] == pytest.approx((1 + 1 + 2 + 2 + 2 + 2) / 6)  # ReLU's pairs, LReLU's
    assert (found["relu"], found["lrelu"]) == (pytest.approx(4 / 3), 2)  # halves of "same"


@pytest.mark.parametrize("field", ["history", "top3"])
def test_a_run_stored_without_what_the_report_reads_is_named(field: str) -> None:
    with pytest.raises(StudyError, match=rf"Task\(.*seed=0.* without its {field}: train it again"):
        findings.kept(replace(ONE, history=None, top3=None), field)


# ---- the same training with other seeds

TRAINED = {"ReLU": CHOSEN, "LReLU": replace(CHOSEN, alpha=0.1)}
PAIR = findings.repeats(study_runs(), "numpy", "mnist", TRAINED)


def test_repeats_are_of_just_this_training_in_pairs() -> None:
    assert {name: [run.seed for run in group] for name, group in PAIR.items()} == {
        "ReLU": list(range(30)),
        "LReLU": list(range(30)),
    }
    assert all(run.recipe.alpha == 0.1 for run in PAIR["LReLU"])
    steep = TRAINED | {"LReLU": replace(CHOSEN, alpha=0.3)}
    assert len(findings.repeats(study_runs(), "numpy", "mnist", steep)["ReLU"]) == 10
    for implementation, dataset, recipes in (
        ("numpy", "fashion", TRAINED),
        ("numpy", "mnist", TRAINED | {"LReLU": replace(CHOSEN, alpha=0.05)}),
        ("torch", "mnist", {name: replace(r, epochs=1) for name, r in TRAINED.items()}),
    ):
        assert findings.repeats(study_runs(), implementation, dataset, recipes) == {}


def test_without_repeats_nothing_is_said_about_other_seeds() -> None:
    assert findings.classes_over_seeds({}) == {"n": 0, "classes": []}
    assert findings.top_over_seeds({}) == findings.curves_over_seeds({}) == {"n": 0}
    assert findings.asked(study_runs(), "numpy", "LReLU(0.05)")["found"] is None
    assert findings.asked(study_runs(), "numpy", "LReLU(0.3)")["found"]["seeds"].n == 10


def test_images_that_every_network_misreads_and_their_usual_answer() -> None:
    wrong = [{1: (0, 2), 2: (0, 3), 9: (4, 5)}, {1: (0, 2), 2: (0, 4)}, {1: (0, 2), 2: (0, 3)}]
    groups = {"ReLU": runs_with(errors=wrong[:2]), "LReLU": runs_with(errors=wrong[2:] * 2)}
    others = {"ReLU": runs_with(errors=[{1: (0, 7)}, {1: (0, 2), 2: (0, 3)}]), "LReLU": []}
    found = findings.never_read(groups, others)
    assert found["always"] == {1: (0, 2, 1.0), 2: (0, 3, 0.75)}
    assert (found["networks"], found["ever"], found["unanimous"]) == (4, 3, 1)
    assert (found["others"], found["others_too"]) == (2, 1)
    assert findings.never_read(groups, {})["others"] == 0


def test_the_paired_test_of_a_seed_is_mcnemars() -> None:
    six, five = (dict.fromkeys(range(n), (0, 1)) for n in (6, 5))  # p = 2 / 2^6 and 2 / 2^5
    good, bad, other = runs_with(errors=[{9: (0, 1)}, six | {9: (0, 1)}, five], seed=[0, 0, 0])
    assert findings.one_is_better(bad, good)
    assert findings.one_is_better(good, bad)
    assert not findings.one_is_better(good, other)


def test_what_new_seeds_confirm_is_apart_from_what_had_been_seen() -> None:
    def measure(task: Task) -> dict[str, Any]:
        gap = task.recipe.alpha * (1.0 if task.seed in study.FIRST_LOOK else 0.1)
        return {"test_loss": 0.05 - gap + 1e-4 * task.seed, "loss_right": 0.2, "loss_wrong": 1.0}

    found = findings.confidence(findings.all_seeds(study_runs(measure), "numpy"))
    gaps = (found["first"]["test_loss"], found["new"]["test_loss"], found["gaps"]["test_loss"])
    assert [(gap.n, round(gap.mean, 9)) for gap in gaps] == [(10, -0.1), (20, -0.01), (30, -0.04)]
    assert (found["first_loss"], found["new_loss"]) == pytest.approx((0.05045, 0.05195))
    run = replace(ONE, test_accuracy=0.9, loss_right=0.2, loss_wrong=1.0)
    assert (findings.right_share(run), findings.wrong_share(run)) == pytest.approx((0.18, 0.1))


def test_usual_confusions_are_means_over_runs() -> None:
    group = runs_with(errors=[{0: (4, 9), 1: (4, 9)}, {0: (4, 9), 2: (5, 3)}])
    assert findings.usual_confusions(group) == [(4, 9, 1.5), (5, 3, 0.5)]


def test_curves_and_best_images_over_seeds_are_those_of_the_runs() -> None:
    curves = findings.curves_over_seeds(PAIR)
    assert curves["n"] == 30
    first = PAIR["LReLU"][0].history
    assert first
    assert curves["validation"]["LReLU"][0].tolist() == first.validation_loss
    assert [gap.mean for gap in curves["gaps"]["validation"]] == [0.0] * 21  # all alike, made up
    surer = {digit: [(k, -1e-9) for k in range(3)] for digit in range(10)}
    odd = surer | {0: [(0, -1e-12), (1, -1e-9), (2, -1e-9)]}
    groups = {"ReLU": runs_with(top3=[odd, odd], seed=[0, 1])}
    groups["LReLU"] = runs_with(top3=[surer, surer], seed=[0, 1])
    found = findings.top_over_seeds(groups)
    assert (found["relu_surer"], found["most"], found["both"]["one_seed"]) == (1.0, 0, 30)


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
