"""The numbers about the stored study, each against a small case worked out by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up import result, stored_run, study_runs

from mnist_mlp import findings, study
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History
from mnist_mlp.study import CHOSEN, StoredRun, StudyError, Task

ONE = stored_run(Task("numpy", CHOSEN, 0))
T = 2.262157  # 97.5 % quantile of Student's t for a mean of ten values


def runs_with(**fields: Sequence[Any]) -> list[StoredRun]:
    """Return runs with these values, one a run."""
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return [replace(ONE, **row) for row in rows]


def curve(*accuracies: float) -> History:
    return History(validation_accuracy=[*accuracies])


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
    assert found["other"] == pytest.approx((2 + 2 + 2 + 3 + 1 + 1) / 6)
    assert (found["relu"], found["lrelu"]) == (pytest.approx(4 / 3), 2)  # halves of "same"


def test_rounding_alone_is_what_the_two_implementations_differ_by() -> None:
    def measure(task: Task) -> dict[str, Any]:
        return {"errors": {task.seed: (0, 1)} if task.implementation == "torch" else {}}

    assert findings.rounding(study_runs(measure)) == 1


def test_claims_compare_classes_best_images_and_the_time_of_settling() -> None:
    def measure(task: Task) -> dict[str, Any]:
        if task.recipe not in (CHOSEN, replace(CHOSEN, alpha=0.3)):
            return {}
        lrelu, odd = task.recipe.alpha > 0, task.seed % 2
        # LReLU misreads one or two more 4s in every seed, one more 5 in odd and one 6 less in
        # even ones.
        wrong = [4] * (lrelu * (1 + odd)) + [5] * (lrelu and odd) + [6] * (not lrelu and not odd)
        best = [(task.seed, math.log(0.9)), (20, 0.0), (21 + lrelu, 0.0)]
        losses = [1.5, 1.75, 1.0, *[1.0] * 18] if lrelu else [2.0, 1.5, 1.2, *[1.0] * 18]
        train = [1.0, 1.0 + 0.5 * lrelu, *[0.1] * 19]
        return {
            "errors": {i: (true, 0) for i, true in enumerate(wrong)},
            "top3": dict.fromkeys(range(10), best),
            "history": History(train, losses, validation_accuracy=[0.1, 0.98]),
        }

    found = findings.claims(study_runs(measure), "torch", "LReLU(0.3)")
    assert (found["n"], found["label"]) == (10, "LReLU(0.3)")
    assert (found["relu_classes"], found["lrelu_classes"]) == (2, 1)
    assert found["shown_classes"] == [4]
    assert (found["lowest"], found["gap"], found["within"]) == (pytest.approx(0.9), 0, 10)
    # Of three images: the seed's own and 20; 20 and 21 (or 22); 20 alone.
    assert found["shared"] == {"one_seed": 20, "same": 20, "relu": 20, "lrelu": 20, "other": 10}
    assert found["settled"] == {"relu": 3, "lrelu": 2}
    assert found["settled_later"].mean == -1
    assert (found["loss_before"].mean, found["loss_first"].mean) == (-0.5, 0.25)
    assert found["loss_gaps"][2].mean == pytest.approx(-0.2)
    assert found["train_loss_first"].mean == pytest.approx(0.5)
    assert found["widest"] == 4
    assert found["class_gaps"][4].mean == pytest.approx(1.5)


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


def test_usual_confusions_are_means_over_runs() -> None:
    group = runs_with(errors=[{0: (4, 9), 1: (4, 9)}, {0: (4, 9), 2: (5, 3)}])
    assert findings.usual_confusions(group) == [(4, 9, 1.5), (5, 3, 0.5)]


def test_curves_and_best_images_over_seeds_are_those_of_the_runs() -> None:
    curves = findings.curves_over_seeds(PAIR)
    assert curves["n"] == 30
    first = PAIR["LReLU"][0].history
    assert first
    assert curves["validation"]["LReLU"][0].tolist() == first.validation_loss
    assert [gap.mean for gap in curves["gaps"]] == [0.0] * 21  # made-up losses are all alike
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


# ---- the recipe


def test_the_recipe_is_built_up_step_by_step_and_the_search_ranked_by_both_activations() -> None:
    score = {recipe: 0.9 + 0.001 * i for i, recipe in enumerate(study.SEARCH.values())}
    score |= {recipe: 0.99 - 0.003 * i for i, recipe in enumerate(study.FINALISTS.values())}
    *steps, _ = study.LADDER.values()  # the last one, 0.907, is in the search too
    score |= dict(zip(steps, (0.89, 0.9, 0.898, 0.898), strict=True))
    found = findings.recipe_search(
        study_runs(lambda t: {"validation_accuracy": score.get(t.recipe, 0.5)})
    )
    gains = {step: round(gain.mean, 9) for step, gain in found["gained"].items()}
    assert gains == {"+ momentum": 0.01, "+ decay": -0.002, "+ L2": 0, "+ dropout": 0.009}
    assert (found["total"].mean, found["total"].n) == (pytest.approx(0.017), 5)
    # In the order of FINALISTS ReLU has 0.908, 0.907, 0.906, 0.904, 0.900, 0.901.
    assert found["finalists"] == list(study.FINALISTS)
    assert found["lead"].mean == pytest.approx((0.001 + 0.003) / 2)
    assert found["others"][0] == "momentum 0.95, lr 0.05, L2 1e-4, dropout 0.1 / 0.2"


# ---- where the activation matters


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
    assert findings.winner(first, second, "LReLU") == winner


def test_survivors_alone_have_a_median_and_dead_units() -> None:
    runs = runs_with(
        validation_accuracy=[0.9, 0.97, 0.95, 0.999],
        diverged_after=[None, None, None, 1],
        dead_units=[[[1, 1], [0.4, 0.2]], [[1, 1], [0.0, 0.0]], [[1, 1], [0.6, 0.6]], [[1, 1]]],
    )
    found = findings.survivors(runs)
    assert (found["runs"], found["diverged"], found["median"]) == (4, 1, 0.95)
    # Of all hidden units: layers of 512 and 256 count by their widths.
    assert found["dead"] == pytest.approx(((2 * 0.4 + 0.2) / 3 + 0 + 0.6) / 3)
    largest = round(findings.MAJORITY, 6)
    stuck = runs_with(validation_accuracy=[largest, largest - 0.008, largest + 0.1])
    assert findings.survivors(stuck)["stuck"] == 2  # below the largest class is no better
    lost = findings.survivors(runs[3:])
    assert len(lost["accuracies"]) == 0
    assert math.isnan(lost["median"])


# ---- who learns faster


def test_epochs_to_the_goal_and_never_is_later_than_all() -> None:
    curves = [curve(0.1, 0.96, 0.97), curve(0.97), curve(0.1, 0.98, 0.9), curve(0.1, 0.969)]
    runs = runs_with(history=curves)
    assert [findings.epochs_to_goal(run) for run in runs] == [2, 0, 1, math.inf]


def test_the_sign_test_counts_pairs_and_leaves_ties_out() -> None:
    ours, theirs = np.array([3, 3, 3, 3, 3.0]), np.array([4, 5, math.inf, 3, 2])
    found = findings.sign_test(ours, theirs)
    assert (found["later"], found["equal"], found["earlier"]) == (3, 1, 1)
    assert found["p"] == pytest.approx(2 * (1 + 4) / 2**4)
    assert findings.sign_test(ours, ours)["p"] == 1.0


def test_rectifiers_are_faster_only_if_both_are_than_every_other() -> None:
    early, late = np.full(10, 3.0), np.full(10, 5.0)
    assert findings.rectifiers_are_faster({"ReLU": early, "LReLU(0.1)": early, "tanh": late})
    assert not findings.rectifiers_are_faster({"ReLU": early, "LReLU(0.1)": late, "tanh": late})
    ten = np.array([2.0] * 2 + [5.0] * 8)  # 8 of 10 later: p = 0.11
    assert not findings.rectifiers_are_faster({"ReLU": early, "LReLU(0.1)": early, "tanh": ten})


def test_the_best_rate_is_never_one_at_which_a_seed_diverged() -> None:
    assert findings.best_rate({"0.1": 0.9, "0.2": 0.95, "0.4": math.nan}) == "0.2"
    diverged = replace(ONE, diverged_after=3)
    assert math.isnan(findings.final_accuracy(diverged))
    assert findings.final_accuracy(ONE) == ONE.validation_accuracy


def test_speed_compares_each_activation_at_the_shared_and_at_its_own_rates() -> None:
    def measure(task: Task) -> dict[str, Any]:
        recipe = task.recipe
        if recipe == Recipe(activation="tanh", lr=0.4):
            return {"diverged_after": 2} if task.seed == 1 else {}
        reached = {"relu": 1, "tanh": 2, "sigmoid": 3}[recipe.activation]
        history = curve(*[0.1] * reached, *[0.98] * (4 - reached))
        return {"validation_accuracy": 0.9 + 0.01 * recipe.lr, "history": history}

    found = findings.speed(study_runs(measure))
    assert found["best"] == {"ReLU": "0.4", "LReLU(0.1)": "0.4", "tanh": "0.2", "sigmoid": "1.6"}
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
