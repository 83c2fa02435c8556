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
from mnist_mlp.run import History
from mnist_mlp.study import CHOSEN, LADDER, StudyError, Task, by_label, plan, read, stored, to_line

OLD = replace(
    stored_run(Task("numpy", CHOSEN, 0)),
    history=None,
    top3=None,
    expected_calibration_error=None,
    loss_right=None,
    loss_wrong=None,
)
CURVES = {
    f"{part}_{of}": [2.3, 0.1] for of in ("loss", "accuracy") for part in ("train", "validation")
}
NEW = replace(
    OLD,
    seed=1,
    history=History(**CURVES, dead_units=OLD.dead_units),
    top3={0: [(7, -1.25e-12), (3, -0.5)], 9: [(1, 0.0)]},
    expected_calibration_error=0.0,
    loss_right=0.01,
    loss_wrong=2.5,
)
NAN = float("nan")
DIVERGED = replace(OLD, seed=2, diverged_after=3, test_loss=NAN, test_accuracy=NAN, errors={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file of three lines: an old run, one with every field, and one that diverged."""
    path = tmp_path / "study.jsonl"
    path.write_text("".join(map(to_line, (OLD, NEW, DIVERGED))))
    return path


# ---- the plan and the committed file


def test_the_plan_holds_the_seeds_that_the_report_needs_each_run_once() -> None:
    tasks = plan()
    assert len(set(tasks)) == len(tasks)
    numpy = [Task("numpy", Recipe(alpha=a), s) for a in (0.0, 0.01, 0.1, 0.3) for s in range(10)]
    torch = [Task("torch", Recipe(alpha=a), s) for a in (0.0, 0.1, 0.3) for s in range(10)]
    ladder = [Task("numpy", recipe, s) for recipe in LADDER.values() for s in range(5)]
    smooth = [
        Task("numpy", Recipe(activation=a), s) for a in ("tanh", "sigmoid") for s in range(10)
    ]
    rates = [Task("numpy", Recipe(lr=lr), s) for lr in (0.0125, 0.4) for s in range(3)]
    assert {*numpy, *torch, *ladder, *smooth, *rates} <= set(tasks)


def test_the_committed_study_is_the_plan_in_its_order_and_form() -> None:
    runs = read()
    assert [run.task for run in runs] == plan()
    assert "".join(map(to_line, runs)) == study.STUDY_FILE.read_text()


def test_the_committed_runs_hold_what_the_report_reads_from_them() -> None:
    runs = read()
    for task in plan():
        run = stored(runs, task.implementation, "mnist", task.recipe, task.seed)
        assert run is not None
        if replace(task.recipe, alpha=CHOSEN.alpha) == CHOSEN:
            assert run.history
            assert run.top3
            # The test set has 10,000 images: the errors are those of the accuracy.
            assert len(run.errors) == round(10_000 * (1 - run.test_accuracy))
        elif task.recipe in study.PACED.values():
            assert run.history


def test_the_committed_study_reaches_the_required_accuracy() -> None:
    test = by_label(read(), "numpy")
    for label in ("ReLU", "LReLU(0.1)"):
        assert len(test[label]) >= 10
        assert np.mean([run.test_accuracy for run in test[label]]) >= 0.985


def test_the_chosen_recipe_is_the_best_of_the_search_on_validation_data() -> None:
    def means(recipes: dict[str, Recipe]) -> dict[str, float]:
        groups = by_label(read(), "numpy", recipes)
        return {
            name: float(np.mean([r.validation_accuracy for r in g])) for name, g in groups.items()
        }

    relu, lrelu = means(study.SEARCH), means(study.FINALISTS)
    assert set(sorted(relu, key=lambda name: -relu[name])[: len(lrelu)]) == set(lrelu)
    best = max(lrelu, key=lambda name: relu[name] + lrelu[name])
    assert study.SEARCH[best] == CHOSEN


def test_a_defaulted_field_added_to_recipe_finds_every_stored_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclass(frozen=True)
    class Grown(Recipe):
        shape: str = "plain"

    monkeypatch.setattr(study, "Recipe", Grown)
    runs = read()
    for task in plan():
        recipe = Grown(**asdict(task.recipe))
        assert stored(runs, task.implementation, task.dataset, recipe, task.seed)
        other = replace(recipe, shape="fancy")
        assert not stored(runs, task.implementation, task.dataset, other, task.seed)


# ---- lines


def test_a_run_comes_back_as_it_was_written(path: Path) -> None:
    *finished, diverged = read(path)
    assert finished == [OLD, NEW]
    assert np.isnan([diverged.test_loss, diverged.test_accuracy]).all()
    assert (diverged.diverged_after, diverged.train_loss) == (3, DIVERGED.train_loss)


def test_a_line_explains_itself_in_strict_json(path: Path) -> None:
    assert "NaN" not in path.read_text()
    old, new, diverged = map(json.loads, path.read_text().splitlines())
    assert old["recipe"] == asdict(CHOSEN) | {"hidden": [512, 256]}
    assert old["errors"] == {str(image): [*classes] for image, classes in OLD.errors.items()}
    assert old["dead_units"] == OLD.dead_units
    assert new["history"] == CURVES
    assert new["top3"] == {"0": [[7, -1.25e-12], [3, -0.5]], "9": [[1, 0.0]]}
    optional = {"history", "top3", "expected_calibration_error", "loss_right", "loss_wrong"}
    assert set(new) - set(old) == optional
    assert diverged["test_accuracy"] is None


Row = dict[str, Any]
DAMAGE: dict[str, Callable[[Row], object]] = {
    "no object": lambda row: [row],
    "no recipe": lambda row: row | {"recipe": None},
    "an unknown recipe field": lambda row: row | {"recipe": row["recipe"] | {"unknown": 1}},
    "a recipe out of range": lambda row: row | {"recipe": row["recipe"] | {"alpha": -1}},
    "an unknown field": lambda row: row | {"accuracy": 1.0},
    "a missing field": lambda row: {k: v for k, v in row.items() if k != "seed"},
    "another implementation": lambda row: row | {"implementation": "jax"},
    "a negative seed": lambda row: row | {"seed": -1},
    "text for a number": lambda row: row | {"test_accuracy": "0.9x"},
    "a finished run without a measure": lambda row: row | {"validation_loss": None},
    "errors that are no errors": lambda row: row | {"errors": [1, 2]},
    "errors without the true class": lambda row: row | {"errors": {"7": 3}},
    "half a curve": lambda row: row | {"history": {"train_loss": [1.0], "loss": [1.0]}},
    "a top 3 without numbers": lambda row: row | {"top3": {"0": [[1]]}},
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_line_is_refused_by_its_number(
    change: Callable[[Row], object], path: Path
) -> None:
    first, second, third = path.read_text().splitlines(keepends=True)
    path.write_text(first + json.dumps(change(json.loads(second))) + "\n" + third)
    with pytest.raises(StudyError, match=rf"{path}, line 2: damaged or edited \(.+\); delete"):
        read(path)


@pytest.mark.parametrize("damaged", [b"\n", b"numpy\n", b"\xff\xfe{}\n", '"é"\n'.encode(), b'{"se'])
def test_a_line_that_is_no_json_is_refused_by_its_number(damaged: bytes, path: Path) -> None:
    first, second, third = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + damaged + second + third)
    with pytest.raises(StudyError, match="line 2: damaged or edited"):
        read(path)


def test_a_last_line_that_was_cut_short_is_left_out(path: Path) -> None:
    content = path.read_bytes()
    for cut in (1, 100):
        path.write_bytes(content[:-cut])
        assert read(path) == [OLD, NEW]
    path.write_bytes(b"")
    assert read(path) == []


def test_the_same_line_twice_counts_once_and_another_result_is_refused(path: Path) -> None:
    content = path.read_text()
    path.write_text(content * 2)
    assert len(read(path)) == 3
    path.write_text(content + to_line(replace(OLD, test_accuracy=0.5)))
    with pytest.raises(StudyError, match="line 4: another result"):
        read(path)


def test_a_study_that_was_never_run_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="run `make study` first"):
        read(tmp_path / "study.jsonl")


# ---- selections


def test_the_runs_of_a_recipe_come_in_the_order_of_their_seeds() -> None:
    runs = study_runs()[::-1]
    expected = [Task("torch", CHOSEN, seed) for seed in range(30)]
    assert [run.task for run in study.select(runs, "torch", CHOSEN)] == expected
    with pytest.raises(StudyError, match=r"no torch run of Recipe.*lr=0\.07.*make study"):
        study.select(runs, "torch", Recipe(lr=0.07))


def test_groups_that_are_compared_have_the_same_seeds() -> None:
    groups = by_label(study_runs(), "numpy")
    assert list(groups) == ["ReLU", "LReLU(0.01)", "LReLU(0.1)", "LReLU(0.3)"]
    assert {run.recipe.alpha for run in groups["LReLU(0.1)"]} == {0.1}
    ladder = by_label(study_runs(), "numpy", LADDER)  # its last step has ten
    assert all([run.seed for run in group] == list(range(5)) for group in ladder.values())


def test_only_exactly_the_same_training_is_its_stored_run() -> None:
    runs = study_runs()
    found = stored(runs, "torch", "mnist", CHOSEN, 3)
    assert found is not None
    assert found.task == Task("torch", CHOSEN, 3)
    assert stored(runs, "torch", "idx-files", CHOSEN, 3) is None
    assert stored(runs, "torch", "mnist", CHOSEN, 99) is None
    assert stored(runs, "torch", "mnist", Recipe(alpha=0.2), 3) is None


def test_networks_disagree_where_one_is_wrong_or_both_in_another_way() -> None:
    # Both misread image 1 in the same way and image 3 in two ways; image 5 just one of them.
    one = replace(OLD, errors={1: (0, 2), 3: (0, 4), 5: (0, 6)})
    other = replace(OLD, errors={1: (0, 2), 3: (0, 5)})
    assert study.disagreements(one, other) == 2
