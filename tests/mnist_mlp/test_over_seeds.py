"""What other seeds say, each against a small case worked out by hand."""

from dataclasses import replace

import pytest
from made_up import runs_with, study_runs

from mnist_mlp import findings, over_seeds, study
from mnist_mlp.study import CHOSEN, StudyError

TRAINED = {"ReLU": CHOSEN, "LReLU": replace(CHOSEN, alpha=0.1)}
PAIR = over_seeds.repeats(study_runs(), "numpy", "mnist", TRAINED)


def test_what_the_activation_changes_is_held_against_what_the_seed_changes() -> None:
    seeds = [0, 1, 2]
    relu = runs_with(errors=[{1: (0, 2)}, {1: (0, 2), 2: (0, 3)}, {}], seed=seeds)
    lrelu = runs_with(errors=[{1: (0, 5)}, {3: (0, 1)}, {4: (0, 1)}], seed=seeds)
    found = over_seeds.by_chance(study.disagreements, relu, lrelu)
    assert found["one_seed"] == pytest.approx((1 + 3 + 1) / 3)
    assert found["same"] == pytest.approx((1 + 1 + 2 + 2 + 2 + 2) / 6)  # ReLU's pairs, LReLU's
    assert (found["relu"], found["lrelu"]) == (pytest.approx(4 / 3), 2)  # halves of "same"
    # Seed by seed: 1, 3, 1 against the means of ReLU's (1, 1; 1, 2; 1, 2) and LReLU's (2, 2) pairs.
    assert found["beyond"].mean == pytest.approx((1 - 1.5 + 3 - 1.75 + 1 - 1.75) / 3)


def test_rounding_alone_is_what_the_two_implementations_differ_by() -> None:
    seeds = [0, 1, 2]
    wrong: dict[int, tuple[int, int]] = {1: (0, 2), 2: (0, 3), 3: (0, 4)}
    right = runs_with(errors=[{}] * 3, seed=seeds)
    groups = {"ReLU": right, "LReLU": runs_with(errors=[wrong, wrong, {}], seed=seeds)}
    one = runs_with(errors=[{1: (0, 2)}] * 2, seed=[1, 2])  # the seeds that both have
    others = {"ReLU": one, "LReLU": runs_with(errors=[wrong, wrong], seed=[1, 2])}
    found = over_seeds.by_rounding(study.disagreements, groups, others)
    assert (found["n"], found["ReLU"], found["LReLU"]) == (2, 1, 1.5)
    # Seed 1: 3 by the activation, 1 and 0 by rounding; seed 2: 0, 1 and 3.
    assert found["beyond"].mean == pytest.approx((2.5 - 2) / 2)
    assert over_seeds.by_rounding(study.disagreements, groups, {}) == {}


@pytest.mark.parametrize("field", ["history", "top3"])
def test_a_run_stored_without_what_the_report_reads_is_named(field: str) -> None:
    with pytest.raises(StudyError, match=rf"Task\(.*seed=0.* without its {field}: train it again"):
        over_seeds.kept(runs_with(history=[None], top3=[None])[0], field)


def test_repeats_are_of_just_this_training_in_pairs() -> None:
    assert {name: [run.seed for run in group] for name, group in PAIR.items()} == {
        "ReLU": list(range(30)),
        "LReLU": list(range(30)),
    }
    assert all(run.recipe.alpha == 0.1 for run in PAIR["LReLU"])
    steep = TRAINED | {"LReLU": replace(CHOSEN, alpha=0.3)}
    assert len(over_seeds.repeats(study_runs(), "numpy", "mnist", steep)["ReLU"]) == 10
    for implementation, dataset, recipes in (
        ("numpy", "fashion", TRAINED),
        ("numpy", "mnist", TRAINED | {"LReLU": replace(CHOSEN, alpha=0.05)}),
        ("torch", "mnist", {name: replace(r, epochs=1) for name, r in TRAINED.items()}),
    ):
        assert over_seeds.repeats(study_runs(), implementation, dataset, recipes) == {}


def test_without_repeats_nothing_is_said_about_other_seeds() -> None:
    assert over_seeds.classes({}, {}) == {"n": 0, "classes": []}
    assert over_seeds.best_images({}, {}) == over_seeds.curves({}) == {"n": 0}
    assert findings.asked(study_runs(), "numpy", "LReLU(0.05)")["found"] is None
    assert findings.asked(study_runs(), "numpy", "LReLU(0.3)")["found"]["seeds"].n == 10


def test_images_that_every_network_misreads_and_their_usual_answer() -> None:
    wrong = [{1: (0, 2), 2: (0, 3), 9: (4, 5)}, {1: (0, 2), 2: (0, 4)}, {1: (0, 2), 2: (0, 3)}]
    groups = {"ReLU": runs_with(errors=wrong[:2]), "LReLU": runs_with(errors=wrong[2:] * 2)}
    others = {"ReLU": runs_with(errors=[{1: (0, 7)}, {1: (0, 2), 2: (0, 3)}]), "LReLU": []}
    found = over_seeds.never_read(groups, others)
    assert found["always"] == {1: (0, 2, 1.0), 2: (0, 3, 0.75)}
    assert (found["networks"], found["ever"], found["unanimous"]) == (4, 3, 1)
    assert (found["others"], found["others_too"]) == (2, 1)
    assert over_seeds.never_read(groups, {})["others"] == 0


def test_the_paired_test_of_a_seed_is_mcnemars() -> None:
    six, five = (dict.fromkeys(range(n), (0, 1)) for n in (6, 5))  # p = 2 / 2^6 and 2 / 2^5
    good, bad, other = runs_with(errors=[{9: (0, 1)}, six | {9: (0, 1)}, five], seed=[0, 0, 0])
    assert over_seeds.one_is_better(bad, good)
    assert over_seeds.one_is_better(good, bad)
    assert not over_seeds.one_is_better(good, other)


def test_a_difference_lasts_if_it_is_spread_over_many_images() -> None:
    seeds = list(range(5))
    few, many = (dict.fromkeys(range(n), (3, 5)) for n in (2, 40))
    right = runs_with(errors=[{99: (4, 9)}] * 5, seed=seeds)
    found = {}
    for name, errors in {"few": few, "many": many}.items():
        groups = {"ReLU": right, "LReLU": runs_with(errors=[errors] * 5, seed=seeds)}
        found[name] = over_seeds.classes(groups, {})
        assert found[name]["shown_classes"] == [3, 4]  # the same in every seed
    assert (found["few"]["lasting_classes"], found["few"]["lasting_cells"]) == ([], [])
    assert (found["many"]["lasting_classes"], found["many"]["lasting_cells"]) == ([3], [(3, 5)])
    gaps = over_seeds.by_image(right[:1], runs_with(errors=[few]), 3, 5)
    assert gaps.tolist() == [[-1.0, -1.0]]


def test_usual_confusions_are_means_over_runs() -> None:
    group = runs_with(errors=[{0: (4, 9), 1: (4, 9)}, {0: (4, 9), 2: (5, 3)}])
    assert over_seeds.usual_confusions(group) == [(4, 9, 1.5), (5, 3, 0.5)]


def test_curves_and_best_images_over_seeds_are_those_of_the_runs() -> None:
    curves = over_seeds.curves(PAIR)
    assert curves["n"] == 30
    first = PAIR["LReLU"][0].history
    assert first
    assert curves["validation"]["LReLU"][0].tolist() == first.validation_loss
    assert [gap.mean for gap in curves["gaps"]["validation"]] == [0.0] * 21  # all alike, made up
    assert curves["higher"] == {"train": False, "validation": False}
    assert curves["settled"]["ReLU"] == curves["settled"]["LReLU"]
    surer = {digit: [(k, -1e-9) for k in range(3)] for digit in range(10)}
    odd = surer | {0: [(0, -1e-12), (1, -1e-9), (2, -1e-9)]}
    groups = {"ReLU": runs_with(top3=[odd, odd], seed=[0, 1])}
    groups["LReLU"] = runs_with(top3=[surer, surer], seed=[0, 1])
    found = over_seeds.best_images(groups, {})
    assert (found["relu_surer"], found["most"], found["both"]["one_seed"]) == (1.0, 0, 30)
