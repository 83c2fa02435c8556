"""The seed study: the same file whatever interrupts it, and nothing in it that does not belong."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from mnist_mlp import scratch
from mnist_mlp.data import load
from mnist_mlp.evaluation import evaluate_run, expected_calibration_error, log_probabilities
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History
from mnist_mlp.study import StoredRun, StudyError, Task, read
from mnist_tools import run_study as study
from mnist_tools.run_study import finished_runs, run_study

DIGITS = "sklearn-digits"
SMALL = Recipe(hidden=(16, 8), epochs=1, batch_size=100)
LONGER = Recipe(hidden=(256, 64), epochs=2, batch_size=20)  # a third of a second
PAIRS = [Task("numpy", replace(LONGER, alpha=a), s, DIGITS) for s in range(4) for a in (0.0, 0.3)]
TASKS = [
    *PAIRS,
    Task("torch", replace(SMALL, alpha=0.3), 0, DIGITS),
    Task("numpy", Recipe(alpha=0.1), 0, DIGITS),
    Task("numpy", replace(SMALL, activation="sigmoid"), 0, DIGITS),
    Task("torch", replace(SMALL, activation="tanh"), 0, DIGITS),
    Task("numpy", replace(SMALL, lr=1e6), 0, DIGITS),  # diverges in the first epoch
    Task("numpy", replace(SMALL, init_gain=1e30), 0, DIGITS),  # and before it
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of a study of TASKS that nothing disturbed."""
    path = tmp_path_factory.mktemp("study") / "study.jsonl"
    run_study(TASKS, path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, uninterrupted: bytes) -> Path:
    """Return a copy of that file."""
    path = tmp_path / "study.jsonl"
    path.write_bytes(uninterrupted)
    return path


def complete_lines(path: Path) -> set[bytes]:
    """Return the lines of a file that end with a newline."""
    content = path.read_bytes() if path.exists() else b""
    return {line for line in content.splitlines(keepends=True) if line.endswith(b"\n")}


# ---- one file, whatever happens


def test_a_study_that_is_run_again_trains_nothing_and_keeps_every_byte(
    path: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [run.task for run in read(path)] == TASKS
    monkeypatch.delattr(study, "run_task")
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


@pytest.mark.parametrize("workers", ["1", "2"])
def test_any_number_of_workers_gives_the_same_bytes(
    workers: str, tmp_path: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", workers)
    run_study(TASKS, tmp_path / "folder" / "again.jsonl")
    assert (tmp_path / "folder" / "again.jsonl").read_bytes() == uninterrupted


def test_lines_in_any_order_are_completed_to_the_same_file(
    path: Path, uninterrupted: bytes
) -> None:
    lines = uninterrupted.splitlines(keepends=True)
    path.write_bytes(b"".join(reversed(lines[3:])) + lines[5])  # and one of them twice
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


@pytest.mark.parametrize(
    "left", [0, 1, 200, -1], ids=["nothing", "1 byte", "200 bytes", "no newline"]
)
def test_a_half_written_last_line_is_dropped_and_trained_again(
    left: int, path: Path, uninterrupted: bytes
) -> None:
    *before, last = uninterrupted.splitlines(keepends=True)
    path.write_bytes(b"".join(before) + last[:left])
    finished_runs(path, TASKS)
    assert path.read_bytes() == b"".join(before)  # the next line begins on a line of its own
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


def test_a_study_that_has_ended_blocks_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even while a process that was just being started still holds the file."""
    opened, original = [], os.open

    def noting(*arguments: Any) -> int:
        opened.append(original(*arguments))
        return opened[-1]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", noting)
        with study.only_study(tmp_path):
            inherited = os.dup(opened[0])  # what a fork gives to a child
    with study.only_study(tmp_path):
        os.close(inherited)


def start_study(path: Path) -> subprocess.Popen[bytes]:
    """Run this file as a program: a study of PAIRS in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, __file__, path], stdout=subprocess.DEVNULL, start_new_session=True
    )


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_study_killed_at_any_moment_keeps_what_it_had_and_ends_with_the_same_file(
    kills: int, tmp_path: Path, uninterrupted: bytes
) -> None:
    expected = uninterrupted.splitlines(keepends=True)[: len(PAIRS)]
    path, moments = tmp_path / "study.jsonl", random.Random(0)
    while kills:
        kept, process = complete_lines(path), start_study(path)
        if kills % 2:  # while lines are being written, else at any moment, starting included
            while process.poll() is None and complete_lines(path) == kept:
                time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3 if kills % 2 else 4))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its workers
        assert process.wait() in (0, -signal.SIGKILL)
        assert kept <= complete_lines(path) <= set(expected)
        if process.returncode == 0:  # it was faster: begin again, so that every kill hits
            path.unlink()
        else:
            kills -= 1
    assert start_study(path).wait() == 0
    assert path.read_bytes() == b"".join(expected)


def test_a_local_worker_that_is_killed_is_one_message_and_loses_no_finished_run(
    path: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"".join(uninterrupted.splitlines(keepends=True)[:3]))
    finished, run_task = complete_lines(path), study.run_task

    def run_or_die(task: Task) -> StoredRun:
        if task == TASKS[5]:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_task(task)

    with monkeypatch.context() as patch:
        patch.setattr(study, "run_task", run_or_die)
        with pytest.raises(StudyError, match=r"killed.*run the same command again"):
            run_study(TASKS, path)
    assert finished <= complete_lines(path) <= set(uninterrupted.splitlines(keepends=True))
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

    def kill_once(run: StoredRun) -> str:
        if not killed:
            with Client(cluster, set_as_default=False) as client:
                pids = client.run(os.getpid)
                killed.append(next(worker for worker, runs in client.processing().items() if runs))
            os.kill(pids[killed[0]], signal.SIGKILL)
        return progress(run)

    monkeypatch.setattr(study, "progress", kill_once)
    return killed


@pytest.mark.slow
def test_a_dask_worker_that_is_killed_loses_no_run_and_doubles_none(
    tmp_path: Path, uninterrupted: bytes, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = kill_a_busy_worker_after_the_first_run(cluster, monkeypatch)
    run_study(TASKS, tmp_path / "study.jsonl", cluster.scheduler_address)
    assert killed
    assert (tmp_path / "study.jsonl").read_bytes() == uninterrupted


@pytest.mark.slow
def test_a_run_that_dask_gives_up_is_one_message_and_loses_no_finished_run(
    tmp_path: Path, uninterrupted: bytes, cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(cluster.scheduler, "allowed_failures", 0)  # Dask's own limit is 3 deaths
        kill_a_busy_worker_after_the_first_run(cluster, patch)
        with pytest.raises(StudyError, match=r"Dask cluster .* run the same command again"):
            run_study(TASKS, path, cluster.scheduler_address)
    finished = complete_lines(path)
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
        replace(TASKS[0], implementation="torch"),
        replace(TASKS[0], dataset="mnist"),
    ],
    ids=["recipe", "seed", "implementation", "dataset"],
)
def test_runs_of_another_study_are_refused(changed: Task, path: Path) -> None:
    refused(path, "holds 1 of .* does not contain", [changed, *TASKS[1:]])


def test_a_damaged_file_is_refused_before_anything_is_written(
    path: Path, uninterrupted: bytes
) -> None:
    path.write_bytes(uninterrupted.replace(b'"test_loss"', b'"loss"', 1) + b"half a li")
    refused(path, "line 1: damaged or edited")


def test_a_full_disk_is_one_message_that_names_the_file() -> None:
    with (
        open("/dev/full", "ab", buffering=0) as file,
        pytest.raises(StudyError, match=r"^/dev/full cannot be written \(No space"),
    ):
        study.append(file, "a line\n")


def test_half_a_line_on_a_full_disk_is_cut_off_by_the_next_study(
    path: Path, uninterrupted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"".join(uninterrupted.splitlines(keepends=True)[:-1]))

    class Full(FileIO):
        def write(self, content: Any) -> int:
            return super().write(content[:100])  # as much as fitted

    with Full(path, "ab") as file, pytest.raises(StudyError, match=f"^{path} cannot be written"):
        study.append(file, uninterrupted.splitlines(keepends=True)[-1].decode())
    run_study(TASKS, path)
    assert path.read_bytes() == uninterrupted


def test_where_processes_cannot_be_shared_the_study_says_that_it_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    run_study([], tmp_path / "study.jsonl")
    assert capsys.readouterr().out.splitlines()[1].startswith("알림: ")


@pytest.mark.parametrize("address", ["http://x:1", "127.0.0.1:port"])
def test_a_malformed_address_is_one_message(address: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=f"^Dask cluster {re.escape(address)}: .") as error:
        run_study(TASKS[:1], tmp_path / "study.jsonl", scheduler=address)
    assert "\n" not in str(error.value)


def test_a_study_of_mnist_is_not_run_on_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load", lambda *_, **__: load(DIGITS))
    with pytest.raises(StudyError, match="about mnist, but the data found is sklearn-digits"):
        study.run_task(Task("numpy", SMALL, 0, "mnist"))


@pytest.mark.parametrize("how", ["no data", "no address"])
def test_the_command_line_ends_with_one_message_and_no_traceback(how: str, tmp_path: Path) -> None:
    arguments = ["--output", str(tmp_path / "study.jsonl")]
    arguments += ["--scheduler", "nowhere"] if how == "no address" else []
    done = subprocess.run(
        [sys.executable, "-m", "mnist_tools.run_study", *arguments],
        env=os.environ | {"MNIST_DIR": str(tmp_path / "nowhere")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


# ---- what a line says


def test_a_line_holds_exactly_what_the_run_gave(path: Path) -> None:
    task, stored = TASKS[9], read(path)[9]
    digits = load(DIGITS, seed=task.seed)
    run = scratch.fit(digits, task.recipe, task.seed)
    result, history, labels = evaluate_run(run, digits), run.history, digits.test.labels
    # Equal, not close: the file keeps every digit of a float.
    assert (stored.test_loss, stored.test_accuracy) == (result.test_loss, result.test_accuracy)
    assert stored.first_validation_accuracy == history.validation_accuracy[1]
    wrong = np.flatnonzero(~result.correct)
    assert stored.errors == {i: (labels[i], result.predicted[i]) for i in wrong}
    assert stored.expected_calibration_error == expected_calibration_error(run.logits, labels)
    losses = -log_probabilities(run.logits)[np.arange(len(labels)), labels]
    assert stored.loss_right == losses[result.correct].mean()
    assert stored.loss_wrong == losses[~result.correct].mean()
    # Curves and scores have six digits.
    assert stored.history is not None
    for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
        curve = getattr(history, name)
        assert getattr(stored, name) == curve[-1]
        assert getattr(stored.history, name) == pytest.approx(curve, rel=5e-6)
    assert np.array(stored.dead_units) == pytest.approx(np.array(history.dead_units), rel=5e-6)
    assert stored.top3 is not None
    for digit, best in enumerate(result.top3):
        images, log_p = zip(*stored.top3[digit], strict=True)
        assert images == tuple(s.index for s in best)
        assert log_p == pytest.approx([s.log_probability for s in best], rel=5e-6)


def test_only_the_chosen_recipe_of_any_slope_holds_errors_scores_and_calibration(
    path: Path,
) -> None:
    nothing: tuple[Any, ...] = ({}, None, None, None, None)
    held = [
        task
        for task, run in zip(TASKS, read(path), strict=True)
        if (run.errors, run.top3, run.expected_calibration_error, run.loss_right, run.loss_wrong)
        != nothing
    ]
    assert held == [TASKS[9]]


def test_a_run_that_diverged_holds_what_was_before_and_no_test_results(path: Path) -> None:
    *finished, during, before = read(path)
    assert (during.diverged_after, before.diverged_after) == (1, 0)
    for run in (during, before):
        assert np.isnan([run.test_loss, run.test_accuracy]).all()
        assert run.errors == {}
    assert np.isfinite([during.train_loss, during.validation_accuracy]).all()
    assert np.isnan([before.train_loss, before.validation_accuracy]).all()
    assert before.history == History()
    assert {run.diverged_after for run in finished} == {None}


if __name__ == "__main__":
    run_study(PAIRS, Path(sys.argv[1]))
