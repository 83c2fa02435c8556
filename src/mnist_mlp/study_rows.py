"""The seed study's results, ``data/study.csv``: read, checked, and selected for a question."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mnist_mlp.recipe import Recipe
from mnist_mlp.study_plan import ALPHAS, CHOSEN, STRESS, STRESS_ALPHAS, TORCH_ALPHAS

STUDY_FILE = Path(__file__).parents[2] / "data" / "study.csv"
COLUMNS = [
    "framework", "recipe_hash", "alpha", "seed", "dataset", "diverged_after",
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy",
    "test_loss", "test_accuracy", "first_train_accuracy", "first_validation_accuracy",
    "dead_units", "errors", "recipe",
]  # fmt: skip
NUMBERS = ["alpha", "seed", *COLUMNS[5:14]]


class StudyError(Exception):
    """The study cannot be read or go on; the message says why and what to do."""


def complete_text(path: Path) -> str:
    """Return the file up to its last newline: what follows was cut short by a kill."""
    text = path.read_text(encoding="utf-8", errors="replace")  # is_sound refuses the replacement
    return text[: text.rfind("\n") + 1]


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
    """Return the runs of one recipe, also diverged ones, one row a seed, in the order of the seeds.

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


def dead_unit_curves(rows: pd.DataFrame, framework: str) -> dict[str, NDArray[np.float64]]:
    """Return the dead fraction, mean over seeds: arrays (epochs + 1, hidden layers)."""
    return {
        name: np.mean([[[float(f) for f in epoch.split("|")] for epoch in cell.split()]
                       for cell in cells], axis=0)
        for name, cells in by_alpha(rows, framework, "dead_units").items()
    }  # fmt: skip


def disagreements(first: str, second: str) -> int:
    """Return on how many test images the networks of two ``errors`` cells answer differently."""
    a, b = mistakes(first), mistakes(second)
    return sum(a.get(image) != b.get(image) for image in set(a) | set(b))


def mistakes(cell: str) -> dict[int, int]:
    """Return the wrongly classified test images of a row: ``{image: predicted class}``."""
    return {int(image): int(guess) for image, guess in (pair.split(":") for pair in cell.split())}
