"""The seed study: the same file whatever interrupts it, and nothing in it that does not belong."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

from mnist_mlp import scratch
from mnist_mlp.data import load
from mnist_mlp.evaluation import evaluate_run, expected_calibration_error, log_probabilities
from mnist_mlp.framework import fit as torch_fit
from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History, Run
from mnist_mlp.study import StoredRun, StudyError, Task, to_line
from mnist_tools import run_study as study
from mnist_tools.run_study import run_study, run_task

DIGITS = "sklearn-digits"
SMALL = Recipe(hidden=(16, 8), epochs=2, batch_size=50)
TASKS = [Task("numpy", replace(SMALL, alpha=a), s, DIGITS) for s in range(4) for a in (0.0, 0.3)]
DIVERGING = Task("numpy", replace(SMALL, lr=1e6), 0, DIGITS)
TASKS.append(DIVERGING)
Lines = list[bytes]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train one run after the other, without worker processes."""
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")


@pytest.fixture(scope="module")
def lines() -> Lines:
    """Return the lines of the file of a study of TASKS that nothing disturbed."""
    return [to_line(run_task(task)).encode() for task in TASKS]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "study.jsonl"


def fill(path: Path, *parts: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(parts))


def complete_lines(path: Path) -> set[bytes]:
    """Return the lines of a file that end with a newline."""
    content = path.read_bytes() if path.exists() else b""
    return {line for line in content.splitlines(keepends=True) if line.endswith(b"\n")}


# ---- one file, whatever happens


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (lambda lines: None, len(TASKS)),
        (lambda lines: lines, 0),
        (lambda lines: [*lines[:0:-1], lines[5]], 1),  # in another order, one of them twice
        (lambda lines: [*lines[:-1], lines[-1][:200]], 1),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], 1),  # its newline is missing
    ],
    ids=["no folder", "all", "another order", "half a line", "no newline"],
)
def test_what_is_missing_is_trained_and_the_file_is_always_the_same(
    there: Callable[[Lines], Lines | None],
    missing: int,
    path: Path,
    lines: Lines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if (parts := there(lines)) is not None:
        fill(path, *parts)
    trained: list[Task] = []
    monkeypatch.setattr(study, "run_task", lambda t: trained.append(t) or run_task(t))  # type: ignore[func-returns-value]
    run_study(TASKS, path)
    assert path.read_bytes() == b"".join(lines)
    assert len(trained) == missing


def test_an_interrupted_study_keeps_each_run_as_it_finished(
    path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(path, lines[0], lines[1][:200])  # from an earlier one that was killed
    finished: list[StoredRun] = []

    def ctrl_c(run: StoredRun) -> str:
        finished.append(run)
        assert path.read_bytes() == b"".join(lines[: 1 + len(finished)])
        if len(finished) == 2:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(study, "progress", ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        run_study(TASKS, path)
    assert len(complete_lines(path)) == 3


@pytest.mark.slow
def test_a_study_killed_at_any_moment_keeps_what_it_had_and_ends_with_the_same_file(
    path: Path, lines: Lines
) -> None:
    moments, kills = random.Random(0), 0
    while kills < 20:
        kept = complete_lines(path)
        process = subprocess.Popen(
            [sys.executable, __file__, path], stdout=subprocess.DEVNULL, start_new_session=True
        )
        if kills % 2:  # while lines are being written, else at any moment, starting included
            while process.poll() is None and complete_lines(path) == kept:
                time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.05 if kills % 2 else 4))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # with its workers
        assert process.wait() in (0, -signal.SIGKILL)
        assert kept <= complete_lines(path) <= set(lines)
        if process.returncode == 0:  # it was faster: begin again, so that every kill hits
            path.unlink()
        else:
            kills += 1
    run_study(TASKS, path)
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.slow
def test_a_local_worker_that_is_killed_is_one_message_and_loses_no_finished_run(
    path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_or_die(task: Task) -> StoredRun:
        if task == TASKS[5]:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_task(task)

    fill(path, *lines[:3])
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")
    with monkeypatch.context() as patch:
        patch.setattr(study, "run_task", run_or_die)
        with pytest.raises(StudyError, match=r"killed.*run the same command again"):
            run_study(TASKS, path)
    assert set(lines[:3]) <= complete_lines(path) <= set(lines)
    run_study(TASKS, path)
    assert path.read_bytes() == b"".join(lines)


def test_only_one_study_works_in_a_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "plan", list)  # if it were not refused, it would train for hours
    study.lock(path.parent)
    assert study.main(["--output", str(path)]) == 1
    assert f"another study is at work in {path.parent}" in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("allowed_failures", [3, 0])  # 3 is Dask's own limit
def test_a_dask_worker_that_is_killed_loses_no_run_and_doubles_none(
    allowed_failures: int, path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_a_busy_worker(run: StoredRun) -> str:
        monkeypatch.setattr(study, "progress", lambda run: "")  # once
        with Client(cluster, set_as_default=False) as client:
            busy = next(worker for worker, runs in client.processing().items() if runs)
            os.kill(client.run(os.getpid)[busy], signal.SIGKILL)
        return ""

    monkeypatch.setattr(study, "progress", kill_a_busy_worker)
    gives_up = pytest.raises(StudyError, match=r"Dask cluster .* run the same command again")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        cluster.scheduler.allowed_failures = allowed_failures
        with contextlib.nullcontext() if allowed_failures else gives_up:
            run_study(TASKS, path, cluster.scheduler_address)
        assert complete_lines(path) <= set(lines)
        run_study(TASKS, path, cluster.scheduler_address)
    assert path.read_bytes() == b"".join(lines)


# ---- what does not belong in the file


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda line: line.replace(b'"seed": 0', b'"seed": 99'),
            "holds 1 of 2 .* does not contain",
        ),
        (lambda line: line.replace(b'"test_loss"', b'"loss"'), "line 2: damaged or edited"),
    ],
)
def test_what_does_not_belong_in_the_file_is_refused_before_anything_is_written(
    spoil: Callable[[bytes], bytes], reason: str, path: Path, lines: Lines
) -> None:
    fill(path, lines[3], spoil(lines[0]), b"half a li")
    before = path.read_bytes()
    with pytest.raises(StudyError, match=f"{path}.* {reason}"):
        run_study(TASKS, path)
    assert path.read_bytes() == before


def test_a_full_disk_is_one_message_that_names_the_file() -> None:
    with pytest.raises(StudyError, match=r"^/dev/full cannot be written \(No space"):
        study.append(Path("/dev/full"), "x")


@pytest.mark.parametrize("address", ["127.0.0.1:port", None])
def test_the_command_line_ends_with_one_message_and_no_traceback(
    address: str | None,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MNIST_DIR", str(path / "nowhere"))
    scheduler = ["--scheduler", address] if address else []
    assert study.main(["--output", str(path), *scheduler]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    expected = f"error: Dask cluster {address}: ." if address else "error: .*nowhere"
    assert re.match(expected, line)


def test_a_study_of_mnist_is_not_run_on_the_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "load", lambda *_, **__: load(DIGITS))
    with pytest.raises(StudyError, match="about mnist, but the data found is sklearn-digits"):
        run_task(Task("numpy", SMALL, 0, "mnist"))


# ---- what a line says


def test_a_line_holds_exactly_what_the_run_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "CHOSEN", SMALL)
    task, digits = TASKS[3], load(DIGITS, seed=1)
    stored, run = run_task(task), scratch.fit(digits, task.recipe, task.seed)
    result, history, labels = evaluate_run(run, digits), run.history, digits.test.labels
    wrong = np.flatnonzero(~result.correct)
    losses = -log_probabilities(run.logits)[np.arange(len(labels)), labels]
    # Equal, not close: the file keeps every digit of a float.
    expected = {
        "test_loss": result.test_loss,
        "test_accuracy": result.test_accuracy,
        "first_validation_accuracy": history.validation_accuracy[1],
        "errors": {i: (labels[i], result.predicted[i]) for i in wrong},
        "expected_calibration_error": expected_calibration_error(run.logits, labels),
        "loss_right": losses[result.correct].mean(),
        "loss_wrong": losses[~result.correct].mean(),
    }
    assert {name: getattr(stored, name) for name in expected} == expected
    assert stored.top3 is not None
    for digit, best in enumerate(result.top3):
        images, log_p = zip(*stored.top3[digit], strict=True)
        assert images == tuple(image.index for image in best)
        assert log_p == pytest.approx([image.log_probability for image in best], rel=5e-6)
    for name, curve in asdict(history).items():
        digits_six = np.array(getattr(stored.history, name))
        np.testing.assert_allclose(digits_six, curve, rtol=5e-6)
        assert name == "dead_units" or getattr(stored, name) == curve[-1]


@pytest.mark.parametrize(("implementation", "fit"), [("numpy", scratch.fit), ("torch", torch_fit)])
def test_another_recipe_than_the_chosen_one_holds_no_errors_scores_and_calibration(
    implementation: str, fit: Callable[..., Run]
) -> None:
    recipe = replace(SMALL, activation="tanh")
    run = run_task(Task(implementation, recipe, 0, DIGITS))
    assert run.train_loss == fit(load(DIGITS), recipe, 0).history.train_loss[-1]
    assert (run.errors, run.top3, run.expected_calibration_error) == ({}, None, None)
    assert (run.loss_right, run.loss_wrong) == (None, None)


def test_a_run_that_diverged_holds_what_was_before_and_no_test_results() -> None:
    before_any_epoch = replace(DIVERGING, recipe=replace(SMALL, init_gain=1e30))
    during, before = run_task(DIVERGING), run_task(before_any_epoch)
    assert (during.diverged_after, before.diverged_after) == (1, 0)
    for run in (during, before):
        assert np.isnan([run.test_loss, run.test_accuracy]).all()
        assert run.errors == {}
    assert np.isfinite([during.train_loss, during.validation_accuracy]).all()
    assert np.isnan([before.train_loss, before.validation_accuracy]).all()
    assert before.history == History()


if __name__ == "__main__":
    run_study(TASKS, Path(sys.argv[1]))
