"""The study's file: what it holds, what it refuses, and what is found in it."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import stored_run, study_runs

from mnist_mlp import study
from mnist_mlp.recipe import Recipe
from mnist_mlp.study import CHOSEN, LADDER, StudyError, Task, by_label, plan, read, stored, to_line

NEW = stored_run(Task("numpy", CHOSEN, 1))  # has every optional field
OPTIONAL = ("history", "top3", "expected_calibration_error", "loss_right", "loss_wrong")
OLD = replace(NEW, seed=0, **dict.fromkeys(OPTIONAL))  # type: ignore[arg-type]
NAN = float("nan")
DIVERGED = replace(OLD, seed=2, diverged_after=3, test_loss=NAN, test_accuracy=NAN, errors={})


@pytest.fixture(scope="module")
def committed() -> list[study.StoredRun]:
    return read()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file of three lines: an old run, one with every field, and one that diverged."""
    path = tmp_path / "study.jsonl"
    path.write_text("".join(map(to_line, (OLD, NEW, DIVERGED))))
    return path


# ---- the plan and the committed file


def test_the_committed_study_is_the_plan_in_its_order_and_form(committed: Any) -> None:
    tasks = plan()
    assert [run.task for run in committed] == tasks
    assert "".join(map(to_line, committed)) == study.STUDY_FILE.read_text()
    for implementation, alphas in (("numpy", (0.0, 0.01, 0.1, 0.3)), ("torch", (0.0, 0.1, 0.3))):
        compared = {Task(implementation, Recipe(alpha=a), s) for a in alphas for s in range(10)}
        assert compared <= set(tasks)


def test_the_committed_runs_hold_what_the_report_reads_from_them(committed: Any) -> None:
    for run in committed:
        if replace(run.recipe, alpha=CHOSEN.alpha) == CHOSEN:
            assert run.top3
            # The test set has 10,000 images: the errors are those of the accuracy.
            assert len(run.errors) == round(10_000 * (1 - run.test_accuracy))
            assert run.history
        elif run.recipe in study.PACED.values():
            assert run.history


def test_the_chosen_recipe_is_the_best_of_the_search_on_validation_data_and_good_enough(
    committed: Any,
) -> None:
    def means(recipes: dict[str, Recipe]) -> dict[str, float]:
        groups = by_label(committed, "numpy", recipes).items()
        return {name: float(np.mean([r.validation_accuracy for r in g])) for name, g in groups}

    relu, lrelu = means(study.SEARCH), means(study.FINALISTS)
    assert set(sorted(relu, key=lambda name: -relu[name])[: len(lrelu)]) == set(lrelu)
    best = max(lrelu, key=lambda name: relu[name] + lrelu[name])
    assert study.SEARCH[best] == CHOSEN
    for group in by_label(committed, "numpy", study.PAIR).values():
        assert np.mean([run.test_accuracy for run in group]) >= 0.985


def test_a_defaulted_field_added_to_recipe_finds_every_stored_run(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass(frozen=True)
    class Grown(Recipe):
        shape: str = "plain"

    monkeypatch.setattr(study, "Recipe", Grown)
    runs = read(path)
    assert stored(runs, "numpy", "mnist", Grown(), 0) == runs[0]
    assert stored(runs, "numpy", "mnist", Grown(shape="fancy"), 0) is None


# ---- lines


def test_a_line_explains_itself_in_strict_json_and_comes_back_as_it_was_written(path: Path) -> None:
    *finished, of_diverged = read(path)
    assert finished == [OLD, NEW]
    assert to_line(of_diverged) == to_line(DIVERGED)  # NaN equals nothing
    assert "NaN" not in path.read_text()
    old, new, diverged = map(json.loads, path.read_text().splitlines())
    assert old["recipe"] == asdict(CHOSEN) | {"hidden": [512, 256]}
    assert old["errors"] == {str(image): [*classes] for image, classes in OLD.errors.items()}
    assert new["history"]["train_loss"] == NEW.history.train_loss  # type: ignore[union-attr]
    assert new["top3"]["9"] == [[*image] for image in NEW.top3[9]]  # type: ignore[index]
    assert set(new) - set(old) == set(OPTIONAL)
    assert diverged["test_accuracy"] is None


def changed(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda line: json.dumps(json.loads(line) | fields).encode() + b"\n"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda line: b"\xff{}\n",
    "a recipe out of range": changed(recipe={"alpha": -1}),
    "another field": lambda line: line.replace(b'"seed"', b'"seeds"'),
    "another implementation": changed(implementation="jax"),
    "a negative seed": changed(seed=-1),
    "text for a number": changed(test_accuracy="0.9x"),
    "a finished run without a measure": changed(validation_loss=None),
    "errors without the true class": changed(errors={"7": 3}),
    "half a curve": changed(history={"train_loss": [1.0], "loss": [1.0]}),
    "a top 3 without numbers": changed(top3={"0": [[1]]}),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_line_is_refused_by_its_number(
    change: Callable[[bytes], bytes], path: Path
) -> None:
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + change(second) + third)
    with pytest.raises(StudyError, match=rf"{path}, line 2: damaged or edited \(.+\); delete"):
        read(path)


def test_a_last_line_that_was_cut_short_is_left_out(path: Path) -> None:
    content = path.read_bytes()
    for cut in (1, 100):
        path.write_bytes(content[:-cut])
        assert read(path) == [OLD, NEW]


def test_the_same_line_twice_counts_once_and_another_result_is_refused(path: Path) -> None:
    content = path.read_text()
    path.write_text(content * 2)
    assert len(read(path)) == 3
    path.write_text(content + to_line(replace(OLD, test_accuracy=0.5)))
    with pytest.raises(StudyError, match="line 4: another result"):
        read(path)
    path.unlink()
    with pytest.raises(StudyError, match="run `make study` first"):
        read(path)


# ---- selections


def test_runs_come_in_the_order_of_their_seeds_and_groups_have_the_same_ones() -> None:
    runs = study_runs()[::-1]
    expected = [Task("torch", CHOSEN, seed) for seed in range(30)]
    assert [run.task for run in study.select(runs, "torch", CHOSEN)] == expected
    with pytest.raises(StudyError, match=r"no torch run of Recipe.*lr=0\.07.*make study"):
        study.select(runs, "torch", Recipe(lr=0.07))
    groups = by_label(runs, "numpy")
    assert list(groups) == ["ReLU", "LReLU(0.01)", "LReLU(0.1)", "LReLU(0.3)"]
    assert {run.recipe.alpha for run in groups["LReLU(0.1)"]} == {0.1}
    ladder = by_label(runs, "numpy", LADDER)  # its last step has ten
    assert all([run.seed for run in group] == list(range(5)) for group in ladder.values())


def test_only_exactly_the_same_training_is_its_stored_run() -> None:
    for dataset, recipe, seed in (
        ("idx-files", CHOSEN, 1),
        ("mnist", CHOSEN, 99),
        ("mnist", Recipe(alpha=0.2), 1),
    ):
        assert stored([NEW], "numpy", dataset, recipe, seed) is None
    assert stored([OLD, NEW], "numpy", "mnist", CHOSEN, 1) is NEW
    assert stored([NEW], "torch", "mnist", CHOSEN, 1) is None


def test_networks_disagree_where_one_is_wrong_or_both_in_another_way() -> None:
    # Both misread image 1 in the same way and image 3 in two ways; image 5 just one of them.
    one = replace(OLD, errors={1: (0, 2), 3: (0, 4), 5: (0, 6)})
    other = replace(OLD, errors={1: (0, 2), 3: (0, 5)})
    assert study.disagreements(one, other) == 2
