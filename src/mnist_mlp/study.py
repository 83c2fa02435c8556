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
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_mlp.data import DatasetError, load
from mnist_mlp.evaluation import evaluate_run
from mnist_mlp.recipe import DivergedError, History, Recipe

STUDY_FILE = Path(__file__).parents[2] / "data" / "study.csv"
ALPHAS, TORCH_ALPHAS = (0.0, 0.01, 0.1, 0.3), (0.0, 0.3)
# The assignment's pair gets the most seeds. More are trained by raising a number: `make study`
# keeps what the file holds.
SCRATCH_SEEDS = {0.0: range(10), 0.01: range(5), 0.1: range(10), 0.3: range(5)}
TORCH_SEEDS, LADDER_SEEDS, SEARCH_SEEDS = range(5), range(5), range(3)
COLUMNS = [
    "framework", "recipe_hash", "alpha", "seed", "dataset", "diverged_after",
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
    "test_loss", "test_accuracy", "first_train_accuracy", "first_validation_accuracy",
    "dead_units", "errors", "recipe",
]  # fmt: skip
NUMBERS = ["alpha", "seed", *COLUMNS[5:14]]


class StudyError(Exception):
    """The study's file does not belong to this plan; the message says what to do."""


@dataclass(frozen=True)
class Task:
    """One run of the study."""

    framework: str
    recipe: Recipe
    seed: int
    dataset: str = "mnist"

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What identifies the run in the file."""
        return (self.framework, self.recipe.digest(), self.seed, self.dataset)


CHOSEN = Recipe()
BASE = Recipe(
    lr=0.1, momentum=0.9, weight_decay=5e-5, input_dropout=0.1, hidden_dropout=0.1
)  # where the search began
PLAIN = replace(
    CHOSEN, momentum=0.0, decay="constant", weight_decay=0.0, input_dropout=0.0, hidden_dropout=0.0
)
LADDER = {
    "SGD": PLAIN,
    "+ momentum": replace(PLAIN, momentum=CHOSEN.momentum),
    "+ decay": replace(PLAIN, momentum=CHOSEN.momentum, decay="linear"),
    "+ L2": replace(CHOSEN, input_dropout=0.0, hidden_dropout=0.0),
    "+ dropout": CHOSEN,
}
# One change at a time, then the two changes that did best together, all with ReLU. The best six on
# validation data also with LReLU(0.1): the chosen recipe has the best mean of the two.
SEARCH = {
    "dropout 0.1 / 0.1": BASE,
    "dropout 0.1 / 0.2": replace(BASE, hidden_dropout=0.2),
    "dropout 0.2 / 0.2": replace(BASE, input_dropout=0.2, hidden_dropout=0.2),
    "dropout 0.2 / 0.3": replace(BASE, input_dropout=0.2, hidden_dropout=0.3),
    "lr 0.2": replace(BASE, lr=0.2),
    "lr 0.2, dropout 0.2 / 0.2": replace(BASE, lr=0.2, input_dropout=0.2, hidden_dropout=0.2),
    "L2 1e-4": replace(BASE, weight_decay=1e-4),
    "momentum 0.95, lr 0.05": replace(BASE, momentum=0.95, lr=0.05),
    "momentum 0.95, lr 0.05, L2 1e-4": replace(BASE, momentum=0.95, lr=0.05, weight_decay=1e-4),
    "momentum 0.95, lr 0.05, L2 1e-4, dropout 0.1 / 0.2": replace(
        BASE, momentum=0.95, lr=0.05, weight_decay=1e-4, hidden_dropout=0.2
    ),
}

FINALISTS = (
    "momentum 0.95, lr 0.05, L2 1e-4",
    "momentum 0.95, lr 0.05",
    "L2 1e-4",
    "lr 0.2",
    "dropout 0.1 / 0.1",
    "dropout 0.1 / 0.2",
)
LEAKY_FINALISTS = {name: replace(SEARCH[name], alpha=0.1) for name in FINALISTS}
# Where could the activation matter? 5 epochs without dropout, everything else as chosen.
SHORT = replace(CHOSEN, epochs=5, input_dropout=0.0, hidden_dropout=0.0)
STRESS = {
    "512-256 (기준)": SHORT,
    "학습률 4배": replace(SHORT, lr=4 * SHORT.lr),
    "좁고 깊은 망 (16 × 8층)": replace(SHORT, hidden=(16,) * 8),
    "더 좁은 망 (8 × 8층)": replace(SHORT, hidden=(8,) * 8),
    "너무 작은 초기화 (64 × 6층, 1/4배)": replace(SHORT, hidden=(64,) * 6, init_gain=0.25),
}
STRESS_ALPHAS, STRESS_SEEDS = (0.0, 0.1, 0.3), range(5)


def plan(dataset: str = "mnist") -> list[Task]:
    """Return every run that the study consists of, each once, the search first."""
    searched = [*SEARCH.values(), *LEAKY_FINALISTS.values()]
    tasks = [Task("numpy", recipe, s) for recipe in searched for s in SEARCH_SEEDS]
    tasks += [Task("numpy", replace(CHOSEN, alpha=a), s) for a in ALPHAS for s in SCRATCH_SEEDS[a]]
    tasks += [Task("torch", replace(CHOSEN, alpha=a), s) for s in TORCH_SEEDS for a in TORCH_ALPHAS]
    tasks += [Task("numpy", recipe, s) for recipe in LADDER.values() for s in LADDER_SEEDS]
    tasks += [
        Task("numpy", replace(recipe, alpha=a), s)
        for recipe in STRESS.values()
        for s in STRESS_SEEDS
        for a in STRESS_ALPHAS
    ]
    return list({task.key: task for task in (replace(t, dataset=dataset) for t in tasks)}.values())


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


def read_rows(path: Path = STUDY_FILE) -> pd.DataFrame:
    """Read the finished runs; a row that a kill cut short is left out.

    Raises
    ------
    StudyError
        If the file is missing, has other columns, a damaged row, a row whose recipe does not have
        the hash that it claims, or two different rows for one run.
    """
    if not path.exists():
        raise StudyError(f"{path} does not exist: run `make study` first")
    table = list(csv.reader(io.StringIO(complete_text(path))))
    if not table or table[0] != COLUMNS:
        raise StudyError(f"{path} does not have the study's columns: move it away and start again")
    runs: dict[tuple[str, ...], list[str]] = {}
    for number, row in enumerate(table[1:], start=2):
        if not is_sound(row):
            raise StudyError(f"{path}, line {number}: damaged or edited; delete this line and run "
                             "`make study` to train that run again")  # fmt: skip
        key = tuple(
            row[COLUMNS.index(name)] for name in ("framework", "recipe_hash", "seed", "dataset")
        )
        if runs.setdefault(key, row) != row:
            raise StudyError(f"{path}, line {number}: another result for a run that is already "
                             "there; delete one of the two lines")  # fmt: skip
    rows = pd.DataFrame(list(runs.values()), columns=COLUMNS)
    rows[NUMBERS] = rows[NUMBERS].replace("", "nan").astype(float)
    return rows.astype({"seed": int})


def is_sound(row: list[str]) -> bool:
    """Whether a row has all cells, numbers where they belong, and the recipe that it claims."""
    try:
        cells = dict(zip(COLUMNS, row, strict=True))
        numbers = {name: float(cells[name] or "nan") for name in NUMBERS}
        fields = json.loads(cells["recipe"])
        recipe = Recipe(**fields | {"hidden": tuple(fields["hidden"])})
    except (ValueError, TypeError, KeyError):
        return False
    claimed = (cells["recipe_hash"], numbers["alpha"], cells["seed"].isdecimal())
    return claimed == (recipe.digest(), recipe.alpha, True) and "".join(row).isascii()


def select(rows: pd.DataFrame, framework: str, recipe: Recipe) -> pd.DataFrame:
    """Return the finished runs of one recipe, one row a seed, in the order of the seeds.

    Raises
    ------
    StudyError
        If there are none: the file was made with other recipes.
    """
    which = (rows["framework"] == framework) & (rows["recipe_hash"] == recipe.digest())
    if not which.any():
        raise StudyError(
            f"no {framework} runs of recipe {recipe.digest()} ({recipe.activation}) in the "
            "study's file: it belongs to other recipes; run `make study`"
        )
    return rows[which].set_index("seed").sort_index()


def by_alpha(rows: pd.DataFrame, framework: str, column: str) -> dict[str, pd.Series]:
    """Return a measure of the chosen recipe by activation: ``{"ReLU": values by seed, ...}``."""
    alphas = ALPHAS if framework == "numpy" else TORCH_ALPHAS
    recipes = [replace(CHOSEN, alpha=alpha) for alpha in alphas]
    return {r.activation: select(rows, framework, r)[column] for r in recipes}


def by_recipe(rows: pd.DataFrame, recipes: dict[str, Recipe], column: str) -> dict[str, pd.Series]:
    """Return a measure of the NumPy network by the recipe's name, values by seed.

    All with the seeds of the recipe that has fewest, so that groups can be compared.
    """
    groups = {name: select(rows, "numpy", recipe)[column] for name, recipe in recipes.items()}
    fewest = min((group.index for group in groups.values()), key=len)
    return {name: group.loc[fewest] for name, group in groups.items()}


def stored_accuracy(
    rows: pd.DataFrame, framework: str, dataset: str, recipes: Iterable[Recipe], seed: int
) -> list[float | None]:
    """Return the stored test accuracy of each recipe for this seed, None where there is no row."""
    found: list[float | None] = []
    for recipe in recipes:
        match = rows[
            (rows["framework"] == framework)
            & (rows["dataset"] == dataset)
            & (rows["recipe_hash"] == recipe.digest())
            & (rows["seed"] == seed)
        ]
        found.append(float(match["test_accuracy"].iloc[0]) if len(match) else None)
    return found


def stress_results(rows: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Return the runs of the search for a case where the activation matters.

    ``{setting: {activation: rows by seed}}``; a diverged run has no ``test_accuracy``.
    """
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for name, recipe in STRESS.items():
        variants = [replace(recipe, alpha=alpha) for alpha in STRESS_ALPHAS]
        found[name] = {v.activation: select(rows, "numpy", v) for v in variants}
    return found


def final_dead_fraction(runs: pd.DataFrame) -> float:
    """Return the fraction of hidden units dead at the end, mean over layers and finished runs."""
    ends = [cell.split()[-1] for cell in runs["dead_units"]]
    return float(np.mean([np.mean([float(f) for f in end.split("|")]) for end in ends]))


def paired(groups: dict[str, pd.Series]) -> dict[str, pd.Series]:
    """Return the differences to ReLU, seed by seed, of every other activation."""
    relu = groups["ReLU"]
    return {name: (v - relu).dropna() for name, v in groups.items() if name != "ReLU"}


def dead_unit_curves(rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return the dead fraction, mean over seeds: arrays (epochs + 1, hidden layers)."""
    return {
        name: np.mean([[[float(f) for f in epoch.split("|")] for epoch in cell.split()]
                       for cell in cells], axis=0)
        for name, cells in by_alpha(rows, "numpy", "dead_units").items()
    }  # fmt: skip


def mistakes(cell: str) -> dict[int, int]:
    """Return the wrongly classified test images of a row: ``{image: predicted class}``."""
    return {int(image): int(guess) for image, guess in (pair.split(":") for pair in cell.split())}


def run_study(tasks: Sequence[Task], path: Path = STUDY_FILE, scheduler: str | None = None) -> None:
    """Train the tasks that the file does not hold yet and append each as it finishes.

    Parameters
    ----------
    scheduler : address of a running Dask scheduler; without it the runs go to worker processes on
        this machine, one for each core and one BLAS thread each.

    Raises
    ------
    StudyError
        If the file is damaged, or holds runs that the tasks do not contain.
    """
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
    write_whole(path, csv_line(COLUMNS) + "".join(done[task.key] for task in tasks))


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
    write_whole(path, csv_line(COLUMNS) + "".join(lines.values()))
    return lines


def complete_text(path: Path) -> str:
    """Return the file up to its last newline: what follows was cut short by a kill."""
    text = path.read_text(encoding="utf-8", errors="replace")  # is_sound refuses the replacement
    return text[: text.rfind("\n") + 1]


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step, so that a kill leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
    except (StudyError, DatasetError) as error:
        print(f"study: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
