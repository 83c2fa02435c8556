"""Every sentence of the comparison over seeds follows the rows, whichever way they point."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from made_up import result, study_file

from mnist_mlp import conclusions, study_plan
from mnist_mlp import study_commentary as findings
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
    stress = stress_results(rows)
    claims = conclusions.claims(
        "numpy", result("ReLU", {}), result("LReLU", {0: 6}), interval,
        mean_interval(paired(first)["LReLU(0.1)"].to_numpy()), list(errors["ReLU"]),
        list(errors["LReLU(0.1)"]), 0.001, stress,
    )  # fmt: skip
    ladder = by_recipe(rows, study_plan.LADDER, "validation_accuracy")
    gain = ladder["+ dropout"] - ladder["SGD"]
    conclusion = conclusions.conclusion("LReLU(0.1)", difference, test["ReLU"], gain, stress)
    return "\n".join(findings.differences(difference)), claims, conclusion


def test_lrelu_better(tmp_path: Path) -> None:
    differences, claims, conclusion = verdicts(tmp_path, lrelu_gain=0.002, noise=0.0001)
    assert differences.count("LReLU(0.1)가 ReLU보다 낫다") == 1
    assert "+0.200%p" in differences
    assert "(0.9701 대 0.9682) | **반박**" in claims
    assert "LReLU(0.1)가 ReLU보다 낫다" in conclusion


def test_relu_better(tmp_path: Path) -> None:
    differences, claims, conclusion = verdicts(tmp_path, lrelu_gain=-0.002, noise=0.0001)
    assert "ReLU가 LReLU(0.1)보다 낫다" in differences
    assert "−0.200%p" in differences
    assert "(0.9701 대 0.9682) | **확인**" in claims
    assert "ReLU가 LReLU(0.1)보다 낫다" in conclusion
    assert "LReLU(0.1)가 ReLU보다 낫다" not in conclusion


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
    few = dead_unit_curves(read_rows(study_file(tmp_path / "a.csv", lambda t: {})), "numpy")
    assert "줄일 수 있는 죽은 유닛도 적다" in findings.dead_units(few)

    def many(task: Task) -> dict[str, object]:
        layer = "|".join("0.4" for _ in task.recipe.hidden)
        return {"dead_units": " ".join([layer] * (task.recipe.epochs + 1))}

    rows = read_rows(study_file(tmp_path / "b.csv", many))
    text = findings.dead_units(dead_unit_curves(rows, "numpy"))
    assert "40.00%" in text
    assert "죽은 유닛도 적다" not in text


def test_stress_says_who_is_better_and_who_diverged(tmp_path: Path) -> None:
    def measure(task: Task) -> dict[str, object]:
        if task.recipe == replace(study_plan.STRESS["학습률 4배"], alpha=0.3):
            return {"diverged_after": 1, "test_accuracy": ""}
        if task.recipe.hidden == (8,) * 8:
            return {"validation_accuracy": 0.3 + task.recipe.alpha + 0.001 * task.seed}
        return {}

    stress = stress_results(read_rows(study_file(tmp_path / "study.csv", measure)))
    text, table = findings.stress(stress), findings.stress_table(stress)
    row = "| 더 좁은 망 (8×8층) | LReLU(0.3) − ReLU | +30.0%p ~ +30.0%p | 높음 5"
    assert row in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "**모두 LReLU(0.3)**" in text
    assert "LReLU(0.3)가 ReLU보다 나은 설정: 더 좁은 망 (8×8층)" in text
    assert "ReLU가 LReLU(0.3)보다 나은 설정: 학습률 4배" in text  # the one that finishes
    assert "발산 LReLU(0.3) 5 / ReLU 0: **모두 ReLU**" in text
    assert "발산\N{NO-BREAK SPACE}5/5" in table
    assert "30.2%\N{NO-BREAK SPACE}[30.0,\N{NO-BREAK SPACE}30.4]" in table


def test_the_claim_that_neither_always_wins_needs_a_case_for_each(tmp_path: Path) -> None:
    def claim(measure: Callable[[Task], dict[str, object]]) -> str:
        rows = read_rows(study_file(tmp_path / "study.csv", measure))
        errors = by_alpha(rows, "numpy", "errors")["ReLU"]
        table = conclusions.claims(
            "numpy", result("ReLU", {}), result("LReLU", {}), mean_interval([0.0, 0.1]),
            mean_interval([0.0, 0.1]), list(errors), list(errors), 0.001,
            stress_results(rows),
        )  # fmt: skip
        return next(line for line in table.splitlines() if "항상 더 좋다고" in line)

    def lrelu_everywhere(task: Task) -> dict[str, object]:
        return {"validation_accuracy": 0.9 + 0.1 * task.recipe.alpha}

    def both_ways(task: Task) -> dict[str, object]:
        sign = -1 if task.recipe == replace(study_plan.SHORT, alpha=0.3) else 1
        return {"validation_accuracy": 0.9 + 0.1 * sign * task.recipe.alpha}

    assert "**판정 불가**" in claim(lrelu_everywhere)
    text = claim(both_ways)
    assert "**확인**" in text
    assert (
        "ReLU가 LReLU(0.3)보다 나은 설정(512-256)과 LReLU(0.3)가 ReLU보다 나은 설정(학습률" in text
    )


def test_many_dead_units_need_not_hurt(tmp_path: Path) -> None:
    def measure(task: Task) -> dict[str, object]:
        layer = "|".join("0.4" for _ in task.recipe.hidden)
        return {"dead_units": " ".join([layer] * (task.recipe.epochs + 1))}

    rows = read_rows(study_file(tmp_path / "study.csv", measure))
    assert "유닛의 40%가 죽고도" in findings.stress(stress_results(rows))
    few = read_rows(study_file(tmp_path / "few.csv", lambda task: {}))
    assert "죽고도" not in findings.stress(stress_results(few))


def test_comparing_all_at_once_widens_the_intervals(tmp_path: Path) -> None:
    clear = {n: pd.Series([0.01, 0.0101, 0.0099, 0.01]) for n in ("LReLU(0.1)", "LReLU(0.3)")}
    assert "0을 벗어나는 것은 LReLU(0.1), LReLU(0.3)이다" in findings.together(clear)
    edge = pd.Series([0.5, 1.0, 2.0, 2.5])
    assert mean_interval(edge.tolist()).excludes_zero  # alone
    text = findings.together({"LReLU(0.1)": edge, "LReLU(0.3)": edge})
    assert "97.5%로 높이면" in text
    assert "0을 벗어나는 구간이 없다" in text


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
