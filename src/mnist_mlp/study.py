"""The seed study: many independent runs, stored in ``data/study.csv``.

``make study`` trains whatever the plan asks for and the file does not hold yet. A run is
identified by framework, recipe and seed, so that one run serves every question that it belongs to.
Rows are appended as runs finish; a study that was killed continues where it stopped.
"""

import argparse
import csv
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from mnist_mlp.data import DatasetError, load
from mnist_mlp.evaluation import evaluate_run
from mnist_mlp.files import speak_utf8, write_atomically
from mnist_mlp.recipe import DivergedError, History
from mnist_mlp.study_plan import Task, plan
from mnist_mlp.study_rows import COLUMNS, STUDY_FILE, StudyError, complete_text, read_rows


def run_task(task: Task) -> dict[str, Any]:
    """Train and measure one run and return its row; divergence is a result, not an error."""
    if task.framework == "torch":
        from mnist_mlp.framework import fit  # here: a worker without torch can do all other runs
    else:
        from mnist_mlp.scratch import fit

    dataset = load(task.dataset, seed=task.seed)
    if dataset.name != task.dataset:
        raise StudyError(
            f"this study is about {task.dataset}, but the data found is {dataset.name}"
        )
    row: dict[str, Any] = {
        "framework": task.framework,
        "recipe_hash": task.recipe.digest(),
        "alpha": task.recipe.alpha,
        "seed": task.seed,
        "dataset": task.dataset,
        "recipe": json.dumps(asdict(task.recipe)),
    }
    try:
        run = fit(dataset, task.recipe, task.seed)
    except DivergedError as error:
        return row | curves(error.history) | {"diverged_after": len(error.history.train_loss)}
    result = evaluate_run("", run, dataset)
    wrong = np.flatnonzero(~result.correct)
    return (
        row
        | curves(run.history)
        | {
            "test_loss": result.test_loss,
            "test_accuracy": result.test_accuracy,
            # For comparisons of good networks; a list of most images is of no use to anybody.
            "errors": " ".join(f"{i}:{result.predicted[i]}" for i in wrong)
            if len(wrong) < 1000
            else "",
        }
    )


def curves(history: History) -> dict[str, Any]:
    """Return the columns that come from the learning curves, empty after a divergence at once."""
    if not history.train_loss:
        return {}
    first = min(1, len(history.train_loss) - 1)
    return {
        "train_loss": history.train_loss[-1],
        "train_accuracy": history.train_accuracy[-1],
        "validation_loss": history.validation_loss[-1],
        "validation_accuracy": history.validation_accuracy[-1],
        "first_train_accuracy": history.train_accuracy[first],
        "first_validation_accuracy": history.validation_accuracy[first],
        "dead_units": " ".join("|".join(f"{f:.6g}" for f in epoch) for epoch in history.dead_units),
    }


def csv_line(values: Sequence[Any]) -> str:
    """Return one line of CSV, newline included; floats with every digit."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def run_study(tasks: Sequence[Task], path: Path = STUDY_FILE, scheduler: str | None = None) -> None:
    """Train the tasks that the file does not hold yet and append each as it finishes.

    Parameters
    ----------
    scheduler : address of a running Dask scheduler; without it the runs go to worker processes on
        this machine, one for each core and one BLAS thread each.

    Raises
    ------
    StudyError
        If the file is damaged, holds runs that the tasks do not contain, or another study is at
        work in its folder.
    """
    with only_study(path.parent):
        continue_study(tasks, path, scheduler)


@contextmanager
def only_study(folder: Path) -> Iterator[None]:
    """Refuse a second study of this folder; the lock goes with the process, however it ends."""
    import fcntl  # here, so that the rest of the module can be imported on Windows

    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(f"another study is at work in {folder}: wait for its end") from None
        yield
    finally:
        os.close(descriptor)


def continue_study(tasks: Sequence[Task], path: Path, scheduler: str | None) -> None:
    """Train what the file lacks; the caller has made sure that nobody else writes it."""
    done = finished_lines(path, tasks)
    missing = [task for task in tasks if task.key not in done]
    print(
        f"전체 {len(tasks)}회 가운데 {len(done)}회 완료, {len(missing)}회를 학습합니다.", flush=True
    )
    started = time.monotonic()
    with path.open("a", encoding="utf-8") as file:
        for count, row in enumerate(results(missing, scheduler), start=1):
            line = csv_line([row.get(name, "") for name in COLUMNS])
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            done[row["framework"], row["recipe_hash"], row["seed"], row["dataset"]] = line
            minutes = (time.monotonic() - started) / count * (len(missing) - count) / 60
            print(progress(row) + f" [{count}/{len(missing)}, 약 {minutes:.0f}분 남음]", flush=True)
    # The plan's order, whatever the order in which the runs finished: the same file every time.
    write_atomically(path, csv_line(COLUMNS) + "".join(done[task.key] for task in tasks))


def finished_lines(path: Path, tasks: Sequence[Task]) -> dict[tuple[str, str, int, str], str]:
    """Return the file's rows by run; begin the file, or cut off a half-written last row."""
    lines = {}
    if path.exists() and path.stat().st_size > 0:
        rows = read_rows(path)  # refuses a damaged file before anything is written to it
        for row in csv.DictReader(io.StringIO(complete_text(path))):
            key = (row["framework"], row["recipe_hash"], int(row["seed"]), row["dataset"])
            lines[key] = csv_line(list(row.values()))
        stale = set(lines) - {task.key for task in tasks}
        if stale:
            raise StudyError(
                f"{path} holds {len(stale)} of {len(rows)} runs with recipes, seeds or data that "
                "this study does not contain: move the file away, or take those lines out"
            )
    write_atomically(path, csv_line(COLUMNS) + "".join(lines.values()))
    return lines


def results(tasks: Sequence[Task], scheduler: str | None) -> Iterator[dict[str, Any]]:
    """Yield each task's row as it finishes, from local processes or from a Dask cluster."""
    again = "what had finished is kept: run the same command again to continue"
    if scheduler is None:
        try:
            with joblib.parallel_config("loky", inner_max_num_threads=1):
                yield from joblib.Parallel(n_jobs=-1, return_as="generator_unordered")(
                    joblib.delayed(run_task)(task) for task in tasks
                )
        except BrokenExecutor:
            raise StudyError(f"a worker process was killed (out of memory?); {again}") from None
        return

    from distributed import Client, KilledWorker, as_completed

    # Not joblib's own Dask backend: it waits for ever for a run that Dask has given up.
    try:
        with Client(scheduler) as client:
            for future in as_completed(client.map(run_task, tasks, pure=False)):
                yield future.result()
    except (OSError, CancelledError, KilledWorker) as error:
        raise StudyError(f"Dask cluster {scheduler}: {error}; {again}") from None


def progress(row: dict[str, Any]) -> str:
    """Describe a finished run in one Korean line."""
    run = f"{row['framework']} alpha={row['alpha']:g} {row['recipe_hash']} 시드 {row['seed']}"
    if "test_accuracy" not in row:
        return f"{run}: {row['diverged_after']} 에폭 뒤에 발산"
    return f"{run}: 검증 {row['validation_accuracy']:.2%}, 테스트 {row['test_accuracy']:.2%}"


def main() -> int:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scheduler", help="address of a running Dask scheduler")
    parser.add_argument("--output", type=Path, default=STUDY_FILE, help="default: data/study.csv")
    options = parser.parse_args()
    try:
        run_study(plan(), options.output, options.scheduler)
    except (StudyError, DatasetError, OSError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    speak_utf8()
    sys.exit(main())
