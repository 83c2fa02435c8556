"""The seed study: what it trains (the plan) and what came out (``data/study.jsonl``).

The file holds one JSON object a line, one line a finished run, whose fields are those of
:class:`StoredRun`. ``make study`` trains whatever the plan asks for and the file lacks.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from operator import index
from pathlib import Path

from mnist_mlp.recipe import Recipe
from mnist_mlp.run import History

STUDY_FILE = Path(__file__).parents[2] / "data" / "study.jsonl"


class StudyError(Exception):
    """The study cannot be read or go on; the message says why and what to do."""


# ---- the plan


def with_alphas(recipe: Recipe, alphas: Iterable[float]) -> dict[str, Recipe]:
    """Return the recipe with other slopes, by label: ``{"ReLU": ..., "LReLU(0.1)": ...}``."""
    return {r.label: r for r in (replace(recipe, alpha=alpha) for alpha in alphas)}


# More seeds are trained by raising a number: `make study` keeps what the file holds. The pair of
# the assignment's question has most; FIRST_LOOK are those that had been looked at before the others
# were trained, so that what was seen in them could be tested. That is history: it never changes.
FIRST_LOOK = range(10)
SEEDS, PAIR_SEEDS, LADDER_SEEDS, SEARCH_SEEDS, STRESS_SEEDS = map(range, (10, 30, 5, 3, 5))
ALPHAS, TORCH_ALPHAS, STRESS_ALPHAS = (0.0, 0.01, 0.1, 0.3), (0.0, 0.1, 0.3), (0.0, 0.1, 0.3)

CHOSEN = Recipe()
COMPARED = {"numpy": with_alphas(CHOSEN, ALPHAS), "torch": with_alphas(CHOSEN, TORCH_ALPHAS)}
PAIR = {label: COMPARED["numpy"][label] for label in ("ReLU", "LReLU(0.1)")}
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
# The search began at BASE: one change at a time, then the two changes that did best together, all
# with ReLU. The best six on validation data, the finalists, were trained with LReLU(0.1) too: the
# chosen recipe has the best mean of the two.
BASE = Recipe(lr=0.1, momentum=0.9, weight_decay=5e-5, input_dropout=0.1, hidden_dropout=0.1)
SLOW = replace(BASE, lr=0.05, momentum=0.95)
SEARCH = {
    "start": BASE,
    "dropout 0.1 / 0.2": replace(BASE, hidden_dropout=0.2),
    "dropout 0.2 / 0.2": replace(BASE, input_dropout=0.2, hidden_dropout=0.2),
    "dropout 0.2 / 0.3": replace(BASE, input_dropout=0.2, hidden_dropout=0.3),
    "lr 0.2": replace(BASE, lr=0.2),
    "lr 0.2, dropout 0.2 / 0.2": replace(BASE, lr=0.2, input_dropout=0.2, hidden_dropout=0.2),
    "L2 1e-4": replace(BASE, weight_decay=1e-4),
    "momentum 0.95, lr 0.05": SLOW,
    "momentum 0.95, lr 0.05, L2 1e-4": replace(SLOW, weight_decay=1e-4),
    "momentum 0.95, lr 0.05, L2 1e-4, dropout 0.1 / 0.2": replace(
        SLOW, weight_decay=1e-4, hidden_dropout=0.2
    ),
}
FINALISTS = {
    name: replace(SEARCH[name], alpha=0.1)
    for name in (
        "momentum 0.95, lr 0.05, L2 1e-4",
        "momentum 0.95, lr 0.05",
        "L2 1e-4",
        "lr 0.2",
        "start",
        "dropout 0.1 / 0.2",
    )
}
# Where could the activation matter? 5 epochs without dropout, everything else as chosen.
SHORT = replace(CHOSEN, epochs=5, input_dropout=0.0, hidden_dropout=0.0)
STRESS = {
    "baseline": SHORT,
    "lr x4": replace(SHORT, lr=4 * SHORT.lr),
    "narrow and deep 16x8": replace(SHORT, hidden=(16,) * 8),
    "narrower 8x8": replace(SHORT, hidden=(8,) * 8),
    "small init 64x6": replace(SHORT, hidden=(64,) * 6, init_gain=0.25),
}


# Who learns faster? Each activation at the shared rate and at the best of a grid of its own,
# widened upwards for the sigmoid until its best rate was no longer the last one.
GRID = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
SIGMOID_GRID = (*GRID, 0.8, 1.6)
SMOOTH = {name: replace(CHOSEN, activation=name) for name in ("tanh", "sigmoid")}
ACTIVATIONS = COMPARED["torch"] | SMOOTH
RATES = {
    label: {
        f"{lr:g}": replace(recipe, lr=lr) for lr in (SIGMOID_GRID if label == "sigmoid" else GRID)
    }
    for label, recipe in ACTIVATIONS.items()
}
# The sigmoid's best validation accuracy is at 0.8; it comes first to 97 % at 0.2.
PACED = (
    COMPARED["torch"]
    | SMOOTH
    | {f"sigmoid, lr {lr}": RATES["sigmoid"][lr] for lr in ("0.2", "0.8")}
)


@dataclass(frozen=True)
class Task:
    """One run of the study, and what identifies it in the file."""

    implementation: str  # "numpy" or "torch"
    recipe: Recipe
    seed: int
    dataset: str = "mnist"


def plan() -> list[Task]:
    """Return every run that the study consists of, each once, in the order of the file."""
    tables = (
        ("numpy", SEARCH, SEARCH_SEEDS),
        ("numpy", FINALISTS, SEARCH_SEEDS),
        ("numpy", COMPARED["numpy"], SEEDS),
        ("torch", COMPARED["torch"], SEEDS),
        ("numpy", PAIR, PAIR_SEEDS),
        ("torch", PAIR, PAIR_SEEDS),
        ("numpy", PACED, SEEDS),
        *(("numpy", by_rate, SEARCH_SEEDS) for by_rate in RATES.values()),
        ("numpy", LADDER, LADDER_SEEDS),
        *(("numpy", with_alphas(r, STRESS_ALPHAS), STRESS_SEEDS) for r in STRESS.values()),
    )
    tasks = [
        Task(implementation, recipe, seed)
        for implementation, recipes, seeds in tables
        for recipe in recipes.values()
        for seed in seeds
    ]
    return list(dict.fromkeys(tasks))


# ---- the file


@dataclass(frozen=True)
class StoredRun:
    """A finished run; its fields are the file's.

    Losses are mean cross-entropies in nats, accuracies fractions, both after the last epoch. A run
    that diverged holds the values before the divergence, and NaN (null in the file) where there
    are none. Fields with a default are left out of the file where the run does not have them.
    """

    implementation: str  # "numpy" or "torch"
    dataset: str
    seed: int
    recipe: Recipe
    diverged_after: int | None
    """Finished epochs before the loss became infinite or undefined; None if it did not."""
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    test_loss: float
    test_accuracy: float
    first_validation_accuracy: float
    """After the first epoch."""
    dead_units: list[list[float]]
    """Fraction by epoch and hidden layer, (epochs + 1, layers), as in :class:`History`."""
    errors: dict[int, tuple[int, int]] = field(default_factory=dict)
    """``{wrongly classified test image: (true class, predicted class)}``."""
    history: History | None = None
    top3: dict[int, list[tuple[int, float]]] | None = None
    """``{class: [(test image, log-probability) x 3]}``, best first."""
    expected_calibration_error: float | None = None
    loss_right: float | None = None
    """Mean cross-entropy of the test images that are classified correctly."""
    loss_wrong: float | None = None
    """And of the others."""

    @property
    def task(self) -> Task:
        """What the run answers."""
        return Task(self.implementation, self.recipe, self.seed, self.dataset)


MEASURES = [entry.name for entry in fields(StoredRun) if entry.type is float]
DAMAGE = (ValueError, TypeError, KeyError, AttributeError)


def to_line(run: StoredRun) -> str:
    """Return the run's line of the file, newline included; floats with every digit."""
    row = {k: v for k, v in asdict(run).items() if k == "diverged_after" or v not in (None, {})}
    row |= {name: None for name in MEASURES if math.isnan(row[name])}
    if run.history:
        del row["history"]["dead_units"]  # it stands beside
    return json.dumps(row, allow_nan=False) + "\n"


def from_line(line: bytes) -> StoredRun:
    """Return the run of a line; one of ``DAMAGE`` is raised if it is none."""
    row = json.loads(line)
    row["recipe"] = Recipe(**row["recipe"])
    for name in MEASURES:
        row[name] = math.nan if row[name] is None else float(row[name])
    row["errors"] = {
        int(image): (index(true), index(answer))
        for image, (true, answer) in row.get("errors", {}).items()
    }
    if "history" in row:
        row["history"] = History(**row["history"], dead_units=row["dead_units"])
    if "top3" in row:
        row["top3"] = {
            int(digit): [(index(image), float(log_p)) for image, log_p in best]
            for digit, best in row["top3"].items()
        }
    run = StoredRun(**row)
    if run.implementation not in COMPARED or index(run.seed) < 0:
        raise ValueError(f"no run has implementation {run.implementation!r}, seed {run.seed}")
    if run.diverged_after is None and not all(math.isfinite(row[name]) for name in MEASURES):
        raise ValueError("a run that did not diverge lacks a measure")
    return run


def read(path: Path = STUDY_FILE) -> list[StoredRun]:
    """Read the finished runs, each once; a last line that a kill cut short is left out.

    Raises ``StudyError`` if the file is missing, has a line that is no run, or two results for one
    run.
    """
    if not path.exists():
        raise StudyError(f"{path} does not exist: run `make study` first")
    runs: dict[Task, StoredRun] = {}
    *lines, _ = path.read_bytes().split(b"\n")  # what follows the last newline is not whole
    for number, line in enumerate(lines, start=1):
        try:
            run = from_line(line)
        except DAMAGE as error:
            raise StudyError(
                f"{path}, line {number}: damaged or edited ({error}); delete this line and run "
                "`make study` to train that run again"
            ) from None
        # As lines: NaN, the measure of a run that diverged, equals nothing.
        if to_line(runs.setdefault(run.task, run)) != to_line(run):
            raise StudyError(
                f"{path}, line {number}: another result for a run that is already there; delete "
                "one of the two lines"
            )
    return list(runs.values())


# ---- selections


def select(runs: Sequence[StoredRun], implementation: str, recipe: Recipe) -> list[StoredRun]:
    """Return the runs of one recipe, also diverged ones, in the order of their seeds.

    Raises ``StudyError`` if there are none: the file was made with other recipes.
    """
    found = [run for run in runs if (run.implementation, run.recipe) == (implementation, recipe)]
    if not found:
        raise StudyError(f"the study holds no {implementation} run of {recipe}: run `make study`")
    return sorted(found, key=lambda run: run.seed)


def by_label(
    runs: Sequence[StoredRun], implementation: str, recipes: Mapping[str, Recipe] | None = None
) -> dict[str, list[StoredRun]]:
    """Return the runs of several recipes by their labels, all with the seeds that every one has.

    ``recipes`` are those of the activations that are compared (``COMPARED``) unless given: LADDER,
    SEARCH, FINALISTS, or ``with_alphas(STRESS["lr x4"], STRESS_ALPHAS)``.
    """
    table = COMPARED[implementation] if recipes is None else recipes
    groups = [select(runs, implementation, recipe) for recipe in table.values()]
    return dict(zip(table, same_seeds(*groups), strict=True))


def same_seeds(*groups: Sequence[StoredRun]) -> tuple[list[StoredRun], ...]:
    """Return groups of runs with the seeds that all of them have, in the same order."""
    seeds = set.intersection(*({run.seed for run in group} for group in groups))
    return tuple([run for run in group if run.seed in seeds] for group in groups)


def stored(
    runs: Sequence[StoredRun], implementation: str, dataset: str, recipe: Recipe, seed: int
) -> StoredRun | None:
    """Return the stored run of exactly this training, None where there is none."""
    task = Task(implementation, recipe, seed, dataset)
    return next((run for run in runs if run.task == task), None)


def disagreements(a: StoredRun, b: StoredRun) -> int:
    """Return on how many test images two networks answer differently, from their errors."""
    images = set(a.errors) | set(b.errors)
    return sum(a.errors.get(image) != b.errors.get(image) for image in images)
