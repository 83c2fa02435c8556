"""The seed study: the same file whatever interrupts it, and nothing in it that does not belong.

``TORTURE=1`` kills the study twenty times instead of once, also at any moment.
"""

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster
from torture_data import CASES

from mnist_mlp import scratch, study, study_plan, study_rows
from mnist_mlp.data import load
from mnist_mlp.evaluation import evaluate_run
from mnist_mlp.recipe import Recipe
from mnist_mlp.study import finished_lines, run_study
from mnist_mlp.study_plan import Task, plan
from mnist_mlp.study_rows import COLUMNS, StudyError, read_rows

DIGITS = "sklearn-digits"
SMALL = Recipe(hidden=(16, 8), epochs=1, batch_size=100)
LONGER = Recipe(hidden=(256, 64), epochs=2, batch_size=20)  # a third of a second
PAIRS = [Task("numpy", replace(LONGER, alpha=a), s, DIGITS) for s in range(4) for a in (0.0, 0.3)]
TASKS = [
    *PAIRS,
    Task("torch", replace(SMALL, alpha=0.3), 0, DIGITS),
    Task("numpy", replace(SMALL, lr=1e6), 0, DIGITS),  # diverges in the first epoch
    Task("numpy", replace(SMALL, init_gain=1e30), 0, DIGITS),  # and before it
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of a study of TASKS that nothing disturbed."""
    path = tmp_path_factory.mktemp("study") / "study.csv"
    run_study(TASKS, path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, uninterrupted: bytes) -> Path:
    """Return a copy of that file."""
    path = tmp_path / "study.csv"
    path.write_bytes(uninterrupted)
    return path


def complete_rows(path: Path) -> set[bytes]:
    """Return the rows in a file that end with a newline."""
    content = path.read_bytes() if path.exists() else b""
    return {line for line in content.splitlines(keepends=True)[1:] if line.endswith(b"\n")}


# ---- one file, whatever happens


def test_a_study_has_one_row_for_each_task_in_the_order_of_the_plan(path: Path) -> None:
    rows = read_rows(path)
    assert list(rows.columns) == COLUMNS
    found = list(
        zip(rows["framework"], rows["recipe_hash"], rows["seed"], rows["dataset"], strict=True)
    )
    assert found == [task.key for task in TASKS]


def test_a_study_that_is_run_again_trains_nothing_and_keeps_every_byte(
    path: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(study, "run_task")
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


def test_a_study_from_the_beginning_gives_the_same_bytes(
    tmp_path: Path, uninterrupted: bytes
) -> None:
    run_study(TASKS, tmp_path / "folder" / "again.csv")
    assert (tmp_path / "folder" / "again.csv").read_bytes() == uninterrupted


def test_rows_in_any_order_are_completed_to_the_same_file(path: Path, uninterrupted: bytes) -> None:
    header, *rows = uninterrupted.splitlines(keepends=True)
    path.write_bytes(header + b"".join(reversed(rows[3:])))
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


@pytest.mark.parametrize(
    "left", [1, 200, -2, -1], ids=["1 byte", "200 bytes", "most", "no newline"]
)
def test_a_half_written_last_row_is_dropped_and_trained_again(
    left: int, path: Path, uninterrupted: bytes
) -> None:
    *before, last = uninterrupted.splitlines(keepends=True)
    path.write_bytes(b"".join(before) + last[:left])
    assert len(read_rows(path)) == len(TASKS) - 1
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


def test_a_file_cut_at_any_byte_keeps_exactly_its_complete_rows(
    path: Path, uninterrupted: bytes
) -> None:
    header, first, second = uninterrupted.splitlines(keepends=True)[:3]
    for cut in range(len(header), len(header + first + second) + 1, 97):
        path.write_bytes((header + first + second)[:cut])
        rows = complete_rows(path)
        assert {line.encode() for line in finished_lines(path, TASKS).values()} == rows
        assert path.read_bytes().endswith(b"\n")  # the next row begins on a line of its own
        assert complete_rows(path) == rows


def test_an_empty_file_is_begun(path: Path) -> None:
    path.write_bytes(b"")
    assert finished_lines(path, TASKS) == {}
    assert path.read_text() == ",".join(COLUMNS) + "\n"


def test_the_same_row_twice_counts_once(path: Path, uninterrupted: bytes) -> None:
    path.write_bytes(uninterrupted + uninterrupted.splitlines(keepends=True)[2])
    assert len(read_rows(path)) == len(TASKS)
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


def test_a_second_study_of_the_same_file_is_refused(path: Path, uninterrupted: bytes) -> None:
    with (
        study.only_study(path.parent),
        pytest.raises(StudyError, match=f"another study is at work in {path.parent}"),
    ):
        run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


def start_study(path: Path) -> subprocess.Popen[bytes]:
    """Run this file as a program: a study of PAIRS in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, path], stdout=subprocess.DEVNULL, start_new_session=True
    )


def test_a_study_killed_at_random_moments_ends_with_the_same_file(
    tmp_path: Path, uninterrupted: bytes
) -> None:
    expected = b"".join(uninterrupted.splitlines(keepends=True)[: 1 + len(PAIRS)])
    path, kept = tmp_path / "study.csv", set[bytes]()
    started = time.monotonic()
    assert start_study(path).wait() == 0
    duration = time.monotonic() - started
    assert path.read_bytes() == expected
    path.unlink()

    moments = random.Random(0)  # noqa: S311
    kills = 20 if os.environ.get("TORTURE") else 1
    while kills:
        process = start_study(path)
        if kills % 2:  # while rows are being written
            while process.poll() is None and complete_rows(path) == kept:
                time.sleep(0.01)
            time.sleep(moments.uniform(0, 0.3))
        else:  # at any moment, that of starting included
            time.sleep(moments.uniform(0, duration))
        if process.poll() is None:
            process.kill()
            process.wait()
            kills -= 1
            CASES["test_a_study_killed_at_random_moments_ends_with_the_same_file"] += 1
            with contextlib.suppress(ProcessLookupError):  # the workers that it left behind
                os.killpg(process.pid, signal.SIGKILL)
            assert kept <= complete_rows(path) <= set(expected.splitlines(keepends=True))
            kept = complete_rows(path)
        else:  # it was faster: begin again, so that every kill hits a study at work
            assert process.returncode == 0
            assert path.read_bytes() == expected
            path.unlink()
            kept = set()
    assert start_study(path).wait() == 0
    assert path.read_bytes() == expected


def test_a_local_worker_that_is_killed_is_one_message_and_loses_no_finished_run(
    path: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"".join(uninterrupted.splitlines(keepends=True)[:4]))
    finished, run_task = complete_rows(path), study.run_task

    def run_or_die(task: Task) -> dict[str, Any]:
        if task.key == TASKS[5].key:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_task(task)

    with monkeypatch.context() as patch:
        patch.setattr(study, "run_task", run_or_die)
        with pytest.raises(StudyError, match=r"killed.*run the same command again"):
            run_study(TASKS, path)
    assert finished <= complete_rows(path) <= set(uninterrupted.splitlines(keepends=True))
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


# ---- on a Dask cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Start two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


def kill_a_busy_worker_after_the_first_run(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Arrange a SIGKILL; the address of the worker that it hit is put into the list."""
    killed: list[str] = []
    progress = study.progress

    def kill_once(row: dict[str, Any]) -> str:
        if not killed:
            with Client(cluster, set_as_default=False) as client:
                pids = client.run(os.getpid)
                killed.append(next(worker for worker, runs in client.processing().items() if runs))
            os.kill(pids[killed[0]], signal.SIGKILL)
        return progress(row)

    monkeypatch.setattr(study, "progress", kill_once)
    return killed


def test_a_dask_cluster_of_two_processes_gives_the_same_file(
    tmp_path: Path, uninterrupted: bytes, cluster: LocalCluster
) -> None:
    run_study(TASKS, tmp_path / "study.csv", cluster.scheduler_address)
    assert (tmp_path / "study.csv").read_bytes() == uninterrupted


def test_a_dask_worker_that_is_killed_loses_no_run_and_doubles_none(
    tmp_path: Path, uninterrupted: bytes, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kill_a_busy_worker_after_the_first_run(cluster, monkeypatch)
    run_study(TASKS, tmp_path / "study.csv", cluster.scheduler_address)
    assert killed
    assert (tmp_path / "study.csv").read_bytes() == uninterrupted


def test_a_run_that_dask_gives_up_is_one_message_and_loses_no_finished_run(
    tmp_path: Path, uninterrupted: bytes, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.csv"
    with monkeypatch.context() as patch:
        patch.setattr(cluster.scheduler, "allowed_failures", 0)  # Dask's own limit is 3 deaths
        kill_a_busy_worker_after_the_first_run(cluster, patch)
        with pytest.raises(StudyError, match=r"Dask cluster .* run the same command again"):
            run_study(TASKS, path, cluster.scheduler_address)
    finished = complete_rows(path)
    assert finished
    assert finished <= set(uninterrupted.splitlines(keepends=True))
    run_study(TASKS, path, cluster.scheduler_address)
    assert path.read_bytes() == uninterrupted


# ---- what does not belong in the file


def refused(path: Path, message: str, tasks: list[Task] = TASKS) -> None:
    """Check that the study refuses the file with a message, and leaves it as it was."""
    before = path.read_bytes()
    with pytest.raises(StudyError, match=message) as caught:
        run_study(tasks, path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "changed",
    [
        replace(TASKS[0], recipe=replace(LONGER, lr=0.07)),
        replace(TASKS[0], seed=99),
        replace(TASKS[0], framework="torch"),
        replace(TASKS[0], dataset="mnist"),
    ],
    ids=["recipe", "seed", "framework", "dataset"],
)
def test_rows_of_another_study_are_refused(changed: Task, path: Path) -> None:
    refused(path, "holds 1 of .* does not contain", [changed, *TASKS[1:]])


def edit(path: Path, line: int, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Change the cells of one line, counted as an editor does, the header being line 1."""
    lines = path.read_text().splitlines(keepends=True)
    cells = dict(zip(COLUMNS, next(csv.reader([lines[line - 1]])), strict=True))
    lines[line - 1] = study.csv_line(list(change(cells).values()))
    path.write_text("".join(lines))


@pytest.mark.parametrize(
    "recipe",
    [
        "{}",
        "not JSON",
        "null",
        "[]",
        '{"hidden": null}',
        '{"hidden": [256, 64], "unknown": 1}',
        '{"hidden": [256, 64], "alpha": -1}',
    ],
)
def test_a_row_whose_recipe_is_no_recipe_is_refused(recipe: str, path: Path) -> None:
    edit(path, 4, lambda cells: cells | {"recipe": recipe})
    refused(path, "line 4: damaged or edited")


@pytest.mark.parametrize(
    "field", ["alpha", "epochs", "batch_size", "lr", "momentum", "weight_decay", "hidden_dropout"]
)
def test_a_row_whose_recipe_was_edited_is_refused(field: str, path: Path) -> None:
    def change(cells: dict[str, str]) -> dict[str, str]:
        recipe = json.loads(cells["recipe"])
        return cells | {"recipe": json.dumps(recipe | {field: recipe[field] / 2 + 0.25})}

    edit(path, 3, change)
    refused(path, "line 3: damaged or edited")


@pytest.mark.parametrize(
    "change",
    [
        {"recipe_hash": "0" * 12},
        {"alpha": "0.25"},
        {"alpha": "zero"},
        {"seed": "one"},
        {"test_accuracy": "0.9x"},
        {"validation_loss": "\0\0\0"},
    ],
)
def test_a_row_with_a_damaged_cell_is_refused(change: dict[str, str], path: Path) -> None:
    edit(path, 3, lambda cells: cells | change)
    refused(path, "line 3: damaged or edited")


def test_a_row_with_too_few_or_too_many_cells_is_refused(path: Path, uninterrupted: bytes) -> None:
    header, first, second, *_ = uninterrupted.splitlines(keepends=True)
    for damaged in (b"numpy\n", b"\n", first[: len(first) // 2] + second, b"x," + second):
        path.write_bytes(header + first + damaged)
        refused(path, "line 3: damaged or edited")


def test_bytes_that_are_no_text_are_refused(path: Path, uninterrupted: bytes) -> None:
    header, first, *_ = uninterrupted.splitlines(keepends=True)
    path.write_bytes(header + first + b"\xff\xfe" + first)
    refused(path, "line 3: damaged or edited")


def test_two_results_for_one_run_are_refused(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]))
    edit(path, len(lines) + 1, lambda cells: cells | {"test_accuracy": "0.5"})
    refused(path, f"line {len(lines) + 1}: another result")


def test_a_file_with_other_columns_is_refused(path: Path, uninterrupted: bytes) -> None:
    path.write_bytes(uninterrupted.replace(b"test_accuracy", b"accuracy", 1))
    refused(path, "does not have the study's columns")


def test_a_study_that_was_never_run_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="run `make study` first"):
        read_rows(tmp_path / "study.csv")


def test_a_study_of_mnist_is_not_run_on_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load", lambda *_, **__: load(DIGITS))
    with pytest.raises(StudyError, match="about mnist, but the data found is sklearn-digits"):
        study.run_task(Task("numpy", SMALL, 0, "mnist"))


@pytest.mark.parametrize("how", ["wrong columns", "no data"])
def test_the_command_line_ends_with_one_message_and_no_traceback(
    how: str, path: Path, uninterrupted: bytes, tmp_path: Path
) -> None:
    environment = os.environ | {"MNIST_DIR": str(tmp_path / "nowhere")}
    if how == "wrong columns":
        path.write_bytes(b"a,b\n")
    else:
        path.unlink()
    done = subprocess.run(
        [sys.executable, "-m", "mnist_mlp.study", "--output", path],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("study: ")
    assert "Traceback" not in done.stderr


# ---- what a row says


@pytest.mark.parametrize("index", [0, 1])
def test_a_row_holds_exactly_what_the_run_gave(index: int, path: Path) -> None:
    task, row = TASKS[index], read_rows(path).iloc[index]
    digits = load(DIGITS, seed=task.seed)
    run = scratch.fit(digits, task.recipe, task.seed)
    result = evaluate_run("", run, digits)
    # Equal, not close: the file keeps every digit of a float.
    assert row["test_accuracy"] == result.test_accuracy
    assert row["test_loss"] == result.test_loss
    assert row["train_loss"] == run.history.train_loss[-1]
    assert row["train_accuracy"] == run.history.train_accuracy[-1]
    assert row["validation_loss"] == run.history.validation_loss[-1]
    assert row["validation_accuracy"] == run.history.validation_accuracy[-1]
    assert row["first_train_accuracy"] == run.history.train_accuracy[1]
    assert row["first_validation_accuracy"] == run.history.validation_accuracy[1]
    wrong = {i: int(result.predicted[i]) for i in np.flatnonzero(~result.correct)}
    assert study_rows.mistakes(row["errors"]) == wrong
    dead = [[float(f) for f in epoch.split("|")] for epoch in row["dead_units"].split()]
    assert np.array(dead) == pytest.approx(np.array(run.history.dead_units), abs=1e-6)  # 6 digits


def test_a_run_that_diverged_is_a_row_without_test_results(path: Path) -> None:
    during, before = (row for _, row in read_rows(path).iloc[-2:].iterrows())
    assert (during["diverged_after"], before["diverged_after"]) == (1, 0)
    for row in (during, before):
        assert row[["test_loss", "test_accuracy"]].isna().all()
        assert row["errors"] == ""
    assert np.isfinite(during["train_loss"])  # the epoch before
    assert np.isnan(before["train_loss"])
    assert read_rows(path)["diverged_after"].iloc[:-2].isna().all()


def test_the_plan_holds_the_seeds_that_the_report_needs_each_run_once() -> None:
    tasks = plan()
    assert max(Counter(task.key for task in tasks).values()) == 1
    assert {task.dataset for task in tasks} == {"mnist"}
    runs = {(task.framework, task.recipe, task.seed) for task in tasks}
    needed = (("numpy", (0.0, 0.01, 0.1, 0.3), 10), ("torch", (0.0, 0.3), 5))
    for framework, alphas, seeds in needed:
        for alpha in alphas:
            recipe = replace(Recipe(), alpha=alpha)
            assert {(framework, recipe, seed) for seed in range(seeds)} <= runs
    for recipe in study_plan.LADDER.values():
        assert {("numpy", recipe, seed) for seed in range(5)} <= runs


if __name__ == "__main__":
    run_study(PAIRS, Path(sys.argv[1]))
