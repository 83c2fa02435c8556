"""The checks that compare: a submission with its re-run, results with results, study with study."""

import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from mnist_mlp.study import STUDY_FILE, read, to_line
from mnist_tools import shown
from mnist_tools.shown import Side

NAMES = {"ReLU": r"(?<!L)ReLU", "LReLU": "LReLU"}  # and how a text mentions them
TOLERANCE = {"test_accuracy": 0.0025, "validation_accuracy": 0.003, "train_accuracy": 0.003}
CURVE_TOLERANCE = {"loss": 0.1, "accuracy": 0.03}  # at any epoch; seeds differ by half of this
LOSSES = ["train_loss", "validation_loss"]
CURVES = [*LOSSES, "train_accuracy", "validation_accuracy"]
Problems = Iterator[str]
Runs = dict[str, Any]


def stated(letter: str, run: dict[str, Any]) -> list[tuple[float, ...]]:
    """Return what the text of a section must say about a run, each in one of these ways."""
    if letter == "a":  # as a fraction, or as a count that is not the one of all images
        right, n = np.trace(run["confusion_matrix"]), np.sum(run["confusion_matrix"])
        return [(run["test_accuracy"], right) if right < n else (run["test_accuracy"],)]
    if letter == "b":
        images = [image for best in run["top3"].values() for image in best]
        return [(i["probability"], -math.expm1(i["log_probability"])) for i in images]
    return [(run["validation_loss"], *(loss for key in LOSSES for loss in run["history"][key]))]


def compared_exactly(old: Runs, new: Runs) -> bool:
    """Whether over half of the losses are the same: one machine, one arithmetic."""
    try:
        before, after = (
            [r[name]["history"][k] for name in NAMES for k in LOSSES] for r in (old, new)
        )
        return bool(np.mean(np.equal(before, after)) > 0.5)
    except (LookupError, TypeError, ValueError):  # no such curves, which costs other points
        return False


def agreement_problems(submitted: Side, again: Side) -> Problems:
    """Whether two results agree: exactly where the losses do, else within the tolerance."""
    old, new = submitted.results, again.results
    for key in sorted((old | new).keys() - {"runs"}):
        if old.get(key) != new.get(key):
            yield f"{key}: 제출 {old.get(key)}, 재실행 {new.get(key)}"
    yield from run_differences(old["runs"], new["runs"], ("제출", "재실행"))


def run_differences(old: Runs, new: Runs, labels: tuple[str, str]) -> Problems:
    """Name what differs between the runs of two results, exactly or by more than the tolerance."""
    exactly = compared_exactly(old, new)
    for name, after in new.items():
        before = old[name]
        keys = [key for key in before | after if before.get(key) != after.get(key)]
        for key in keys if exactly else distant(before, after):
            known = key in TOLERANCE
            values = f": {labels[0]} {before[key]}, {labels[1]} {after[key]}" if known else ""
            yield f"{name}의 {key}가 다름{values}"


def distant(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Name what differs by more than the tolerance; how often a digit occurs may not at all."""
    for key, tolerance in TOLERANCE.items():
        if not abs(before[key] - after[key]) <= tolerance + 1e-12:  # also if one is not a number
            yield key
    for curve in CURVES:
        a, b = (np.array(run["history"][curve], float) for run in (before, after))
        if not (np.abs(a - b) <= CURVE_TOLERANCE[curve.rpartition("_")[2]]).all():
            yield f"학습 곡선 {curve}"
    if not np.array_equal(*(np.sum(run["confusion_matrix"], axis=1) for run in (before, after))):
        yield "혼동 행렬 행의 합"


def text_problems(submitted: Side, again: Side) -> Problems:
    """Whether the submitted outputs are those of these results and, on one machine, this code."""
    old_runs, new_runs = (side.results["runs"] for side in (submitted, again))
    for letter in "abc":
        said = shown.numbers(shown.markdown(shown.section(submitted.nb, letter)))
        for name, run in old_runs.items():
            missing = [ways for ways in stated(letter, run) if not shown.states(said, *ways)]
            if missing:
                yield f"({letter})의 글에 {name}의 {missing[0][0]} 등 수치 {len(missing)}개가 없음"
    if not compared_exactly(old_runs, new_runs):
        return  # another machine: the numbers in the text are others
    for old, new in zip(shown.code_cells(submitted.nb), shown.code_cells(again.nb), strict=True):
        where = shown.place(submitted.nb, old)
        words = zip_longest(shown.words(old), shown.words(new), fillvalue="(없음)")
        if different := next((pair for pair in words if pair[0] != pair[1]), None):
            yield f"{where}의 출력: 제출 {different[0]!r}, 재실행 {different[1]!r}"
        if not shown.same_pictures(old, new):
            yield f"{where}의 그림이 재실행과 다름"


def study_problems(path: Path) -> Problems:
    """Whether a stored study is the grader's own."""
    if not path.is_file():
        yield f"{path.name}이 없음"
        return
    theirs, own = ({run.task: to_line(run) for run in read(file)} for file in (path, STUDY_FILE))
    if other := [task for task in theirs | own if theirs.get(task) != own.get(task)]:
        name = f"{other[0].implementation} {other[0].recipe.label} 시드 {other[0].seed}"
        yield f"채점기의 것과 다른 실행 {len(other)}개: {name} 등"
