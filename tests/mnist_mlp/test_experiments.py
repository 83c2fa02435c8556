"""The stored experiments beside the comparison, each against a small case worked out by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up import runs_with, stored_run, study_runs

from mnist_mlp import experiments, study
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History
from mnist_mlp.study import CHOSEN, Task

ONE = stored_run(Task("numpy", CHOSEN, 0))


def curve(*accuracies: float) -> History:
    return History(validation_accuracy=[*accuracies])


def test_the_recipe_is_built_up_step_by_step_and_the_search_ranked_by_both_activations() -> None:
    score = {recipe: 0.9 + 0.001 * i for i, recipe in enumerate(study.SEARCH.values())}
    score |= {recipe: 0.99 - 0.003 * i for i, recipe in enumerate(study.FINALISTS.values())}
    *steps, _ = study.LADDER.values()  # the last one, 0.907, is in the search too
    score |= dict(zip(steps, (0.89, 0.9, 0.898, 0.898), strict=True))
    found = experiments.recipe_search(
        study_runs(lambda t: {"validation_accuracy": score.get(t.recipe, 0.5)})
    )
    gains = {step: round(gain.mean, 9) for step, gain in found["gained"].items()}
    assert gains == {"+ momentum": 0.01, "+ decay": -0.002, "+ L2": 0, "+ dropout": 0.009}
    assert (found["total"].mean, found["total"].n) == (pytest.approx(0.017), 5)
    # In the order of FINALISTS ReLU has 0.908, 0.907, 0.906, 0.904, 0.900, 0.901.
    assert found["finalists"] == list(study.FINALISTS)
    assert found["lead"].mean == pytest.approx((0.001 + 0.003) / 2)
    assert found["others"][0] == "momentum 0.95, lr 0.05, L2 1e-4, dropout 0.1 / 0.2"


@pytest.mark.parametrize(
    ("relu", "lrelu", "winner"),
    [
        ([0.8, 0.9], [0.81, 0.91], "LReLU"),
        ([0.8, 0.9], [0.79, 0.89], "ReLU"),
        ([0.8, 0.9], [0.81, 0.89], ""),
        ([0.8, 0.9], [0.81, 0.9], ""),
        ([None, 0.9], [0.1, 0.91], "LReLU"),  # None: a run that diverged
        ([0.1, 0.9], [None, 0.89], "ReLU"),
        ([None, 0.8], [None, 0.9], ""),
    ],
)
def test_the_winner_is_better_in_every_seed_and_who_diverges_has_lost(
    relu: list[float | None], lrelu: list[float | None], winner: str
) -> None:
    first, second = (
        runs_with(
            validation_accuracy=[0.999 if a is None else a for a in accuracies],
            diverged_after=[2 if a is None else None for a in accuracies],
        )
        for accuracies in (relu, lrelu)
    )
    assert experiments.winner(first, second, "LReLU") == winner


def test_survivors_alone_have_a_median_and_dead_units() -> None:
    runs = runs_with(
        validation_accuracy=[0.9, 0.97, 0.95, 0.999],
        diverged_after=[None, None, None, 1],
        dead_units=[[[1, 1], [0.4, 0.2]], [[1, 1], [0.0, 0.0]], [[1, 1], [0.6, 0.6]], [[1, 1]]],
    )
    found = experiments.survivors(runs)
    assert (found["runs"], found["diverged"], found["median"]) == (4, 1, 0.95)
    # Of all hidden units: layers of 512 and 256 count by their widths.
    assert found["dead"] == pytest.approx(((2 * 0.4 + 0.2) / 3 + 0 + 0.6) / 3)
    largest = round(experiments.MAJORITY, 6)
    stuck = runs_with(validation_accuracy=[largest, largest - 0.008, largest + 0.1])
    assert experiments.survivors(stuck)["stuck"] == 2  # below the largest class is no better
    layers = [[[0, 0], [0.1, 1.0]], [[0, 0], [0.9, 0.9]], [[0, 0], [1.0, 1.0]]]
    blocked = runs_with(validation_accuracy=[largest, largest, 0.9], dead_units=layers)
    assert experiments.survivors(blocked)["blocked"] == 1  # a layer as a whole, of those stuck
    assert found["off"] == [(0.0, 0.6)] * 2  # of the worst layers, after an epoch and at the end
    lost = experiments.survivors(runs[3:])
    assert len(lost["accuracies"]) == 0
    assert math.isnan(lost["median"])


def test_epochs_to_the_goal_and_never_is_later_than_all() -> None:
    curves = [curve(0.1, 0.96, 0.97), curve(0.97), curve(0.1, 0.98, 0.9), curve(0.1, 0.969)]
    runs = runs_with(history=curves)
    assert [experiments.epochs_to_goal(run) for run in runs] == [2, 0, 1, math.inf]


def test_the_sign_test_counts_pairs_and_leaves_ties_out() -> None:
    ours, theirs = np.array([3, 3, 3, 3, 3.0]), np.array([4, 5, math.inf, 3, 2])
    found = experiments.sign_test(ours, theirs)
    assert (found["later"], found["equal"], found["earlier"]) == (3, 1, 1)
    assert found["p"] == pytest.approx(2 * (1 + 4) / 2**4)
    assert experiments.sign_test(ours, ours)["p"] == 1.0


def test_rectifiers_are_faster_only_if_both_are_than_every_other() -> None:
    early, late = np.full(10, 3.0), np.full(10, 5.0)
    assert experiments.rectifiers_are_faster({"ReLU": early, "LReLU(0.1)": early, "tanh": late})
    assert not experiments.rectifiers_are_faster({"ReLU": early, "LReLU(0.1)": late, "tanh": late})
    ten = np.array([2.0] * 2 + [5.0] * 8)  # 8 of 10 later: p = 0.11
    assert not experiments.rectifiers_are_faster({"ReLU": early, "LReLU(0.1)": early, "tanh": ten})


def test_the_best_rate_is_never_one_at_which_a_seed_diverged() -> None:
    assert experiments.best_rate({"0.1": 0.9, "0.2": 0.95, "0.4": math.nan}) == "0.2"
    diverged = replace(ONE, diverged_after=3)
    assert math.isnan(experiments.final_accuracy(diverged))
    assert experiments.final_accuracy(ONE) == ONE.validation_accuracy


def test_speed_compares_each_activation_at_the_shared_and_at_its_own_rates() -> None:
    def measure(task: Task) -> dict[str, Any]:
        recipe = task.recipe
        if recipe == Recipe(activation="tanh", lr=0.4):
            return {"diverged_after": 2} if task.seed == 1 else {}
        reached = {"relu": 1, "tanh": 2, "sigmoid": 3}[recipe.activation]
        history = curve(*[0.1] * reached, *[0.98] * (4 - reached))
        return {"validation_accuracy": 0.9 + 0.01 * recipe.lr, "history": history}

    found = experiments.speed(study_runs(measure))
    assert found["best"] == {
        "ReLU": "0.4",
        "LReLU(0.1)": "0.4",
        "LReLU(0.3)": "0.4",
        "tanh": "0.2",
        "sigmoid": "1.6",
    }
    assert set(found["arrivals"]["tanh"]["0.2"]) == {2}
    assert found["fastest"]["sigmoid"] == "0.0125"  # all alike: the first
    assert math.isnan(found["rates"]["tanh"]["0.4"])
    assert found["rates"]["sigmoid"]["0.8"] == pytest.approx(0.908)
    assert {label: set(v) for label, v in found["epochs"].items()} == {
        "ReLU": {1},
        "LReLU(0.1)": {1},
        "LReLU(0.3)": {1},
        "tanh": {2},
        "sigmoid": {3},
        "sigmoid, lr 0.2": {3},
        "sigmoid, lr 0.8": {3},
    }
    assert found["later"]["tanh"]["later"] == found["n"] == 10
    assert found["faster"]
    assert found["steep_slope"]["earlier"] == 10
    assert found["curves"]["tanh"].shape == (10, 4)
