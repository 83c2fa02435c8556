"""Every sentence of the comparison over seeds follows the rows, whichever way they point."""

from dataclasses import replace
from pathlib import Path

import pytest
from made_up import result, study_file

from mnist_mlp import study_commentary as findings
from mnist_mlp import study_plan
from mnist_mlp.evaluation import mean_interval
from mnist_mlp.study_plan import Task
from mnist_mlp.study_rows import (
    by_alpha,
    by_recipe,
    dead_unit_curves,
    paired,
    read_rows,
    stress_results,
)


def shifted(by: float, measure: str = "test_accuracy") -> dict[str, object]:
    return {measure: 0.986 + by}


def verdicts(path: Path, lrelu_gain: float, noise: float) -> tuple[str, str, str]:
    """Return differences, claims and conclusion for a study in which LReLU gains this much."""

    def measure(task: Task) -> dict[str, object]:
        wobble = noise * (-1) ** task.seed * task.recipe.alpha
        return shifted(lrelu_gain * (task.recipe.alpha > 0) + wobble + 1e-5 * task.seed)

    rows = read_rows(study_file(path / "study.csv", measure))
    test = by_alpha(rows, "numpy", "test_accuracy")
    first = by_alpha(rows, "numpy", "first_validation_accuracy")
    errors = by_alpha(rows, "numpy", "errors")
    difference = paired(test)
    interval = mean_interval(difference["LReLU(0.1)"].to_numpy())
    claims = findings.claims(
        "numpy", result("ReLU", {}), result("LReLU", {0: 6}), interval,
        mean_interval(paired(first)["LReLU(0.1)"].to_numpy()), list(errors["ReLU"]),
        (errors["ReLU"].iloc[0], errors["LReLU(0.1)"].iloc[0]), 0.001,
    )  # fmt: skip
    ladder = by_recipe(rows, study_plan.LADDER, "validation_accuracy")
    gain = ladder["+ dropout"] - ladder["SGD"]
    conclusion = findings.conclusion("LReLU(0.1)", interval, test["ReLU"], gain)
    return "\n".join(findings.differences(difference)), claims, conclusion


def test_lrelu_better(tmp_path: Path) -> None:
    differences, claims, conclusion = verdicts(tmp_path, lrelu_gain=0.002, noise=0.0001)
    assert differences.count("LReLU(0.1)가 ReLU보다 낫다") == 1
    assert "+0.200%p" in differences
    assert "(0.9701 대 0.9682) | **반박**" in claims
    assert "LReLU(0.1)가 낫다" in conclusion


def test_relu_better(tmp_path: Path) -> None:
    differences, claims, conclusion = verdicts(tmp_path, lrelu_gain=-0.002, noise=0.0001)
    assert "ReLU가 LReLU(0.1)보다 낫다" in differences
    assert "−0.200%p" in differences
    assert "(0.9701 대 0.9682) | **확인**" in claims
    assert "ReLU가 낫다" in conclusion
    assert "LReLU(0.1)가 낫다" not in conclusion


def test_undecided(tmp_path: Path) -> None:
    differences, claims, conclusion = verdicts(tmp_path, lrelu_gain=0.0, noise=0.01)
    assert "보다 낫다" not in differences
    assert differences.count("차이가 있다고 할 수 없다") == 3
    assert "(0.9701 대 0.9682) | **판정 불가**" in claims
    assert "가려지지 않는다" in conclusion


@pytest.mark.parametrize(
    ("stored", "expected"),
    [([1.0, 0.995], "정확히 같다"), ([0.999, 0.995], "최대 0.10%p"), ([0.9, 0.995], "주의"),
     ([None, None], "견줄 행이 없다")],
)  # fmt: skip
def test_the_live_run_is_held_against_the_stored_row(
    stored: list[float | None], expected: str
) -> None:
    pair = [result("ReLU", {}), result("LReLU", {0: 6})]
    assert expected in findings.live_against_stored(pair, stored)


def test_dead_units_decide_what_is_said_about_them(tmp_path: Path) -> None:
    few = dead_unit_curves(read_rows(study_file(tmp_path / "a.csv", lambda t: {})))
    assert "문제가 되지 않으므로" in findings.dead_units(few)

    def many(task: Task) -> dict[str, object]:
        layer = "|".join("0.4" for _ in task.recipe.hidden)
        return {"dead_units": " ".join([layer] * (task.recipe.epochs + 1))}

    rows = read_rows(study_file(tmp_path / "b.csv", many))
    text = findings.dead_units(dead_unit_curves(rows))
    assert "40.00%" in text
    assert "문제가 되지 않으므로" not in text


def test_stress_says_who_is_better_and_who_diverged(tmp_path: Path) -> None:
    def measure(task: Task) -> dict[str, object]:
        if task.recipe == replace(study_plan.STRESS["학습률 4배"], alpha=0.3):
            return {"diverged_after": 1, "test_accuracy": ""}
        if task.recipe.hidden == (8,) * 8:
            return {"validation_accuracy": 0.3 + task.recipe.alpha + 0.001 * task.seed}
        return {}

    stress = stress_results(read_rows(study_file(tmp_path / "study.csv", measure)))
    text, table = findings.stress(stress), findings.stress_table(stress)
    assert "| 더 좁은 망 (8 × 8층) | LReLU(0.3) − ReLU | +30.000%p" in text
    assert "**LReLU(0.3)가 낫다**" in text
    assert "차이가 드러난 설정은" in text
    assert "발산: LReLU(0.3) 5회, ReLU 0회" in text
    assert "발산 5/5" in table


def test_the_chosen_recipe_is_the_best_of_the_search_on_validation_data() -> None:
    rows = read_rows()
    relu = by_recipe(rows, study_plan.SEARCH, "validation_accuracy")
    leaky = by_recipe(rows, study_plan.LEAKY_FINALISTS, "validation_accuracy")
    finalists = sorted(relu, key=lambda name: -relu[name].mean())[: len(leaky)]
    assert set(finalists) == set(leaky)
    best = max(leaky, key=lambda name: (relu[name] + leaky[name]).mean())
    assert study_plan.SEARCH[best] == study_plan.CHOSEN


def test_the_committed_study_is_whole_and_reaches_the_required_accuracy() -> None:
    rows = read_rows()
    stored = set(zip(rows["framework"], rows["recipe_hash"], rows["seed"], strict=True))
    assert stored == {(t.framework, t.recipe.digest(), t.seed) for t in study_plan.plan()}
    test = by_alpha(rows, "numpy", "test_accuracy")
    for name in ("ReLU", "LReLU(0.1)"):
        assert len(test[name]) >= 10
        assert test[name].mean() >= 0.9855
