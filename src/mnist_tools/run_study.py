"""The seed study: many independent runs, stored in ``data/study.jsonl``.

``make study`` trains whatever the plan asks for and the file does not hold yet. Lines are appended
as runs finish; a study that was killed continues where it stopped.
"""

import argparse
import fcntl
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from mnist_mlp.data import Dataset, load
from mnist_mlp.evaluation import evaluate_run, expected_calibration_error, log_probabilities
from mnist_mlp.run import DivergedError, History, Run
from mnist_mlp.study import CHOSEN, STUDY_FILE, StoredRun, StudyError, Task, plan, read, to_line
from mnist_tools.files import exit_code, write_atomically

AGAIN = "what had finished is kept: run the same command again to continue"

# ---- one run


def run_task(task: Task) -> StoredRun:
    """Train and measure one run; divergence is a result, not an error."""
    if task.implementation == "torch":
        from mnist_mlp.framework import fit  # here: a worker without torch can do all other runs
    else:
        from mnist_mlp.scratch import fit

    dataset = load(task.dataset, seed=task.seed)
    if dataset.name != task.dataset:
        raise StudyError(
            f"this study is about {task.dataset}, but the data found is {dataset.name}"
        )
    try:
        run = fit(dataset, task.recipe, task.seed)
    except DivergedError as error:
        return training_measures(task, error.history, len(error.history.train_loss))
    return replace(training_measures(task, run.history, None), **test_measures(run, dataset))


def training_measures(task: Task, history: History, diverged_after: int | None) -> StoredRun:
    """Return what the learning curves say, NaN where there are none; the curves with six digits."""
    six = {name: rounded(values) for name, values in asdict(history).items()}
    first = history.validation_accuracy[:2]
    return StoredRun(
        implementation=task.implementation,
        dataset=task.dataset,
        seed=task.seed,
        recipe=task.recipe,
        diverged_after=diverged_after,
        train_loss=last(history.train_loss),
        train_accuracy=last(history.train_accuracy),
        validation_loss=last(history.validation_loss),
        validation_accuracy=last(history.validation_accuracy),
        test_loss=math.nan,
        test_accuracy=math.nan,
        first_validation_accuracy=last(first),
        dead_units=six["dead_units"],
        history=History(**six),
    )


def test_measures(run: Run, dataset: Dataset) -> dict[str, Any]:
    """Return the fields that come from the test images."""
    labels = dataset.test.labels
    result = evaluate_run(run, dataset)
    wrong = np.flatnonzero(~result.correct)
    measures: dict[str, Any] = {
        "test_loss": result.test_loss,
        "test_accuracy": result.test_accuracy,
    }
    # What only the comparison of the rectifiers asks for.
    if replace(run.recipe, alpha=CHOSEN.alpha) == CHOSEN:
        losses = -log_probabilities(run.logits)[np.arange(len(labels)), labels]
        measures |= {
            "errors": {int(i): (int(labels[i]), int(result.predicted[i])) for i in wrong},
            "top3": {
                digit: [(image.index, rounded(image.log_probability)) for image in best]
                for digit, best in enumerate(result.top3)
            },
            "expected_calibration_error": expected_calibration_error(run.logits, labels),
            "loss_right": mean(losses[result.correct]),
            "loss_wrong": mean(losses[~result.correct]),
        }
    return measures


def last(values: Sequence[float]) -> float:
    """Return the last value, or NaN if there is none."""
    return values[-1] if values else math.nan


def mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean, or None if there are no values."""
    return float(values.mean()) if len(values) else None


def rounded(values: Any) -> Any:
    """Return a number, or nested lists of numbers, with six significant digits."""
    return [rounded(v) for v in values] if isinstance(values, list) else float(f"{values:.6g}")


# ---- all runs


def run_study(tasks: Sequence[Task], path: Path = STUDY_FILE, scheduler: str | None = None) -> None:
    """Train the tasks that the file does not hold yet and append each as it finishes.

    ``scheduler`` is the address of a running Dask scheduler; without it the runs go to worker
    processes on this machine, one for each core and one BLAS thread each. Raises StudyError if the
    file is damaged or holds runs that the tasks do not contain, or a worker or the cluster is lost.
    """
    done = finished_runs(path, tasks)
    missing = [task for task in tasks if task not in done]
    print(
        f"전체 {len(tasks)}회 가운데 {len(done)}회 완료, {len(missing)}회를 학습합니다.",
        flush=True,
    )
    started = time.monotonic()
    for count, run in enumerate(results(missing, scheduler), start=1):
        append(path, to_line(run))
        done[run.task] = run
        left = (time.monotonic() - started) / count * (len(missing) - count) / 60
        print(f"{progress(run)} [{count}/{len(missing)}, 약 {left:.0f}분 남음]", flush=True)
    # The plan's order, whatever the order in which the runs finished: always the same file.
    write_atomically(path, "".join(to_line(done[task]) for task in tasks))


def append(path: Path, line: str) -> None:
    """Append a line; raise :class:`StudyError` if not all of it fits (the next run cuts it off)."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as error:
        raise StudyError(f"{path} cannot be written ({error.strerror}); {AGAIN}") from None


def lock(folder: Path) -> None:
    """Refuse a second study of this folder; the lock goes with the process, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StudyError(f"another study is at work in {folder}: wait for its end") from None


def finished_runs(path: Path, tasks: Sequence[Task]) -> dict[Task, StoredRun]:
    """Return the file's runs; begin the file, or cut off a half-written last line."""
    done = {run.task: run for run in read(path)} if path.exists() else {}
    if stale := [task for task in done if task not in set(tasks)]:
        raise StudyError(
            f"{path} holds {len(stale)} of {len(done)} runs with recipes, seeds or data that this "
            f"study does not contain, such as {stale[0]}: move the file away, or take them out"
        )
    write_atomically(path, "".join(map(to_line, done.values())))
    return done


def results(tasks: Sequence[Task], scheduler: str | None) -> Iterator[StoredRun]:
    """Yield each run as it finishes, from local processes or from a Dask cluster."""
    if scheduler is None:
        try:
            # The processes use one BLAS thread each: see mnist_mlp/__init__.py.
            parallel = joblib.Parallel(n_jobs=-1, return_as="generator_unordered")
            yield from parallel(joblib.delayed(run_task)(task) for task in tasks)
        except BrokenExecutor:
            raise StudyError(f"a worker process was killed (out of memory?); {AGAIN}") from None
        return

    from distributed import Client, KilledWorker, as_completed

    try:
        client = Client(scheduler)
    except (OSError, ValueError) as error:  # ValueError: it is no address
        raise StudyError(f"Dask cluster {scheduler}: {error}") from None
    # Not joblib's own Dask backend: it waits for ever for a run that Dask has given up.
    try:
        with client:
            for future in as_completed(client.map(run_task, tasks, pure=False)):
                yield future.result()
    except (OSError, CancelledError, KilledWorker) as error:
        raise StudyError(f"Dask cluster {scheduler}: {error}; {AGAIN}") from None


def progress(run: StoredRun) -> str:
    """Describe a finished run in one Korean line, with what differs from the chosen recipe."""
    chosen = asdict(replace(CHOSEN, alpha=run.recipe.alpha))
    changes = [f"{k}={v}" for k, v in asdict(run.recipe).items() if v != chosen[k]]
    name = " ".join([run.implementation, run.recipe.label, *changes])
    if run.diverged_after is not None:
        return f"{name}, 시드 {run.seed}: {run.diverged_after} 에폭 뒤에 발산"
    accuracy = f"검증 {run.validation_accuracy:.2%}, 테스트 {run.test_accuracy:.2%}"
    return f"{name}, 시드 {run.seed}: {accuracy}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scheduler", help="address of a running Dask scheduler")
    parser.add_argument("--output", type=Path, default=STUDY_FILE, help="default: data/study.jsonl")
    options = parser.parse_args(arguments)

    def work() -> None:
        lock(options.output.parent)
        run_study(plan(), options.output, options.scheduler)

    return exit_code(work)


if __name__ == "__main__":
    sys.exit(main())
